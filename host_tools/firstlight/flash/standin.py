"""What stands in MicroPython's place on a virtual board that is flashed as a real one is.

Its MicroPython is this PC's, and upstream has no image for it; but a boot loader, a partition
table and a first sector must be there, so that the host does what it does with real boards.
Holds no code: a real chip would not start it.
"""

import hashlib
import struct

from ..boards import Board
from ..errors import UsageError
from . import uf2
from .pieces import Image, Piece

_TEXT = b"firstlight: this board's MicroPython is the PC's"
# ports/esp32/partitions-4MiB.csv, as MicroPython had it up to 1.25: name, type, subtype, place
_PARTITIONS = (
    (b"nvs", 1, 2, 0x9000, 0x6000),
    (b"phy_init", 1, 1, 0xF000, 0x1000),
    (b"factory", 0, 0, 0x10000, 0x1F0000),
    (b"vfs", 1, 0x81, 0x200000, 0x200000),
)


def image(board: Board) -> Image:
    """The stand-in for that kind of board. Raise UsageError if it is a real one."""
    if board.port != "unix":
        raise UsageError(f"a {board.id} needs MicroPython: name an image by --image")
    if board.loader == "uf2" and board.uf2 is not None:
        data = uf2.build([Piece(0, _TEXT.ljust(256, b"\0"), "MicroPython")], board.uf2)
    else:
        data = _esp32(board.flash_offset or 0)
    return Image(board.id, data, hashlib.sha256(data).hexdigest(), "this PC's MicroPython")


def _esp32(starts_at: int) -> bytes:
    """Boot loader, partition table and application, as far apart as in a real image."""
    data = bytearray(b"\xff" * (0x10000 - starts_at)) + _program()
    data[: len(_program())] = _program()
    table = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subkind, offset, size, name, 0)
        for name, kind, subkind, offset, size in _PARTITIONS
    )
    table += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(table, usedforsecurity=False).digest()
    at = 0x8000 - starts_at
    data[at : at + len(table)] = table
    return bytes(data)


def _program() -> bytes:
    """An ESP32 program of one segment, which is the text (esptool, bin_image.py)."""
    text = _TEXT.ljust(-(-len(_TEXT) // 4) * 4, b"\0")
    head = struct.pack("<4BI", 0xE9, 1, 2, 0x20, 0x3FFB0000) + struct.pack("<16x")
    body = head + struct.pack("<II", 0x3FFB0000, len(text)) + text
    checksum = 0xEF
    for byte in text:
        checksum ^= byte
    return body.ljust(-(-(len(body) + 1) // 16) * 16 - 1, b"\0") + bytes([checksum])
