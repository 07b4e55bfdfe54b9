"""What an RP2's image says of its file system, laid out as pico-sdk's structure.h has it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight import boards
from firstlight.boards import Board
from firstlight.errors import UsageError
from firstlight.flash import uf2
from firstlight.flash.binaryinfo import drive
from firstlight.flash.pieces import Piece
from firstlight.flash.whole import pieces
from firstlight.stage import StagedFile
from tests.flash.imagery import contents, image

BASE = 0x10000000
PICO = boards.load("RPI_PICO_W")
PICO2 = boards.load("RPI_PICO2_W")
OTHER = struct.pack("<2HI", 6, int.from_bytes(b"RP", "little"), 0x02031C86) + bytes(12)


def saying(address: int, size: int, tag: bytes = b"MP", header_at: int = 0x1C0) -> bytes:
    """An image with three entries: a name, one that is in RAM, and the drive."""
    listed, entry, name = 0x1000, 0x2000, 0x3000
    data = bytearray(0x4000)
    struct.pack_into(
        "<5I", data, header_at, 0x7188EBF2, BASE + listed, BASE + listed + 12, 0, 0xE71AA390
    )
    struct.pack_into("<3I", data, listed, BASE + name, 0x20000000, BASE + entry)
    data[name : name + len(OTHER)] = OTHER
    struct.pack_into(
        "<2H4IH", data, entry, 7, int.from_bytes(tag, "little"), BASE, address, size, 0, 3
    )
    return bytes(data)


@pytest.mark.parametrize(
    ("board", "address", "size"),
    [(PICO, 0x1012C000, 848 * 1024), (PICO2, 0x10180000, 2560 * 1024)],
    ids=lambda value: getattr(value, "id", ""),
)
def test_what_an_image_says_is_what_the_boards_facts_say(
    board: Board, address: int, size: int
) -> None:
    """picotool of a Pico W: embedded drive: 0x1012c000-0x10200000 (848K): MicroPython."""
    place = board.filesystem
    assert place is not None
    assert drive([Piece(0, saying(address, size), "")], BASE) == (place.offset, place.size)


def test_a_build_with_another_file_system_gets_its_files_there() -> None:
    assert PICO.uf2 is not None
    code = Piece(0, saying(BASE + 0x100000, 1 << 20), "MicroPython")
    given = image(PICO, uf2.build([code], PICO.uf2))
    found = pieces(PICO, given, [StagedFile("/main.py", b"x")])[-1]
    assert (found.offset, len(found.data)) == (0x100000, 1 << 20)
    assert contents(found.data) == {"/main.py": b"x"}


@pytest.mark.parametrize(
    "data",
    [
        bytes(8192),
        saying(BASE, 8192, tag=b"XX"),
        saying(BASE, 8192, header_at=0x1100)[:0x2000],
        saying(BASE, 8192).replace(struct.pack("<I", 0xE71AA390), bytes(4)),
        saying(BASE, 8192)[:0x1000],
        struct.pack("<I", 0x7188EBF2),
    ],
)
def test_an_image_that_says_nothing_leaves_it_to_the_boards_facts(data: bytes) -> None:
    assert drive([Piece(0, data, "")], BASE) is None


@pytest.mark.parametrize(("address", "size"), [(BASE + 1, 8192), (0, 8192), (BASE, 0), (BASE, 5)])
def test_a_place_where_no_file_system_can_lie_is_refused(address: int, size: int) -> None:
    with pytest.raises(UsageError, match="where none can"):
        drive([Piece(0, saying(address, size), "")], BASE)


@given(st.binary(max_size=64), st.integers(0, 0x200), st.integers(0, 0x300))
def test_any_bytes_are_an_answer_or_a_refusal(data: bytes, at: int, offset: int) -> None:
    whole = bytearray(saying(BASE, 8192))
    whole[0x1C0 + at : 0x1C0 + at + len(data)] = data
    for raw in (data, bytes(whole), bytes(whole[: 0x1000 + offset])):
        try:
            found = drive([Piece(offset, raw, "")], BASE)
        except UsageError:
            continue
        assert found is None or found[1] % 4096 == 0
