"""UF2: judged by uf2utils, by what the boot ROM does with a file, and by any bytes."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uf2utils import UF2File

from firstlight import boards
from firstlight.boards import Uf2
from firstlight.errors import UsageError
from firstlight.flash import uf2
from firstlight.flash.pieces import Piece

PICO = Uf2("RPI-RP2", uf2.RP2040, 0x10000000)
PICO2 = Uf2("RP2350", uf2.RP2350_ARM_S, 0x10000000)
CODE = bytes(range(256)) * 20 + b"the end of the code"
FILES = b"files" * 3000
PARTS = [Piece(0, CODE, "MicroPython"), Piece(0x12C000, FILES, "file system")]


def by_the_rom(data: bytes, chip: Uf2, flash: bytearray) -> bytes:
    """Write a file to a flash as virtual_disk.c does: a sector is erased per sixteen numbers."""
    erased = set()
    for at in range(0, len(data), 512):
        _, _, flags, address, size, number, count, family = struct.unpack_from("<8I", data, at)
        if family != chip.family or not flags & 0x2000 or size != 256 or number >= count:
            continue
        where = address - chip.base
        if number // 16 not in erased:
            erased.add(number // 16)
            first = where // 4096 * 4096
            flash[first : first + 4096] = b"\xff" * 4096
        for i, byte in enumerate(data[at + 32 : at + 32 + 256]):
            flash[where + i] &= byte
    return bytes(flash)


@pytest.mark.parametrize("chip", [PICO, PICO2], ids=lambda chip: chip.board_id)
def test_the_boot_rom_writes_every_piece_over_whatever_was_there(chip: Uf2) -> None:
    written = by_the_rom(uf2.build(PARTS, chip), chip, bytearray(b"\x55" * (2 << 20)))
    for part in PARTS:
        assert written[part.offset : part.end] == part.data
    assert written[0x2000:0x12C000] == b"\x55" * (0x12C000 - 0x2000)


def test_a_file_of_bare_pages_would_not_be_written_right(tmp_path: Path) -> None:
    """Why build() completes sectors: what another library makes of the same pieces."""
    naive = UF2File(board_family=PICO.family)
    for part in PARTS:
        padded = part.data.ljust(-(-len(part.data) // 256) * 256, b"\xff")
        naive.append_payload(padded, PICO.base + part.offset)
    naive.to_file(str(tmp_path / "naive.uf2"))
    data = (tmp_path / "naive.uf2").read_bytes()
    written = by_the_rom(data, PICO, bytearray(b"\x55" * (2 << 20)))
    assert written[PARTS[1].offset : PARTS[1].end] != FILES


@pytest.mark.parametrize("chip", [PICO, PICO2], ids=lambda chip: chip.board_id)
def test_uf2utils_reads_what_we_write(tmp_path: Path, chip: Uf2) -> None:
    (tmp_path / "ours.uf2").write_bytes(uf2.build(PARTS, chip))
    theirs = [block for block in UF2File(str(tmp_path / "ours.uf2"))]
    ours = [block for block in theirs if block.header.board_family == chip.family]
    assert [block.header.block_number for block in ours] == list(range(len(ours)))
    assert {block.header.total_blocks for block in ours} == {len(ours)}
    memory = {block.header.address - chip.base: bytes(block.payload) for block in ours}
    found = b"".join(memory[at] for at in range(0, 0x1400, 256))
    assert found == CODE[:0x1400]
    files = b"".join(memory[at] for at in sorted(memory) if at >= 0x12C000)
    assert files == FILES.ljust(0x4000, b"\xff")


def test_we_read_what_uf2utils_writes(tmp_path: Path) -> None:
    theirs = UF2File(board_family=PICO.family)
    theirs.append_payload(CODE[:5120], PICO.base)
    theirs.append_payload(FILES[:1024], PICO.base + 0x12C000)
    theirs.to_file(str(tmp_path / "theirs.uf2"))
    assert uf2.pieces((tmp_path / "theirs.uf2").read_bytes(), PICO) == [
        Piece(0, CODE[:5120], "MicroPython"),
        Piece(0x12C000, FILES[:1024], "MicroPython"),
    ]


def test_an_rp2350s_file_begins_with_the_block_to_be_ignored() -> None:
    """Byte for byte what picotool writes there (elf2uf2.cpp, gen_abs_block)."""
    first, rest = (data := uf2.build(PARTS, PICO2))[:512], data[512:]
    assert struct.unpack_from("<8I", first) == (
        *(0x0A324655, 0x9E5D5157, 0xA000, 0x10FFFF00),
        *(256, 0, 2, 0xE48BFF57),
    )
    assert first[32:] == b"\xef" * 256 + struct.pack("<I", 0x9957E304) + bytes(216) + first[508:]
    assert uf2.pieces(data, PICO2) == uf2.pieces(rest, PICO2)
    untagged = first[:8] + struct.pack("<I", 0x2000) + first[12:288] + bytes(4) + first[292:]
    assert uf2.parse(untagged + rest) == uf2.parse(rest), "pico-sdk 2.0 gave it no tag"


def test_what_we_wrote_we_read_and_write_the_same() -> None:
    data = uf2.build(PARTS, PICO2)
    assert uf2.build(uf2.pieces(data, PICO2), PICO2) == data


def test_a_file_for_two_chips_serves_both() -> None:
    both = uf2.build(PARTS[:1], PICO) + uf2.build(PARTS[1:], PICO2)
    assert uf2.pieces(both, PICO)[0].data.startswith(CODE)
    assert uf2.pieces(both, PICO2)[0].offset == 0x12C000


def test_pieces_that_claim_the_same_bytes_are_refused() -> None:
    with pytest.raises(UsageError, match="MicroPython reaches to 0x12d000"):
        uf2.build([Piece(0, bytes(0x12D000), "MicroPython"), PARTS[1]], PICO)


def changed(at: int, value: int) -> bytes:
    """A good file whose second block has another word at that place."""
    data = bytearray(uf2.build(PARTS, PICO))
    struct.pack_into("<I", data, 512 + at, value)
    return bytes(data)


GOOD = uf2.build(PARTS, PICO)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not UF2"),
        (GOOD[:-1], "not UF2"),
        (b"UF2\n".ljust(512, b"\0"), "block 0 has not its marks"),
        (changed(0, 0), "block 1 has not its marks"),
        (changed(4, 0), "block 1 has not its marks"),
        (changed(508, 0), "block 1 has not its marks"),
        (changed(8, 0), "does not say for which chip"),
        (changed(8, 0x2001), "does not say for which chip"),
        (changed(12, 0x10000101), "none that the boot loader takes"),
        (changed(12, 0xFFFFFFF0), "none that the boot loader takes"),
        (changed(16, 255), "none that the boot loader takes"),
        (changed(20, 0xFFFFFFFF), "none that the boot loader takes"),
        (changed(12, 0x10000000), "writes an address twice"),
        (changed(20, 0), "incomplete"),
        (changed(24, 7), "incomplete"),
        (GOOD[:-512], "incomplete: it has 95 blocks for RP2040 of 96"),
        (GOOD + GOOD, "incomplete"),
        (changed(28, uf2.ABSOLUTE), "absolute places"),
        (changed(28, 0xE48BFF5A), "incomplete"),
        (uf2.build(PARTS, PICO2), "is for RP2350, and the board is an RP2040"),
        (uf2.build(PARTS, replace(PICO, family=0x1C5F21B0)), "another chip .family 0x1c5f21b0"),
        (uf2.build(PARTS[:1], replace(PICO, base=0x20000000)), "RAM"),
        (uf2.build(PARTS[:1], replace(PICO, base=0)), "RAM"),
        (uf2.build([], PICO2), "is for no chip"),
    ],
)
def test_what_the_boot_loader_would_not_take_is_refused(
    data: bytes, complaint: str | None
) -> None:
    if complaint is None:
        assert uf2.pieces(data, PICO)
        return
    with pytest.raises(UsageError, match=complaint):
        uf2.pieces(data, PICO)


@given(st.binary(max_size=1200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UsageError):
        uf2.pieces(data, PICO)


@given(st.integers(0, 2 * 512 - 1), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_is_refused_or_whole(at: int, put: bytes) -> None:
    good = uf2.build([Piece(0, b"x" * 4096, "MicroPython")], PICO)
    damaged = good[:at] + put[: 1024 - at] + good[at + len(put[: 1024 - at]) :]
    try:
        blocks = uf2.parse(damaged)
    except UsageError:
        return
    assert len(blocks) in (15, 16)


def test_the_boards_that_have_a_uf2_loader_have_the_families_of_their_chips() -> None:
    found = {name: boards.load(name).uf2 for name in boards.names()}
    families = {name: loader.family for name, loader in found.items() if loader}
    assert families == {
        "RPI_PICO_W": uf2.RP2040,
        "RPI_PICO2_W": uf2.RP2350_ARM_S,
        "VIRTUAL_PICO_W": uf2.RP2040,
    }
