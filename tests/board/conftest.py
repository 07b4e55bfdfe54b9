"""Virtual boards for tests, each in its own folder, none left powered."""

from collections.abc import Iterator
from pathlib import Path

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
