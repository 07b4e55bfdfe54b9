"""UF2: the file that an RP2's boot loader takes, to pieces of flash and back.

Does no I/O, and takes no block that it has not checked. The form is microsoft/uf2's: blocks of 512
bytes, little-endian

    "UF2\\n" 9E5D5157  flags  address  bytes used  number  count  family  data: 476  0AB16F30

What the boot ROMs ask beyond that (raspberrypi/pico-bootrom-rp2040, virtual_disk.c): 256 bytes in
each block, at a multiple of 256; one count for all blocks of the family, each number once. The ROM
erases a sector of 4096 bytes when it meets the first of sixteen *numbers*, not addresses: only a
file of whole sectors is written right (as picotool's elf2uf2 does it, too).

An RP2350's file begins with a block of the family "absolute", to be ignored: a workaround for
RP2350-E10 (picotool, elf2uf2.cpp, gen_abs_block).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ..boards import Uf2
from ..errors import UsageError
from .pieces import Piece, in_order

RP2040, ABSOLUTE, RP2350_ARM_S = 0xE48BFF56, 0xE48BFF57, 0xE48BFF59
_BLOCK, _PAGE, _SECTOR = 512, 256, 4096
_HEAD = struct.Struct("<8I")
_START0, _START1, _END = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_NOT_FLASH, _HAS_FAMILY, _HAS_TAGS = 0x0001, 0x2000, 0x8000
_IGNORE_BLOCK = 0x9957E304
_ABSOLUTE_AT = 0x10FFFF00
_MOST_FLASH = 16 << 20  # that the ROMs reach
_LONGEST = 2 * _MOST_FLASH + _BLOCK
_FILLER = b"\xef" * _PAGE  # pico-sdk 2.0 gave it no tag yet
_NAMES = {RP2040: "RP2040", ABSOLUTE: "absolute", RP2350_ARM_S: "RP2350"}


@dataclass(frozen=True)
class Block:
    """One block. address: as the chip sees it; number, count: within its family."""

    family: int
    address: int
    number: int
    count: int
    data: bytes


def parse(data: bytes) -> list[Block]:
    """The blocks of a file, without those that are to be ignored. Raise UsageError if it is none.

    A file may be for several families: of each, every block must be there once.
    """
    if not data or len(data) % _BLOCK or len(data) > _LONGEST:
        raise UsageError(
            "the file is not UF2: it must be whole blocks of 512 bytes, 32 MB at most"
        )
    blocks = []
    for at in range(0, len(data), _BLOCK):
        block = _block(data[at : at + _BLOCK], at // _BLOCK)
        if block is not None:
            blocks.append(block)
    for family in {block.family for block in blocks}:
        _check_family([block for block in blocks if block.family == family])
    return blocks


def pieces(data: bytes, uf2: Uf2, name: str = "MicroPython") -> list[Piece]:
    """What a file writes to the flash of the board with that boot loader, in rising order.

    Raise UsageError if the file is no UF2, or not for that chip.
    """
    blocks = parse(data)
    wanted = sorted((b for b in blocks if b.family == uf2.family), key=lambda b: b.address)
    if not wanted:
        there = ", ".join(sorted({_family(block.family) for block in blocks})) or "no chip"
        raise UsageError(f"the UF2 is for {there}, and the board is an {_family(uf2.family)}")
    if wanted[0].address < uf2.base or wanted[-1].address >= uf2.base + _MOST_FLASH:
        raise UsageError("the UF2 is for the chip's RAM, not for its flash")
    found: list[Piece] = []
    run: list[Block] = []
    for block in wanted:
        if run and block.address != run[-1].address + _PAGE:
            found.append(_run(run, uf2, name))
            run = []
        run.append(block)
    return [*found, _run(run, uf2, name)]


def build(parts: Sequence[Piece], uf2: Uf2) -> bytes:
    """The file that writes these pieces, each sector that they touch wholly.

    Raise UsageError if two of them claim the same bytes.
    """
    pages = _pages(in_order(parts))
    count = len(pages)
    out = [_absolute()] if uf2.family == RP2350_ARM_S else []
    for number, at in enumerate(sorted(pages)):
        head = (_HAS_FAMILY, uf2.base + at, _PAGE, number, count, uf2.family)
        out.append(_packed(head, bytes(pages[at])))
    return b"".join(out)


def _block(raw: bytes, number: int) -> Block | None:
    """One block, checked by itself; None if it says that it is to be ignored."""
    start0, start1, flags, address, used, at, count, family = _HEAD.unpack_from(raw)
    (end,) = struct.unpack_from("<I", raw, _BLOCK - 4)
    if (start0, start1, end) != (_START0, _START1, _END):
        raise UsageError(f"the file is not UF2, or damaged: block {number} has not its marks")
    if not flags & _HAS_FAMILY or flags & _NOT_FLASH:
        raise UsageError(f"the UF2's block {number} does not say for which chip it is")
    if used != _PAGE or address % _PAGE or address > 0xFFFFFF00 or at >= count:
        raise UsageError(f"the UF2's block {number} is none that the boot loader takes")
    data = raw[_HEAD.size : _HEAD.size + _PAGE]
    if family != ABSOLUTE:
        return Block(family, address, at, count, data)
    if data != _FILLER or address != _ABSOLUTE_AT:
        raise UsageError("the UF2 writes to absolute places, as no image of MicroPython does")
    return None


def _check_family(blocks: list[Block]) -> None:
    count = blocks[0].count
    numbers = {block.number for block in blocks if block.count == count}
    if len(blocks) != count or len(numbers) != count:
        raise UsageError(
            f"the UF2 is incomplete: it has {len(blocks)} blocks for {_family(blocks[0].family)} "
            f"of {count}: get it again"
        )
    if len({block.address for block in blocks}) != count:
        raise UsageError("the UF2 writes an address twice: get it again")


def _run(run: list[Block], uf2: Uf2, name: str) -> Piece:
    return Piece(run[0].address - uf2.base, b"".join(block.data for block in run), name)


def _pages(parts: Sequence[Piece]) -> dict[int, bytearray]:
    """Page by page what is written; what nobody claims of a sector is as if erased."""
    pages: dict[int, bytearray] = {}
    for part in parts:
        first, last = part.offset // _SECTOR * _SECTOR, -(-part.end // _SECTOR) * _SECTOR
        for at in range(first, last, _PAGE):
            pages.setdefault(at, bytearray(b"\xff" * _PAGE))
    for part in parts:
        for at in range(part.offset // _PAGE * _PAGE, part.end, _PAGE):
            low, high = max(at, part.offset), min(at + _PAGE, part.end)
            pages[at][low - at : high - at] = part.data[low - part.offset : high - part.offset]
    return pages


def _absolute() -> bytes:
    data = _FILLER + struct.pack("<I", _IGNORE_BLOCK)
    return _packed((_HAS_FAMILY | _HAS_TAGS, _ABSOLUTE_AT, _PAGE, 0, 2, ABSOLUTE), data)


def _packed(head: tuple[int, ...], data: bytes) -> bytes:
    body = _HEAD.pack(_START0, _START1, *head) + data
    return body + bytes(_BLOCK - 4 - len(body)) + struct.pack("<I", _END)


def _family(family: int) -> str:
    return _NAMES.get(family, f"another chip (family {family:#010x})")
