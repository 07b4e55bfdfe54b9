"""Where an RP2's MicroPython keeps its file system, as its own image says to picotool.

Does no I/O. pico-sdk's binary info (pico_binary_info, defs.h and structure.h): near the image's
beginning

    7188EBF2  first  end  copy table  E71AA390         first, end: addresses

of a list of addresses of entries; MicroPython's drive (ports/rp2/rp2_flash.c) is the entry

    type: 7  tag: "MP"  name  address  size  more  flags     2, 2, 4, 4, 4, 4, 2 bytes

which picotool shows as "embedded drive: 0x1012c000-0x10200000 (848K): MicroPython".
"""

import struct
from collections.abc import Sequence

from ..errors import UsageError
from .pieces import Piece

_START, _END = 0x7188EBF2, 0xE71AA390
_HEADER = struct.Struct("<5I")
_ENTRY = struct.Struct("<2H3I")
_SEARCHED = 4096
_MOST_ENTRIES = 4096
_DRIVE, _MICROPYTHON = 7, int.from_bytes(b"MP", "little")
_SECTOR = 4096


def drive(parts: Sequence[Piece], base: int) -> tuple[int, int] | None:
    """Offset and size of the file system in the flash; None if the image does not say.

    parts: the image's. base: the flash's address. Raise UsageError for a place in no sectors.
    """
    for part in parts:
        for at in _entries(part, base):
            kind, tag, _, address, size = _ENTRY.unpack_from(part.data, at)
            if (kind, tag) == (_DRIVE, _MICROPYTHON):
                return _checked(address - base, size)
    return None


def _entries(part: Piece, base: int) -> list[int]:
    """Where the entries lie within a piece: those that the header in it lists."""
    at = part.data[:_SEARCHED].find(struct.pack("<I", _START))
    if at < 0 or at + _HEADER.size > len(part.data):
        return []
    _, first, end, _, mark = _HEADER.unpack_from(part.data, at)
    first, end = first - base - part.offset, end - base - part.offset
    fits = 0 <= first <= end <= len(part.data) and end - first <= 4 * _MOST_ENTRIES
    if mark != _END or not fits or (end - first) % 4:
        return []
    listed = struct.unpack_from(f"<{(end - first) // 4}I", part.data, first)
    found = (address - base - part.offset for address in listed)
    return [at for at in found if 0 <= at <= len(part.data) - _ENTRY.size]


def _checked(offset: int, size: int) -> tuple[int, int]:
    if offset < 0 or size < 2 * _SECTOR or offset % _SECTOR or size % _SECTOR:
        raise UsageError("the UF2 says that its file system lies where none can")
    return offset, size
