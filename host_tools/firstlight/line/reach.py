"""The unit at a seat, spoken to over its REPL, whatever its port is called by now.

Every wait is bounded, and ends at once when the line is stopped. Never speaks to another board
than the one that was met there first.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from ..errors import BoardError, ToolError
from ..flash import flashing
from ..flash.bootroms import Loader
from ..inject import IDENTITY_PATH
from ..repl import Repl
from .seats import Seats, Sighting

BACK_S = 45.0  # for a board to be back at its seat after a reset
_LOOK_S = 0.2
_MOUNT_S = 5.0
_PATIENCE_S = 8.0  # for a REPL that should be there
_TRIES = 2


class Stopped(ToolError):
    """The line was told to end; the unit goes on at the next one."""


def look(repl: Repl) -> tuple[str, bool]:
    """The chip's id, and whether the board has no identity."""
    is_empty = not repl.hashes([IDENTITY_PATH])[IDENTITY_PATH]
    return repl.unique_id().hex(), is_empty


class Reach:
    """The way to a unit. chip: its id, once it is known. stopped: true when the line is to end.

    at_repl: its firmware does not run, because we interrupted it.
    """

    def __init__(self, seats: Seats, sighting: Sighting, stopped: Callable[[], bool]) -> None:
        self.sighting = sighting
        self.chip = ""
        self.at_repl = False
        self._seats = seats
        self._stopped = stopped

    @property
    def is_there(self) -> bool:
        """Whether anything is at the seat now."""
        return self._seats.at(self.sighting.seat) is not None

    def glance(self, port: str) -> tuple[str, bool]:
        """The chip's id, and whether the board has no identity; "" if no MicroPython answers."""
        for _ in range(_TRIES):  # a port that just came may not be ours to open yet
            with suppress(BoardError), Repl(port, patience_s=_PATIENCE_S) as repl:
                self.at_repl = True
                return look(repl)
            self._pause()
        return "", False

    @contextmanager
    def repl(self) -> Iterator[Repl]:
        """The unit's REPL; a port that is going away, after a reset, gets a second chance."""
        with ExitStack() as stack:
            repl = self._entered(stack)
            if self.chip and repl.unique_id().hex() != self.chip:
                raise self.another()
            yield repl

    def another(self) -> BoardError:
        """What is to be raised when another board is met."""
        return BoardError(f"another board is at {self.sighting.seat} than a moment ago")

    def reset(self, repl: Repl) -> None:
        """Have the unit's firmware start."""
        repl.reset()
        self.at_repl = False

    def leave(self) -> None:
        """Have the unit's firmware run, if we interrupted it."""
        if self.at_repl:
            with self.repl() as repl:
                self.reset(repl)

    def port(self) -> str:
        """The unit's serial port. Raise BoardError if none came back in time."""
        until_s = time.monotonic() + BACK_S
        while True:
            found = self._seats.at(self.sighting.seat)
            if found is not None and found.port is not None:
                return found.port
            if time.monotonic() >= until_s:  # after a look: a halted process gets one, too
                raise BoardError(f"no serial port came back at {self.sighting.seat}")
            self._pause()

    def place(self) -> flashing.Place:
        """Where to flash. A drive is mounted a moment after its boot loader is there."""
        until_s = time.monotonic() + _MOUNT_S
        while isinstance(self.sighting.volume, Loader) and time.monotonic() < until_s:
            self._pause()
            self.sighting = self._seats.at(self.sighting.seat) or self.sighting
        return flashing.Place(self.sighting.port, self.sighting.volume)

    def stop_if_told(self) -> None:
        """Raise Stopped if the line is to end."""
        if self._stopped():
            raise Stopped("the line was stopped: plug it in again later, it goes on")

    def _pause(self) -> None:
        self.stop_if_told()
        time.sleep(_LOOK_S)

    def _entered(self, stack: ExitStack) -> Repl:
        for _ in range(_TRIES - 1):
            port = self.port()
            with suppress(BoardError):
                return self._enter(stack, port)
        return self._enter(stack, self.port())

    def _enter(self, stack: ExitStack, port: str) -> Repl:
        repl = stack.enter_context(Repl(port, patience_s=_PATIENCE_S))
        self.at_repl = True
        return repl
