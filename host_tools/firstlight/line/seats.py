"""What is plugged in, and where: serial ports and UF2 volumes, by the seat they are at.

A seat is where one unit is plugged: a USB path, as 1-1.4, or the folder of a virtual unit. It
stays the same while the unit goes from boot loader to MicroPython, whose names change.
Never opens a port.
"""

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from ..boards import Board
from ..errors import UsageError
from ..flash.bootroms import loaders
from ..flash.choice import Target
from ..flash.ports import seat_of
from ..flash.volumes import volumes

_MOST = 256  # seats at a time
_TRIES = 3


@dataclass(frozen=True)
class Wanted:
    """A kind of board that the line makes. places: globs of ports, or of virtual units' folders;
    none: ports by the kind's USB ids."""

    board: Board
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sighting:
    """One unit: where it is, of which kind, and how it is to be spoken to now.

    volume: its boot loader's drive, or the boot loader itself while nobody mounted that.
    """

    seat: str
    board: Board
    port: str | None
    volume: Target | None


class Seats:
    """Looks at the places of the kinds that are wanted."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self._wanted = wanted

    def look(self) -> list[Sighting]:
        """Return what is plugged in now, at most one unit a seat, in the order of seats."""
        for _ in range(_TRIES):
            # A port that goes while pyserial looks at it ends the look (int() of nothing).
            with suppress(OSError, TypeError, ValueError):
                return self._seen()
        return []

    def _seen(self) -> list[Sighting]:
        found: dict[str, Sighting] = {}
        ports = list_ports.comports()
        for wanted in self._wanted:
            for one in _sightings(wanted, ports):
                there = found.get(one.seat)
                if there is None or (there.port is None and one.port is not None):
                    found[one.seat] = one
        return [found[seat] for seat in sorted(found)][:_MOST]

    def at(self, seat: str) -> Sighting | None:
        """Return what is at a seat now."""
        return next((one for one in self.look() if one.seat == seat), None)


def short(seat: str) -> str:
    """A seat as people know it: of a virtual unit's folder, the last name."""
    return seat.rpartition("/")[2][-64:]


def parse(text: str, board: Board) -> Wanted:
    """Read BOARD, or BOARD=GLOB, as the command line has it; board: the one of that name."""
    _, equals, place = text.partition("=")
    if equals and not place:
        raise UsageError(f"{text}: name the ports after the =, as {board.id}=/dev/ttyUSB*")
    if not equals and not board.usb and not board.uf2:
        raise UsageError(f"a {board.id} has no USB: name its ports, as {board.id}=tray/*")
    return Wanted(board, (place,) if place else ())


def _sightings(wanted: Wanted, ports: Sequence[ListPortInfo]) -> list[Sighting]:
    if wanted.places:
        seats = {os.path.realpath(port.device): _seat(port) for port in ports}
        paths = [Path(path) for place in wanted.places for path in glob.glob(place)]
        return [one for path in sorted(paths) for one in _at_path(wanted.board, path, seats)]
    return _by_usb(wanted.board, ports)


def _at_path(board: Board, path: Path, seats: Mapping[str, str]) -> list[Sighting]:
    """What a path is: a virtual unit's folder, a volume, or a port. seats: of USB ports."""
    if (path / "virtual.json").is_file():
        return _virtual(board, path, str(path.resolve()))
    if path.is_dir():
        return _volumes(board, [path], "")
    seat = seats.get(os.path.realpath(path)) or seat_of(str(path)) or str(path)
    return [Sighting(seat, board, str(path), None)]


def _seat(port: ListPortInfo) -> str:
    """A port's USB path without the interface, which another mode of the board may not have."""
    return (port.location or "").partition(":")[0]


def _virtual(board: Board, folder: Path, seat: str) -> list[Sighting]:
    port = folder / "port"
    if port.exists():
        return [Sighting(seat, board, str(port), None)]
    return _volumes(board, [folder], seat) if board.uf2 else []


def _by_usb(board: Board, ports: Sequence[ListPortInfo]) -> list[Sighting]:
    found = [
        Sighting(_seat(port) or port.device, board, port.device, None)
        for port in ports
        if port.vid is not None and f"{port.vid:04x}:{port.pid:04x}" in board.usb
    ]
    return found + (_volumes(board, None, "") if board.uf2 else [])


def _volumes(board: Board, places: Iterable[Path] | None, seat: str) -> list[Sighting]:
    found: list[Target] = [*volumes(None if places is None else list(places))]
    if places is None:
        mounted = {one.seat for one in found}
        found += [one for one in loaders() if one.seat not in mounted]
    wanted = board.uf2.board_id if board.uf2 else None
    return [
        Sighting(seat or one.seat, board, None, one)
        for one in found
        if wanted and one.board_id.startswith(wanted)
    ]
