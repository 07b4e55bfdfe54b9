"""The flash of a whole virtual chip, for its boot loader: the file that its MicroPython works in.

Keeps nothing in memory that the file does not hold: a loader that is killed leaves what it had
written. Never judges what is written there; that is for who starts it.
"""

import mmap
from pathlib import Path
from types import TracebackType

from .unitfolder import FLASH_FILE

SECTOR = 4096
ERASED = 0xFF
_LITTLEFS = (
    b"littlefs"  # in each of a file system's first two blocks (littlefs SPEC.md, superblock)
)


class ChipFlash:
    """data: the bytes, as they lie in the file; a change of one is a change of the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with (folder / FLASH_FILE).open("r+b") as file:
            self.data = mmap.mmap(file.fileno(), 0)

    def erase(self, at: int) -> None:
        """Set every bit of the sector that holds at."""
        first = at - at % SECTOR
        self.data[first : first + SECTOR] = bytes([ERASED]) * SECTOR

    def program(self, at: int, data: bytes) -> None:
        """Write as flash is written: bits can only be cleared."""
        there = self.data[at : at + len(data)]
        left = int.from_bytes(there, "little") & int.from_bytes(data, "little")
        self.data[at : at + len(data)] = left.to_bytes(len(data), "little")

    def erase_all(self, at: int, size: int) -> None:
        """Erase all sectors from at on."""
        for sector in range(at, at + size, SECTOR):
            self.erase(sector)

    def has_littlefs(self, at: int) -> bool:
        """Whether a file system begins there."""
        first, second = self.data[at : at + 64], self.data[at + SECTOR : at + SECTOR + 64]
        return _LITTLEFS in first or _LITTLEFS in second

    def __enter__(self) -> "ChipFlash":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.data.close()
