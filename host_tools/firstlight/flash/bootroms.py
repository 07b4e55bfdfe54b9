"""Boot ROMs on the USB, whether their drives are mounted or not, as /sys tells of them.

A seat is a USB path, as in volumes.py. Never opens a device.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .volumes import HOST, Host, usb_path

_VENDOR = "2e8a"
_KINDS = {"0003": "RPI-RP2", "000f": "RP2350"}  # product ids of the two, and their Board-IDs
_NUMBER = re.compile("[0-9]{1,4}")


@dataclass(frozen=True)
class Loader:
    """A boot ROM on the USB. bus, address: as the USB numbers them; drive: its block device."""

    seat: str
    board_id: str
    bus: int
    address: int
    drive: str | None


def loaders(host: Host = HOST) -> list[Loader]:
    """The boot ROMs that are on the USB now, by seat; none where the system has no /sys."""
    try:
        devices = sorted((host.sys / "bus" / "usb" / "devices").iterdir())
    except OSError:
        return []
    return [found for device in devices if (found := _loader(device, host))]


def _loader(device: Path, host: Host) -> Loader | None:
    seat = usb_path(device.name)
    board_id = _KINDS.get(_fact(device, "idProduct"))
    if seat != device.name or board_id is None or _fact(device, "idVendor") != _VENDOR:
        return None
    numbers = [_fact(device, name) for name in ("busnum", "devnum")]
    if not all(_NUMBER.fullmatch(number) for number in numbers):
        return None
    drives = sorted(_drives(seat, host), key=len)  # sda before sda1: the partition is last
    return Loader(seat, board_id, int(numbers[0]), int(numbers[1]), drives[-1] if drives else None)


def _drives(seat: str, host: Host) -> Iterator[str]:
    try:
        links = list((host.sys / "class" / "block").iterdir())
    except OSError:
        return
    yield from (link.name for link in links if usb_path(os.path.realpath(link)) == seat)


def _fact(device: Path, name: str) -> str:
    try:
        with (device / name).open("rb") as file:
            return file.read(64).decode("ascii", "replace").strip()
    except OSError:
        return ""
