"""A code as a PNG: one bit a pixel, nothing in it but the picture. Pure; the same bytes always."""

import struct
import zlib
from collections.abc import Sequence

_PIXELS = 10  # a module's side
_GREYSCALE = 0


def png(modules: Sequence[Sequence[bool]], quiet: int) -> bytes:
    """Return the picture of square modules (True: dark) with a quiet zone, in modules."""
    side = (len(modules) + 2 * quiet) * _PIXELS
    header = struct.pack(">IIBBBBB", side, side, 1, _GREYSCALE, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(_rows(modules, quiet), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _rows(modules: Sequence[Sequence[bool]], quiet: int) -> bytes:
    light = [False] * len(modules)
    rows = [light] * quiet + [list(row) for row in modules] + [light] * quiet
    return b"".join(_row(row, quiet) * _PIXELS for row in rows)


def _row(row: Sequence[bool], quiet: int) -> bytes:
    """One line of pixels: filter type 0, then a bit for each, 1 for white."""
    padded = [False] * quiet + list(row) + [False] * quiet
    bits = "".join("0" * _PIXELS if dark else "1" * _PIXELS for dark in padded)
    bits += "0" * (-len(bits) % 8)
    return b"\0" + int(bits, 2).to_bytes(len(bits) // 8)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
