"""Virtual boards for tests, each in its own folder and none left on; and probes without one."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firstlight import virtual
from firstlight.repl import Repl

UNIQUE_ID = bytes.fromhex("a1b2c3d4e5f6")
PROMPT = ">>> "


@pytest.fixture
def board(tmp_path: Path) -> Iterator[virtual.VirtualBoard]:
    """A board with an erased flash, off."""
    made = virtual.make(
        tmp_path / "board", unique_id=UNIQUE_ID, wifi={"home": "secret", "cafe": ""}, join_ms=50
    )
    yield made
    made.power_off()


@pytest.fixture
def powered(board: virtual.VirtualBoard) -> virtual.VirtualBoard:
    """A board that is on, at its prompt."""
    board.power_on()
    board.read_console_until(PROMPT, 10)
    return board


@pytest.fixture
def repl(powered: virtual.VirtualBoard) -> Iterator[Repl]:
    """The raw REPL of a powered board."""
    with Repl(powered.port or "", timeout_s=5) as opened:
        yield opened


@pytest.fixture
def on_micropython(micropython: list[str], umqtt: Path) -> Callable[[str, dict[str, Any]], Any]:
    """Run a probe of this folder, the firmware on its path: JSON to stdin, JSON from stdout."""
    here = Path(__file__).parent

    def run(probe: str, asked: dict[str, Any]) -> Any:
        done = subprocess.run(
            [*micropython, str(here / probe)],
            input=json.dumps(asked) + "\n",
            env={"MICROPYPATH": f"{here.parents[1] / 'firmware'}:{umqtt}:.frozen"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run
