"""One door to every way of flashing, onto virtual boards that are flashed as real ones are."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from firstlight import boards, virtual
from firstlight.errors import BoardError, UsageError
from firstlight.flash import esptool, flashing, virtualflash
from firstlight.flash.filesystem import littlefs
from firstlight.flash.flashing import Options, Place, flash
from firstlight.flash.pieces import Piece
from firstlight.repl import Repl
from firstlight.stage import StagedFile

VIRTUAL, PICO_W, ESP32 = map(boards.load, ("VIRTUAL", "VIRTUAL_PICO_W", "VIRTUAL_ESP32"))


def files_for(board: boards.Board, **texts: str) -> Piece:
    """A file system with these modules, where the board has it."""
    place = board.filesystem
    assert place
    staged = [StagedFile(f"/{name}.py", text.encode()) for name, text in texts.items()]
    return Piece(place.offset, littlefs(board, staged, place.size), "file system")


class Teller:
    """What is told meanwhile."""

    def __init__(self) -> None:
        self.went: list[float] = []
        self.said: list[str] = []

    def flash(self, board: boards.Board, port: str | Path, *pieces: Piece) -> None:
        options = Options(timeout_s=10.0)
        flash(board, Place(str(port)), pieces, options, self.went.append, self.said.append)
        assert self.went == sorted(self.went)
        assert self.went[-1] == 1.0


@pytest.fixture
def teller() -> Teller:
    return Teller()


def says(folder: Path, code: str) -> bytes:
    with Repl(str(folder / "port")) as repl:
        return repl.exec(code).strip()


def test_a_virtual_board_starts_from_what_was_written(tmp_path: Path, teller: Teller) -> None:
    with virtual.make(tmp_path / "unit") as board:
        teller.flash(VIRTUAL, board.folder / "port", files_for(VIRTUAL, told="n = 42"))
        assert says(board.folder, "from told import n; print(n)") == b"42"
    assert not (board.folder / "flash.next").exists()


def test_a_virtual_board_that_does_not_obey_starts_from_it_when_it_is_switched_on(
    tmp_path: Path, teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtualflash, "Repl", lambda port: Repl(port, patience_s=0.0))
    board = virtual.make(tmp_path / "unit")
    with board, pytest.raises(BoardError, match="off and on, and it starts from what was written"):
        teller.flash(VIRTUAL, board.folder / "port", files_for(VIRTUAL, told="n = 42"))
    with board:
        assert says(board.folder, "from told import n; print(n)") == b"42"


def test_the_port_of_a_virtual_board_is_the_one_in_its_folder(
    tmp_path: Path, teller: Teller
) -> None:
    board = virtual.make(tmp_path / "unit")
    files = files_for(VIRTUAL)
    with pytest.raises(UsageError, match="name the port in the board's folder, FOLDER/port"):
        teller.flash(VIRTUAL, "/dev/pts/of-nobody", files)
    with pytest.raises(BoardError, match="is off: firstlight virtual on"):
        teller.flash(VIRTUAL, board.folder / "port", files)
    other = virtual.make(tmp_path / "other", kind="VIRTUAL_ESP32")
    with pytest.raises(UsageError, match="is a VIRTUAL_ESP32: name that"):
        teller.flash(VIRTUAL, other.folder / "port", files)


def test_what_does_not_fit_a_virtual_board_is_refused(tmp_path: Path, teller: Teller) -> None:
    with virtual.make(tmp_path / "unit", flash_bytes=65536) as board:
        with pytest.raises(UsageError, match="needs 2097152 bytes of flash"):
            teller.flash(VIRTUAL, board.folder / "port", files_for(VIRTUAL))
        with pytest.raises(UsageError, match="has a flash of 65536 bytes, not of 1"):
            virtualflash.write(str(board.folder / "port"), b"1", print, print)
    assert not (board.folder / "flash.next").exists()


def test_a_pico_is_written_bare_and_once_more_from_its_micropython(
    tmp_path: Path, teller: Teller
) -> None:
    firmware = Piece(0, os.urandom(9000), "MicroPython")
    board = virtual.make(tmp_path / "unit", kind="VIRTUAL_PICO_W")
    port = board.folder / "port"
    with board:
        teller.flash(PICO_W, port, firmware, files_for(PICO_W, told="n = 1"))
        assert says(board.folder, "from told import n; print(n)") == b"1"
        assert teller.said == [f"writing to {board.folder / 'RPI-RP2'}"]
        Teller().flash(PICO_W, port, files_for(PICO_W, told="n = 2"))
        assert says(board.folder, "from told import n; print(n)") == b"2"
    found = (board.folder / "flash.img").read_bytes()
    assert found[: firmware.end] == firmware.data


def test_a_pico_that_cannot_start_from_what_was_written_is_told(
    tmp_path: Path, teller: Teller
) -> None:
    board = virtual.make(tmp_path / "unit", kind="VIRTUAL_PICO_W")
    with board, pytest.raises(BoardError, match="is in its boot loader again"):
        teller.flash(PICO_W, board.folder / "port", Piece(0x20000, bytes(4096), "no MicroPython"))


def test_a_virtual_esp32_is_written_by_esptool(tmp_path: Path, teller: Teller) -> None:
    board = virtual.make(tmp_path / "unit", kind="VIRTUAL_ESP32")
    with board:
        teller.flash(ESP32, board.folder / "port", files_for(ESP32, told="n = 7"))
        assert says(board.folder, "from told import n; print(n)") == b"7"


def test_an_esptool_that_is_killed_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    dies = "import os; os.kill(os.getpid(), 9)"
    monkeypatch.setattr(esptool, "_ESPTOOL", [sys.executable, "-c", dies])
    with pytest.raises(BoardError, match="was ended by signal 9"):
        esptool.chip(ESP32, "/dev/ttyUSB0")


def test_the_way_of_flashing_is_the_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    called: dict[str, object] = {}
    monkeypatch.setattr(esptool, "write", lambda *_, **words: called.update(words))
    options = Options(erase=True, verify=False, baud=115200)
    flash(ESP32, Place("/dev/ttyUSB0"), [Piece(0, b"a", "")], options, print, print)
    assert (called["erase"], called["verify"], called["baud"]) == (True, False, 115200)


@pytest.mark.parametrize("board", [ESP32, VIRTUAL])
def test_only_a_pico_is_flashed_without_a_port(board: boards.Board) -> None:
    with pytest.raises(UsageError, match="flashed over its serial port: name it with --port"):
        flash(board, Place(None), [Piece(0, b"a", "")], Options(), print, print)


def test_nothing_is_not_written() -> None:
    with pytest.raises(UsageError, match="there is nothing to write"):
        flash(VIRTUAL, Place("x"), [], Options(), print, print)


def test_erasing_by_uf2_writes_what_lies_between_and_behind() -> None:
    """A boot ROM erases whole sectors, and those alone that it writes to."""
    small = replace(PICO_W, flash_bytes=8 * 4096)
    parts = [Piece(100, b"a", ""), Piece(4 * 4096, bytes(4097), "")]
    blanks = list(flashing._blanks(parts, small.flash_bytes or 0))
    assert [(one.offset, one.end) for one in blanks] == [(4096, 4 * 4096), (6 * 4096, 8 * 4096)]
    assert {byte for one in blanks for byte in one.data} == {0xFF}
