"""The drives that boards show while they wait for a UF2 file, and where each is plugged in.

A drive is known by its INFO_UF2.TXT (github.com/microsoft/uf2), which is anybody's text until it
is checked. A seat is a USB path, as 1-1.4, and the same as that of the board's serial port; where
the system does not tell it, the folder that the drive lies in. Never writes, and never opens more
of a file system than that one file.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..errors import UsageError

INFO_FILE = "INFO_UF2.TXT"
_MOST_INFO = 2048  # bytes; the boot ROM's has 65
_MOST_TABLE = 1 << 20
_MOST_DRIVES = 256
_FAT = ("vfat", "msdos")
_BOARD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+\-]{0,63}")
_USB_PATH = re.compile(r"\d{1,3}-\d{1,3}(?:\.\d{1,3}){0,7}")
_OCTAL = re.compile(r"\\([0-7]{3})")
_MAC_DRIVES = Path("/Volumes")


@dataclass(frozen=True)
class Host:
    """Where the system tells what is plugged in. For tests, a folder like it."""

    mounts: Path = Path("/proc/mounts")
    sys: Path = Path("/sys")


HOST = Host()


@dataclass(frozen=True)
class Volume:
    """A drive that takes UF2 files. seat: its USB path, or the folder that it lies in.

    device: its name under /sys/class/block, known where the seat is a USB path.
    """

    path: Path
    board_id: str
    model: str
    seat: str
    device: str = ""

    def is_there(self, host: Host = HOST) -> bool:
        """Whether it still is. A drive's pages may be read when it was unplugged long ago."""
        if is_usb(self.seat) and _seat_of_device(self.device, host) != self.seat:
            return False
        return _info(self.path) is not None

    def mark(self) -> tuple[int, int, int] | None:
        """What tells this drive from the next one at the same path; None: it is gone."""
        try:
            found = (self.path / INFO_FILE).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns


def volumes(places: Sequence[Path] | None = None, host: Host = HOST) -> list[Volume]:
    """The drives that are there now, by path. places: folders that are one, or hold some.

    None: where the system mounts them.
    """
    found = _placed(places) if places is not None else _mounted(host)
    return sorted(found, key=lambda volume: volume.path)[:_MOST_DRIVES]


def volume_at(path: Path, host: Host = HOST) -> Volume:
    """The drive at path. Raise UsageError if there is none."""
    same = (volume for volume in _mounted(host) if volume.path == path.resolve())
    found = next(same, None) or _volume(path.resolve())
    if found is None:
        raise UsageError(f"{path} is not the drive of a board: it has no {INFO_FILE} that says so")
    return found


def parsed(raw: bytes) -> tuple[str, str] | None:
    """Board-ID and Model of an INFO_UF2.TXT; None if it is not one."""
    lines = raw.decode("ascii", "replace").splitlines()
    if not lines or not lines[0].startswith("UF2 Bootloader"):
        return None
    pairs = (line.partition(":") for line in lines[1:] if ":" in line)
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    board_id, model = facts.get("Board-ID", ""), facts.get("Model", "")[:64]
    if not _BOARD_ID.fullmatch(board_id):
        return None
    return board_id, "".join(c if " " <= c <= "~" else "?" for c in model)


def usb_path(text: str) -> str:
    """The last USB path in a path under /sys: that of the device itself, "" if it is on no USB."""
    return next((part for part in reversed(text.split("/")) if _USB_PATH.fullmatch(part)), "")


def is_usb(seat: str) -> bool:
    """Whether a seat is a USB path."""
    return bool(_USB_PATH.fullmatch(seat))


def _placed(places: Iterable[Path]) -> Iterator[Volume]:
    for place in places:
        here = _volume(place)
        folders = [] if here else _folders(place)
        yield from (found for found in [here, *map(_volume, folders)] if found)


def _folders(place: Path) -> list[Path]:
    """What may be a drive in a folder: the label of a FAT has no dot."""
    try:
        with os.scandir(place) as entries:
            found = (Path(one.path) for one in entries if "." not in one.name and one.is_dir())
            return list(islice(found, _MOST_DRIVES))
    except OSError:
        return []


def _volume(path: Path, seat: str = "", device: str = "") -> Volume | None:
    facts = _info(path)
    return Volume(path, *facts, seat or str(path.parent), device) if facts else None


def _info(path: Path) -> tuple[str, str] | None:
    """What a folder's INFO_UF2.TXT says; None if there is none that can be believed."""
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with os.fdopen(os.open(path / INFO_FILE, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            raw = file.read(_MOST_INFO + 1)
    except OSError:
        return None
    return parsed(raw) if len(raw) <= _MOST_INFO else None


def _mounted(host: Host) -> Iterator[Volume]:
    if not host.mounts.exists():
        yield from _placed([_MAC_DRIVES])
        return
    for device, path in _fat_mounts(host):
        name = device.rpartition("/")[2]
        found = _volume(path, _seat_of_device(name, host), name)
        if found:
            yield found


def _fat_mounts(host: Host) -> Iterator[tuple[str, Path]]:
    """Device and folder of every FAT drive: a look at others may wait for a server for ever."""
    try:
        with host.mounts.open("rb") as file:
            text = file.read(_MOST_TABLE).decode(errors="surrogateescape")
    except OSError:
        return
    for words in map(str.split, text.splitlines()):
        if len(words) >= 3 and words[2] in _FAT and words[0].startswith("/dev/"):
            yield words[0], Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), words[1]))


def _seat_of_device(name: str, host: Host) -> str:
    link = host.sys / "class" / "block" / name
    return usb_path(os.path.realpath(link)) if link.exists() else ""
