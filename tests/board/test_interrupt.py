"""Ctrl-C reaches whatever a virtual board runs, however it was started."""

import subprocess
import sys

import pytest

from firstlight import virtual
from firstlight.repl import Repl


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time\nwhile True: time.sleep(1)",
        "import sys\nsys.stdin.read(1000)",
        "input()",
    ],
)
def test_a_program_that_came_by_raw_paste_is_interrupted(
    powered: virtual.VirtualBoard, code: str
) -> None:
    mpremote = [sys.executable, "-m", "mpremote", "connect", powered.port or ""]
    subprocess.run([*mpremote, "exec", "--no-follow", code], check=True, timeout=30)
    before = powered.interpreter_pid
    for _ in range(2):
        with Repl(powered.port or "", timeout_s=5) as repl:
            assert repl.exec("print(6 * 7)").strip() == b"42"
    assert powered.interpreter_pid == before
