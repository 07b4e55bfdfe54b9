"""What is plugged in, and where: serial ports and UF2 volumes, by the seat they are at.

A seat is where one unit is plugged: a USB path, as 1-1.4, or the folder of a virtual unit. It
stays the same while the unit goes from boot loader to MicroPython, whose names change.
Never opens a port.
"""

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

from ..boards import Board
from ..errors import UsageError
from ..flash.ports import seat_of
from ..flash.volumes import Volume, volumes

_MOST = 256  # seats at a time


@dataclass(frozen=True)
class Wanted:
    """A kind of board that the line makes. places: globs of ports, or of virtual units' folders;
    none: ports by the kind's USB ids."""

    board: Board
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sighting:
    """One unit: where it is, of which kind, and how it is to be spoken to now."""

    seat: str
    board: Board
    port: str | None
    volume: Volume | None


class Seats:
    """Looks at the places of the kinds that are wanted."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self._wanted = wanted

    def look(self) -> list[Sighting]:
        """Return what is plugged in now, at most one unit a seat, in the order of seats."""
        found: dict[str, Sighting] = {}
        for wanted in self._wanted:
            for one in _sightings(wanted):
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


def _sightings(wanted: Wanted) -> list[Sighting]:
    if wanted.places:
        paths = [Path(path) for place in wanted.places for path in glob.glob(place)]
        return [one for path in sorted(paths) for one in _at_path(wanted.board, path)]
    return _by_usb(wanted.board)


def _at_path(board: Board, path: Path) -> list[Sighting]:
    """What a path is: a virtual unit's folder, a volume, or a port."""
    if (path / "virtual.json").is_file():
        return _virtual(board, path, str(path.resolve()))
    if path.is_dir():
        return _volumes(board, [path], "")
    return [Sighting(seat_of(str(path)) or str(path), board, str(path), None)]


def _virtual(board: Board, folder: Path, seat: str) -> list[Sighting]:
    port = folder / "port"
    if port.exists():
        return [Sighting(seat, board, str(port), None)]
    return _volumes(board, [folder], seat) if board.uf2 else []


def _by_usb(board: Board) -> list[Sighting]:
    ports = [
        Sighting(seat_of(port.device) or port.device, board, port.device, None)
        for port in list_ports.comports()
        if port.vid is not None and f"{port.vid:04x}:{port.pid:04x}" in board.usb
    ]
    return ports + (_volumes(board, None, "") if board.uf2 else [])


def _volumes(board: Board, places: Iterable[Path] | None, seat: str) -> list[Sighting]:
    found = volumes(None if places is None else list(places))
    wanted = board.uf2.board_id if board.uf2 else None
    return [
        Sighting(seat or one.seat, board, None, one)
        for one in found
        if wanted and one.board_id.startswith(wanted)
    ]
