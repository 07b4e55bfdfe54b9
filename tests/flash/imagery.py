"""Images for tests: a genuine ESP32's, one of MicroPython's newer form, and one for a Pico."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
from littlefs import LittleFS

from firstlight.boards import Board
from firstlight.flash import uf2
from firstlight.flash.pieces import Image, Piece

STARTS_AT = 0x1000
TABLE = 0x8000 - STARTS_AT


def genuine_esp32() -> Path:
    """MicroPython 1.16 for an ESP32 of 4 MB, which `make setup` fetches; skip or fail without."""
    found = sorted(Path(sys.prefix).glob("images/**/etboard/firmware/*0831*.bin"))
    if not found and os.environ.get("CI") == "true":
        pytest.fail("the genuine ESP32 image is missing, and CI must have it: make setup")
    if not found:
        pytest.skip("the genuine ESP32 image is missing: make setup")
    return found[0]


def with_table(data: bytes, table: bytes) -> bytes:
    """The image with another partition table, its MD5 and its end added."""
    md5 = hashlib.md5(table, usedforsecurity=False).digest()
    whole = (table + b"\xeb\xeb" + b"\xff" * 14 + md5).ljust(0xC00, b"\xff")
    return data[:TABLE] + whole + data[TABLE + 0xC00 :]


def without_vfs(data: bytes) -> bytes:
    """The image as MicroPython is from 1.26 on: nvs, phy_init and factory, and no vfs."""
    return with_table(data, data[TABLE : TABLE + 3 * 32])


def image(board: Board, data: bytes) -> Image:
    """Bytes as an image of that board."""
    return Image(board.id, data, hashlib.sha256(data).hexdigest(), "a test")


def pico_image(board: Board, size: int = 5000) -> Image:
    """A UF2 as upstream's are made: MicroPython from the flash's first byte on."""
    assert board.uf2 is not None
    code = hashlib.sha256(b"code").digest() * (size // 32 + 1)
    return image(board, uf2.build([Piece(0, code[:size], "MicroPython")], board.uf2))


def mounted(data: bytes) -> LittleFS:
    """What littlefs-python, left to find out everything by itself, sees in a file system."""
    fs = LittleFS(block_size=4096, block_count=0, mount=False)
    fs.context.buffer = bytearray(data)
    fs.mount()
    return fs


def contents(data: bytes) -> dict[str, bytes]:
    """Every file in a file system, by its path."""
    fs = mounted(data)
    found = {}
    for folder, _, names in fs.walk("/"):
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            with fs.open(path, "rb") as file:
                found[path] = file.read()
    return found
