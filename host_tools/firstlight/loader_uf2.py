"""An RP2040's boot loader as a host sees it: a volume that takes one .uf2, and disappears.

Behaves as the boot ROM's (pico-bootrom-rp2040, virtual_disk.c): a file that is not for this chip
changes nothing, and the volume stays. Never starts what was written.
"""

import select
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .boards import Uf2
from .chipflash import SECTOR, ChipFlash
from .errors import UsageError
from .flash import uf2 as format
from .unitfolder import NVS_FILE

VOLUME = "RPI-RP2"
_INFO = "UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n"
_INDEX = '<html><head><meta http-equiv="refresh" content="0;URL=\'https://raspberrypi.com/device/'
_INDEX += "RP2'\"/></head><body>Redirecting to raspberrypi.com</body></html>\n"
_LOOK_MS = 30
_MOST_BYTES = 32 << 20
_PAGES = SECTOR // 256


@contextmanager
def volume(folder: Path) -> Iterator[Path]:
    """The volume in folder, whole from its first moment, as long as the context is open."""
    made, shown = folder / (VOLUME + ".new"), folder / VOLUME
    remove_volume(folder)
    made.mkdir(mode=0o700)
    (made / "INFO_UF2.TXT").write_text(_INFO)
    (made / "INDEX.HTM").write_text(_INDEX)
    made.rename(shown)
    try:
        yield shown
    finally:
        remove_volume(folder)


def remove_volume(folder: Path) -> None:
    """Take the volume away in one step; also what is left of one whose board was killed."""
    gone = folder / (VOLUME + ".gone")
    shutil.rmtree(gone, ignore_errors=True)
    with suppress(OSError):
        (folder / VOLUME).rename(gone)
    for left in (gone, folder / (VOLUME + ".new")):
        shutil.rmtree(left, ignore_errors=True)


def await_uf2(shown: Path, uf2: Uf2, leash: int, wake: int) -> list[format.Block] | None:
    """Return the blocks of the first file that is complete and for this chip; None: power off."""
    poll = select.poll()
    for fd in (leash, wake):
        poll.register(fd, select.POLLIN)
    refused: set[tuple[str, int, int]] = set()
    while not poll.poll(_LOOK_MS):
        for path in _files(shown):
            if (seen := _identity(path)) not in refused and seen[1]:
                refused.add(seen)
                if blocks := _blocks(path, uf2):
                    return blocks
    return None


def write(flash: ChipFlash, blocks: list[format.Block], uf2: Uf2) -> None:
    """Write the blocks as the boot ROM does: a sector is erased at each sixteenth number."""
    (flash.folder / NVS_FILE).unlink(missing_ok=True)
    for block in sorted(blocks, key=lambda block: block.number):
        at = block.address - uf2.base
        if 0 <= at < len(flash.data):
            if block.number % _PAGES == 0:
                flash.erase(at)
            flash.program(at, block.data)


def _files(shown: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(path for path in shown.iterdir() if path.suffix.lower() == ".uf2")
    return []


def _identity(path: Path) -> tuple[str, int, int]:
    with suppress(OSError):
        found = path.stat()
        return path.name, found.st_size if found.st_size <= _MOST_BYTES else 0, found.st_mtime_ns
    return path.name, 0, 0


def _blocks(path: Path, uf2: Uf2) -> list[format.Block]:
    """The blocks for this chip; none while the file is not complete."""
    try:
        found = format.parse(path.read_bytes())
    except (OSError, UsageError):
        return []
    return [block for block in found if block.family == uf2.family and block.address >= uf2.base]
