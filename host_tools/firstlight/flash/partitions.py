"""The partition table in an ESP32's image, and from it where MicroPython keeps its file system.

Does no I/O, and never takes a place from anywhere but the image's own table. The form is ESP-IDF's
(components/partition_table/gen_esp32part.py): at 0x8000 of the flash, entries of 32 bytes

    AA 50  type  subtype  offset:4  size:4  label:16  flags:4      little-endian
    EB EB  FF * 14  MD5 of all entries before it: 16
    FF * 32                                                        the end

and that of a program in a partition (esp_app_format/esp_image_format.h):

    E9  segments  ...  is the hash there: 24 bytes in all
    load address:4  size:4  the segment                            so many times
    00 ...  checksum                                               up to a multiple of 16
    SHA-256 of all before it: 32
"""

import hashlib
import struct
from dataclasses import dataclass

from ..errors import UsageError

TABLE_AT = 0x8000
_ENTRY = struct.Struct("<2sBBII16sI")
_LONGEST = 0xC00
_ENTRY_MAGIC, _MD5_MAGIC, _END = b"\xaa\x50", b"\xeb\xeb" + b"\xff" * 14, b"\xff" * 32
_APPLICATION, _DATA = 0, 1
_PROGRAM_MAGIC, _PROGRAM_HEAD, _SEGMENT_HEAD, _ALIGNED = 0xE9, 24, 8, 16
_BLOCK = 4096
_MOST_FLASH = 128 << 20
_LITTLEFS_LABEL, _FAT_LABEL = "vfs", "ffat"  # ports/esp32/modules/flashbdev.py, inisetup.py


@dataclass(frozen=True)
class Partition:
    """One entry. offset and size in bytes of the flash; kind, subkind: ESP-IDF's type, subtype."""

    label: str
    kind: int
    subkind: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """The offset of the first byte behind it."""
        return self.offset + self.size


@dataclass(frozen=True)
class Table:
    """An image's partitions, in the table's order."""

    partitions: tuple[Partition, ...]

    def get(self, label: str) -> Partition | None:
        """The partition of that label, or None."""
        return next((one for one in self.partitions if one.label == label), None)

    def find(self, label: str) -> Partition:
        """The partition of that label. Raise UsageError, naming those that are there, if none."""
        found = self.get(label)
        if found is None:
            there = ", ".join(one.label for one in self.partitions)
            raise UsageError(f"the image's partition table has no {label!r}, but {there}")
        return found

    def file_system(self, flash_bytes: int | None) -> Partition:
        """Where MicroPython mounts its littlefs. flash_bytes: of the chip.

        MicroPython 1.26 and newer has no vfs in the table: it makes one at every start, from the
        end of the last partition to the end of the flash (ports/esp32/main.c, boardctl_startup;
        micropython#17337). Raise UsageError if there is no room for one, or if it is a FAT.
        """
        if self.get(_FAT_LABEL) is not None and self.get(_LITTLEFS_LABEL) is None:
            raise UsageError("the image keeps its files in a FAT, and firstlight makes littlefs")
        found = self.get(_LITTLEFS_LABEL) or self._rest(flash_bytes)
        wrong = found.offset % _BLOCK or found.size % _BLOCK or found.size < 2 * _BLOCK
        if found.kind != _DATA or wrong:
            raise UsageError("the image's vfs partition is none that a littlefs can lie in")
        if flash_bytes is not None and found.end > flash_bytes:
            raise UsageError(
                f"the image is for a flash of {found.end} bytes or more, and the board's has "
                f"{flash_bytes}: name an image for it"
            )
        return found

    def _rest(self, flash_bytes: int | None) -> Partition:
        end = max(one.end for one in self.partitions)
        if flash_bytes is None or flash_bytes - end < 2 * _BLOCK:
            raise UsageError(
                "the image's partition table has no vfs, and its flash no room behind the others: "
                "name an image of MicroPython for this board"
            )
        return Partition(_LITTLEFS_LABEL, _DATA, 0x81, end, flash_bytes - end)


def read(image: bytes, starts_at: int) -> Table:
    """The table in an image. starts_at: the image's place in the flash.

    Raise UsageError if there is none, or if it is damaged.
    """
    raw = image[TABLE_AT - starts_at :][:_LONGEST] if 0 <= starts_at <= TABLE_AT else b""
    if raw[:2] != _ENTRY_MAGIC:
        raise UsageError(
            "the image has no partition table at 0x8000: it must be a whole image of MicroPython, "
            "as micropython.org has it, not the application alone"
        )
    return Table(tuple(_partition(entry) for entry in _entries(raw)))


def check_application(image: bytes, starts_at: int, table: Table) -> None:
    """Raise UsageError if the application in an image is cut off or damaged: none would start it.

    What the boot loader starts first is the first of them.
    """
    places = [one.offset for one in table.partitions if one.kind == _APPLICATION]
    at = min(places, default=starts_at) - starts_at
    head = image[at : at + _PROGRAM_HEAD] if at >= 0 else b""
    if len(head) < _PROGRAM_HEAD or head[0] != _PROGRAM_MAGIC:
        raise UsageError("the image holds no application: get the image again")
    end = at + _PROGRAM_HEAD
    for _ in range(head[1]):
        end += _SEGMENT_HEAD + int.from_bytes(image[end + 4 : end + _SEGMENT_HEAD], "little")
    end += _ALIGNED - (end - at) % _ALIGNED
    has_hash = head[-1] == 1
    if end + 32 * has_hash > len(image):
        raise UsageError(
            f"the image is cut off after {len(image)} bytes, in the middle of its application: "
            "get the image again"
        )
    if has_hash and hashlib.sha256(image[at:end]).digest() != image[end : end + 32]:
        raise UsageError("the image's application is damaged: get the image again")


def _entries(raw: bytes) -> list[bytes]:
    """The raw entries up to the table's end, their MD5 checked if there is one."""
    entries: list[bytes] = []
    for at in range(0, len(raw), _ENTRY.size):
        entry = raw[at : at + _ENTRY.size]
        if entry == _END:
            return entries
        if entry[:16] == _MD5_MAGIC:
            if entry[16:] != hashlib.md5(raw[:at], usedforsecurity=False).digest():
                raise _damaged("its MD5 is another")
        elif entry[:2] == _ENTRY_MAGIC and len(entry) == _ENTRY.size:
            entries.append(entry)
        else:
            raise _damaged("an entry is none")
    raise _damaged("it has no end")


def _partition(entry: bytes) -> Partition:
    _, kind, subkind, offset, size, label, _ = _ENTRY.unpack(entry)
    name = label.rstrip(b"\0")
    if not name.isascii() or not name.decode("ascii").isprintable() or not name:
        raise _damaged("a label is no text")
    if offset + size > _MOST_FLASH:
        raise _damaged(f"{name.decode()} lies outside of every flash")
    return Partition(name.decode(), kind, subkind, offset, size)


def _damaged(why: str) -> UsageError:
    return UsageError(f"the image's partition table is damaged ({why}): get the image again")
