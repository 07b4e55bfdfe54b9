"""Kinds of board: the facts that tools need, read from boards/NAME/board.json.

Does no I/O beyond reading those files, and never guesses a fact that is not there. Names and keys
are upstream's (micropython, ports/*/boards/*/board.json); what upstream's files do not say stands
in one object of ours, "firstlight":

    loader       esptool, uf2 or virtual: how the board is flashed
    usb          vendor and product of the serial ports that it may show, "303a:1001"
    flash_bytes  the size of its flash, where the file system's place depends on it
    filesystem   where its file system lies, {offset, size, block, prog}; null where MicroPython's
                 image says so itself (an ESP32's partition table)
    uf2          {board_id, family, base}: its boot loader's drive
    firmware     {url, sha256}: upstream's image; sha256 null: the first fetch's is recorded

Sources: an RP2's file system is MICROPY_HW_FLASH_STORAGE_BYTES of ports/rp2/boards/NAME/
mpconfigboard.h (Pico W: 848 KB, Pico 2 W: all but 1536 KB) at the end of the flash (rp2_flash.c),
mounted with progsize=256 (modules/_boot.py). flash_bytes of an S3 is the 8 MB of its standard
build. UF2 families: microsoft/uf2, utils/uf2families.json. USB: 303a:1001 is Espressif's USB
Serial/JTAG (esptool), 303a:0002 an S2's ROM (esp-idf, the DFU example), 303a:4001 TinyUSB's on an
S2 or S3, 2e8a:0005 MicroPython on an RP2 (ports/rp2/mpconfigport.h); the others are the bridges
that boards carry: 10c4:ea60 CP210x, 1a86:7523 CH340, 1a86:55d4 CH9102, 0403:6001 FT232.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import UsageError
from .layout import boards_folder

LOADERS = ("esptool", "uf2", "virtual")
_NAME = re.compile(r"[A-Z0-9][A-Z0-9_]{0,63}")
_MCU = re.compile(r"[a-z][a-z0-9]{0,15}")
_USB = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,8}|0")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 4096  # what all of these flash chips erase at once
_MOST_FLASH = 128 << 20


@dataclass(frozen=True)
class FileSystem:
    """Where a board's littlefs lies: offset and size in bytes; prog: bytes written at once."""

    offset: int
    size: int
    block: int
    prog: int


@dataclass(frozen=True)
class Uf2:
    """A UF2 boot loader. board_id: how Board-ID begins, in INFO_UF2.TXT; base: flash's address."""

    board_id: str
    family: int
    base: int


@dataclass(frozen=True)
class Firmware:
    """Upstream's MicroPython. sha256: of the file, hexadecimal; None: not known."""

    url: str
    sha256: str | None


@dataclass(frozen=True)
class Board:
    """One kind of board. flash_offset: where an image begins, in bytes; None: not flashed so.

    The other fields are those of board.json, as the module's docstring tells them.
    """

    id: str
    port: str
    mcu: str
    vendor: str
    product: str
    features: tuple[str, ...]
    flash_offset: int | None
    loader: str
    usb: tuple[str, ...]
    flash_bytes: int | None
    filesystem: FileSystem | None
    uf2: Uf2 | None
    firmware: Firmware | None

    def registration_id(self, unique_id: bytes) -> str:
        """The default registration id of the chip with that id, lowercase."""
        return f"{self.mcu}-{unique_id.hex()}"

    def check_platform(self, platform: str) -> None:
        """Raise UsageError if no board of this kind has that sys.platform."""
        expected = {"unix": "linux"}.get(self.port, self.port)
        if platform != expected:
            raise UsageError(
                f"a {self.id} reports {expected}, but the board there reports {platform}"
            )


def names() -> list[str]:
    """All known boards."""
    return sorted(path.parent.name for path in boards_folder().glob("*/board.json"))


def load(name: str) -> Board:
    """Read the board of that name. Raise UsageError, naming the known ones, if there is none."""
    if not _NAME.fullmatch(name) or name not in names():
        raise UsageError(f"unknown board {name[:64]!r}; known are {', '.join(names())}")
    return parse(name, boards_folder() / name / "board.json")


def parse(name: str, path: Path) -> Board:
    """Read and check one board.json. Raise UsageError naming the first field that is wrong."""
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise UsageError(f"{path.name} of {name} cannot be read as JSON") from None
    if not isinstance(facts, dict):
        raise UsageError(f"{path.name} of {name} is not a JSON object")
    texts: dict[str, Any] = {
        key: _text(name, facts, key) for key in ("id", "port", "mcu", "vendor", "product")
    }
    if texts["id"] != name or not _MCU.fullmatch(texts["mcu"]):
        raise UsageError(f"board.json of {name}: id must be the folder's name, mcu lowercase")
    found = _object(name, facts, "firstlight")
    if found is None:
        raise _wrong(name, "firstlight", "there: how the board is flashed (see boards.py)")
    own = _own(name, found)
    deploy = _deploy(name, facts)
    if own["loader"] == "esptool" and deploy["flash_offset"] is None:
        raise _wrong(name, "deploy_options.flash_offset", "there, like 0x1000")
    return Board(features=_texts(name, facts, "features"), **own, **texts, **deploy)


