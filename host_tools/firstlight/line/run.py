"""The line: who is at which seat, a thread for each unit, and an end when it is asked for.

Takes a unit that appears, however many are at work; leaves one alone that is through until it has
been taken off. Decides nothing about a unit: unit.py does.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .messages import CALL, GONE
from .rows import Row, State
from .seats import Sighting, short
from .station import Station
from .unit import Result, Unit

if TYPE_CHECKING:
    from .screen import Screen

_LOOK_S = 0.25
_AWAY_S = 2.0  # a unit that was reset is off the USB for a moment; it was not taken off
_LOOSE_S = 1.0  # a loose contact is not to start its unit many times a second
_END_S = 20.0  # for the units to stop where they can
_MOST_UNITS = 256  # plugged in; at work are jobs at most
_LEFT = "it did not stop in time: plug it in again later, it goes on"
_STATES: dict[str, State] = {
    "passed": "passed",
    "re-proved": "passed",
    "skipped": "skipped",
    "failed": "failed",
    "stopped": "waiting",
}


class Flag:
    """Is set once, also by a signal's handler: whom that interrupts may hold an Event's lock."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Set it, for good."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set


@dataclass
class _Seat:
    """One seat: the unit at it, its thread, and how it ended."""

    unit: Unit
    thread: threading.Thread
    started_s: float
    seen_s: float
    results: list[Result] = field(default_factory=list)  # written once, by the thread
    ended_s: float = 0.0
    result: Result | None = None

    @property
    def place(self) -> str:
        return self.unit.seat

    @property
    def at_work(self) -> bool:
        return self.thread.is_alive()

    @property
    def was_pulled(self) -> bool:
        """Whether the unit ended because it was not there any more."""
        return self.result is not None and self.result.advice == GONE


@dataclass
class Line:
    """A line at work. jobs: units at a time. stopped is set from outside, to end it."""

    station: Station
    screen: "Screen"
    jobs: int = 16
    clock: Callable[[], float] = time.monotonic
    results: list[Result] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    draining: Flag = field(default_factory=Flag)
    stopped: Flag = field(default_factory=Flag)
    _seats: dict[str, _Seat] = field(default_factory=dict)
    _stopped_s: float = 0.0

    def run(self, count: int | None = None) -> None:
        """Work until count units are through; None: until draining is set, and all are.

        draining: take no new unit; stopped: the units at work stop where they can.
        """
        while not self._is_over(count):
            self._look(count)
            self._collect()
            self.screen.show(self._rows())
            time.sleep(_LOOK_S)
        self._collect()
        self._give_up()
        self.screen.show(self._rows())

    def _is_over(self, count: int | None) -> bool:
        if any(seat.at_work for seat in self._seats.values()):
            return self.stopped.is_set() and self._waited_enough()
        over = self.draining.is_set() or self.stopped.is_set()
        return over or (count is not None and len(self.results) >= count)

    def _waited_enough(self) -> bool:
        """Whether the units had their time to stop."""
        self._stopped_s = self._stopped_s or self.clock()
        return self.clock() - self._stopped_s > _END_S

    def _give_up(self) -> None:
        """Count the units that did not stop; their threads end with the process."""
        for seat in self._seats.values():
            if not seat.ended_s:
                self._end(seat, Result(seat.place, seat.unit.progress.name, "stopped", _LEFT))

    def _look(self, count: int | None) -> None:
        now_s = self.clock()
        there = {sighting.seat: sighting for sighting in self.station.seats.look()}
        for name, seat in list(self._seats.items()):
            if name in there:
                seat.seen_s = now_s
                if seat.was_pulled and now_s - seat.ended_s > _LOOSE_S:
                    del self._seats[name]  # it is back, and goes on
            elif seat.ended_s and now_s - max(seat.seen_s, seat.ended_s) > _AWAY_S:
                del self._seats[name]
        for name, sighting in there.items():
            if name not in self._seats and self._takes(count):
                self._start(sighting, now_s)

    def _takes(self, count: int | None) -> bool:
        is_ending = self.draining.is_set() or self.stopped.is_set()
        if is_ending or len(self._seats) >= _MOST_UNITS:
            return False
        working = [seat for seat in self._seats.values() if not seat.ended_s]
        return len(working) < self.jobs and (
            count is None or len(self.results) + len(working) < count
        )

    def _start(self, sighting: Sighting, now_s: float) -> None:
        unit = Unit(self.station, sighting, self.stopped.is_set)
        results: list[Result] = []
        thread = threading.Thread(target=lambda: results.append(unit.run()), daemon=True)
        self._seats[sighting.seat] = _Seat(unit, thread, now_s, now_s, results)
        thread.start()

    def _collect(self) -> None:
        for seat in self._seats.values():
            if not seat.ended_s and not seat.at_work:
                bug = Result(seat.place, "", "failed", CALL, "this is a bug: its thread ended")
                self._end(seat, seat.results[0] if seat.results else bug)

    def _end(self, seat: _Seat, result: Result) -> None:
        seat.ended_s, seat.result = self.clock(), result
        self.results.append(result)
        self.seconds.append(seat.ended_s - seat.started_s)

    def _rows(self) -> list[Row]:
        return [_row(name, seat) for name, seat in sorted(self._seats.items())]


def _row(name: str, seat: _Seat) -> Row:
    board, progress = seat.unit.board.id, seat.unit.progress
    name = short(name)
    result = seat.result
    if result is None:
        return Row(
            name, board, progress.name, progress.stage, progress.part, "working", progress.text
        )
    state: State = "gone" if seat.was_pulled else _STATES[result.state]
    return Row(name, board, result.name, progress.stage, None, state, result.advice)
