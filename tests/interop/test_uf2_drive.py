"""A UF2 file onto a drive that takes it, and goes away, as an RP2's boot ROM does."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from firstlight import boards
from firstlight.errors import BoardError, UsageError
from firstlight.flash import uf2, uf2drive
from firstlight.flash.flashing import Options, Place, flash
from firstlight.flash.pieces import Piece
from firstlight.flash.uf2drive import Bench
from firstlight.flash.volumes import volume_at, volumes
from tests.interop.fusedrive import FLASH_BYTES, RP2350, Drive, Wishes, drive

PICO_W = boards.load("RPI_PICO_W")
FIRMWARE = Piece(0, os.urandom(70_000), "MicroPython")  # no whole number of sectors
FILES = Piece(0x12C000, os.urandom(3 * 4096), "file system")

NewDrive = Callable[..., Drive]


@pytest.fixture
def new_drive(tmp_path: Path, program: Callable[[str], str]) -> Iterator[NewDrive]:
    """Mount a drive under drives/, as a Pico's by default; none outlives the test."""
    fusermount = program("fusermount3")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):  # no package brings that
        pytest.skip("this system lets nobody mount a file system: /dev/fuse")
    with ExitStack() as mounted:

        def mount(name: str = "RPI-RP2", **wishes: object) -> Drive:
            folder = tmp_path / "drives" / name
            return mounted.enter_context(drive(folder, fusermount, Wishes(**wishes)))  # type: ignore[arg-type]

        yield mount


def written(tmp_path: Path, **limits: float) -> list[float]:
    """Write the two pieces to the one drive that is there; return how it went on."""
    assert PICO_W.uf2
    went: list[float] = []
    uf2drive.write(
        PICO_W,
        port=None,
        volume=None,
        uf2=uf2.build([FIRMWARE, FILES], PICO_W.uf2),
        progress=went.append,
        say=lambda _: None,
        bench=Bench(places=[tmp_path / "drives"], **{"loader_s": 0.0, "gone_s": 10.0} | limits),  # type: ignore[arg-type]
    )
    return went


@pytest.mark.parametrize("ends", ["write", "fsync", "flush", "later"])
def test_a_file_is_in_the_flash_whenever_the_drive_goes_away_after_it(
    ends: str, tmp_path: Path, new_drive: NewDrive
) -> None:
    board = new_drive(ends=ends)
    went = written(tmp_path)
    found = board.flash()
    for piece in (FIRMWARE, FILES):
        assert found[piece.offset : piece.end] == piece.data
    assert found[FIRMWARE.end : 18 * 4096] == b"\xff" * (18 * 4096 - FIRMWARE.end)
    assert found[18 * 4096 : FILES.offset] == bytes(FILES.offset - 18 * 4096)  # untouched
    assert went == sorted(went)
    assert went[-1] == 1.0
    assert len(went) > 3


def test_erasing_writes_the_rest_of_the_flash_too(new_drive: NewDrive) -> None:
    board = new_drive()
    place = Place(None, volume_at(board.path))
    flash(PICO_W, place, [FIRMWARE, FILES], Options(erase=True), lambda _: None, lambda _: None)
    whole = bytearray(b"\xff" * FLASH_BYTES)
    for piece in (FIRMWARE, FILES):
        whole[piece.offset : piece.end] = piece.data
    assert board.flash() == whole


def test_a_plain_cp_does_what_it_does_on_a_board(tmp_path: Path, new_drive: NewDrive) -> None:
    """The drive is judged by a program that we did not write, too."""
    assert PICO_W.uf2
    board, file = new_drive(ends="later"), tmp_path / "image.uf2"
    file.write_bytes(uf2.build([FIRMWARE], PICO_W.uf2))
    subprocess.run([shutil.which("cp") or "cp", file, board.path], check=True, timeout=20)
    assert board.flash()[: FIRMWARE.end] == FIRMWARE.data


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"pulled_at": 150}, "went away when"),
        ({"read_only": True}, "is mounted read-only"),
        ({"full_at": 150}, "is full, as after a copy that was cut off"),
        ({"stuck_at": 150}, "takes nothing more"),
    ],
)
def test_a_drive_that_does_not_take_it_all_is_told_with_what_to_do(
    wishes: dict[str, object], told: str, tmp_path: Path, new_drive: NewDrive
) -> None:
    new_drive(**wishes)
    with pytest.raises(BoardError, match=told) as caught:
        written(tmp_path, stall_s=1.0 if "stuck_at" in wishes else 60.0)
    assert "hold BOOTSEL, plug it in, and flash it again" in str(caught.value)


def test_a_file_that_the_board_does_not_take_is_told(tmp_path: Path, new_drive: NewDrive) -> None:
    new_drive(family=RP2350)
    with pytest.raises(BoardError, match="took the file but did not start from it"):
        written(tmp_path, gone_s=0.3)


def test_a_board_of_another_kind_is_refused_with_both_names(
    tmp_path: Path, new_drive: NewDrive
) -> None:
    new_drive("RP2350", board_id="RP2350")
    with pytest.raises(UsageError, match="is RP2350, and a RPI_PICO_W is RPI-RP2"):
        written(tmp_path)


def test_of_two_boards_none_is_chosen_but_by_its_seat(tmp_path: Path, new_drive: NewDrive) -> None:
    one, other = new_drive(), new_drive("RPI-RP2 1")
    with pytest.raises(UsageError, match="2 boards are in their boot loader") as caught:
        written(tmp_path)
    assert str(one.path) in str(caught.value)
    assert str(other.path) in str(caught.value)
    place = Place(None, volume_at(other.path))
    flash(PICO_W, place, [FIRMWARE], Options(), lambda _: None, lambda _: None)
    assert other.flash()[: FIRMWARE.end] == FIRMWARE.data
    assert [found.path for found in volumes([tmp_path / "drives"])] == [one.path]