def _own(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    """What is in our own object, checked, each field by itself and then together."""
    own: dict[str, Any] = {
        "loader": _text(name, facts, "loader"),
        "usb": _texts(name, facts, "usb"),
        "flash_bytes": _flash_bytes(name, facts),
        "filesystem": _filesystem(name, _object(name, facts, "filesystem")),
        "uf2": _uf2(name, _object(name, facts, "uf2")),
        "firmware": _firmware(name, _object(name, facts, "firmware")),
    }
    if own["loader"] not in LOADERS:
        raise _wrong(name, "loader", f"one of {', '.join(LOADERS)}")
    if not all(_USB.fullmatch(text) for text in own["usb"]):
        raise _wrong(name, "usb", "texts like 303a:1001, lowercase")
    if own["loader"] == "uf2" and not (own["uf2"] and own["filesystem"] and own["flash_bytes"]):
        raise _wrong(name, "uf2", "there, with filesystem and flash_bytes, for the loader uf2")
    _fits(name, own["filesystem"], own["flash_bytes"])
    return own


def _flash_bytes(name: str, facts: dict[str, Any]) -> int | None:
    known = facts.get("flash_bytes") is not None
    return _number(name, facts, "flash_bytes", _MOST_FLASH) if known else None


def _fits(name: str, place: FileSystem | None, flash_bytes: int | None) -> None:
    if place is not None and place.offset + place.size > (flash_bytes or _MOST_FLASH):
        raise _wrong(name, "filesystem", "within flash_bytes")


def _filesystem(name: str, facts: dict[str, Any] | None) -> FileSystem | None:
    if facts is None:
        return None
    place = FileSystem(
        *(_number(name, facts, key, _MOST_FLASH) for key in ("offset", "size", "block", "prog"))
    )
    if place.block != _BLOCK or not place.size or place.offset % _BLOCK or place.size % _BLOCK:
        raise _wrong(name, "filesystem", "whole blocks of 4096 bytes")
    if not place.prog or _BLOCK % place.prog:
        raise _wrong(name, "prog", "a divisor of 4096")
    return place


def _uf2(name: str, facts: dict[str, Any] | None) -> Uf2 | None:
    if facts is None:
        return None
    family, base = (_number(name, facts, key, 0xFFFFFFFF) for key in ("family", "base"))
    return Uf2(_text(name, facts, "board_id"), family, base)


def _firmware(name: str, facts: dict[str, Any] | None) -> Firmware | None:
    if facts is None:
        return None
    url, sha256 = _text(name, facts, "url"), facts.get("sha256")
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _wrong(name, "firmware.url", "an http or https address")
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise _wrong(name, "firmware.sha256", "null or 64 lowercase hexadecimal digits")
    return Firmware(url, sha256)


def _wrong(name: str, key: str, must_be: str) -> UsageError:
    return UsageError(f"board.json of {name}: {key} must be {must_be}")


def _object(name: str, facts: dict[str, Any], key: str) -> dict[str, Any] | None:
    value = facts.get(key)
    if value is not None and not isinstance(value, dict):
        raise _wrong(name, key, "an object or null")
    return value


def _text(name: str, facts: dict[str, Any], key: str) -> str:
    value = facts.get(key)
    if not isinstance(value, str) or not value:
        raise _wrong(name, key, "text")
    return value


def _texts(name: str, facts: dict[str, Any], key: str) -> tuple[str, ...]:
    value = facts.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(name, key, "a list of texts")
    return tuple(value)


def _number(name: str, facts: dict[str, Any], key: str, most: int) -> int:
    """A number as JSON has it, or hexadecimal as upstream writes addresses."""
    value = facts.get(key)
    if isinstance(value, str) and _HEX.fullmatch(value):
        value = int(value, 16)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise _wrong(name, key, f"a number from 0 to {most}, or hexadecimal like 0x1000")
    return value


def _deploy(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    options = facts.get("deploy_options", {})
    text = options.get("flash_offset") if isinstance(options, dict) else ""
    if text is None:
        return {"flash_offset": None}
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise _wrong(name, "deploy_options.flash_offset", "like 0x1000")
    return {"flash_offset": int(text, 16)}
