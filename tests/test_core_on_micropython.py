"""The core tests once more, the same files, on real MicroPython."""

import os
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MODULES = sorted(path.stem for path in (TESTS / "core").glob("test_*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_core_on_micropython(module: str, micropython: list[str]) -> None:
    path = f"{TESTS.parent / 'firmware'}:{TESTS.parent}"
    done = subprocess.run(
        [*micropython, str(TESTS / "core" / "run.py"), f"tests.core.{module}"],
        env={**os.environ, "MICROPYPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed" in done.stdout
