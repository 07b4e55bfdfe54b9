"""Seats and threads: who is taken, who is through, and that a line always comes to its end."""

import io
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from serial.tools import list_ports

from firstlight import boards
from firstlight.errors import BoardError
from firstlight.flash import flashing, picotool
from firstlight.flash.bootroms import Loader
from firstlight.flash.pieces import Piece
from firstlight.line import messages, run, seats
from firstlight.line.run import Line
from firstlight.line.screen import Screen
from firstlight.line.seats import Seats, Sighting, Wanted
from firstlight.line.unit import Progress, Result

VIRTUAL = boards.load("VIRTUAL")


class Hub:
    """Seats with names; take: what is done to one when a unit begins there."""

    def __init__(self, names: list[str], take: Callable[["Unit"], str]) -> None:
        self.names, self.take = names, take
        self.begun: list[str] = []

    def look(self) -> list[Sighting]:
        return [Sighting(name, VIRTUAL, "port", None) for name in self.names]


class Unit:
    """A unit that does what its hub's test wants."""

    def __init__(self, station: Any, sighting: Sighting, stopped: Callable[[], bool]) -> None:
        self.seat, self.board = sighting.seat, sighting.board
        self.stopped, self.progress = stopped, Progress()
        self._hub: Hub = station.seats

    def run(self) -> Result:
        self._hub.begun.append(self.seat)
        state = self._hub.take(self)
        if state == "gone":
            return Result(self.seat, "", "failed", messages.GONE)
        return Result(self.seat, "", state)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "Unit", Unit)
    for name, seconds in (
        ("_LOOK_S", 0.01),
        ("_AWAY_S", 0.1),
        ("_LOOSE_S", 0.05),
        ("_END_S", 0.2),
    ):
        monkeypatch.setattr(run, name, seconds)


@pytest.fixture
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def line(shown: io.StringIO) -> Iterator[Callable[..., Line]]:
    """Make a line at a hub. It must end by itself, in seconds."""
    made: list[Line] = []

    def make(hub: Hub, **wishes: Any) -> Line:
        station: Any = SimpleNamespace(seats=hub)
        made.append(Line(station, Screen(Console(file=shown), "a line", bell=False), **wishes))
        return made[-1]

    yield make
    for each in made:
        each.stopped.set()


def states(line: Line) -> list[str]:
    return [result.state for result in line.results]


def test_each_unit_is_taken_once_until_it_was_off(line: Callable[..., Line]) -> None:
    hub = Hub([f"1-{n}" for n in range(70)], lambda _: "passed")
    work = line(hub, jobs=4)
    work.run(count=70)
    assert sorted(hub.begun) == sorted(hub.names)
    assert states(work) == ["passed"] * 70
    assert len(work.seconds) == 70


def test_a_unit_that_comes_again_is_taken_again(line: Callable[..., Line]) -> None:
    def take(unit: Unit) -> str:
        if len(hub.begun) == 1:
            hub.names = []
            threading.Timer(0.5, lambda: hub.names.append(unit.seat)).start()
        return "passed"

    hub = Hub(["1-1"], take)
    work = line(hub)
    work.run(count=2)
    assert hub.begun == ["1-1", "1-1"]


def test_a_unit_that_was_pulled_out_and_is_back_at_once_goes_on(line: Callable[..., Line]) -> None:
    hub = Hub(["1-1"], lambda _: "gone" if len(hub.begun) == 1 else "passed")
    work = line(hub)
    work.run(count=2)
    assert states(work) == ["failed", "passed"]


def test_no_more_units_are_at_work_than_there_are_jobs(line: Callable[..., Line]) -> None:
    most: list[int] = []
    at_work = threading.Semaphore(3)

    def take(_: Unit) -> str:
        most.append(1)
        assert at_work.acquire(blocking=False)
        threading.Event().wait(0.02)
        at_work.release()
        return "passed"

    work = line(Hub([f"1-{n}" for n in range(9)], take), jobs=3)
    work.run(count=9)
    assert states(work) == ["passed"] * 9


def test_a_thread_that_ends_without_a_word_is_a_unit_that_failed(
    line: Callable[..., Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(_: Unit) -> str:
        raise SystemExit

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    work = line(Hub(["1-1"], take))
    work.run(count=1)
    assert [(result.state, result.advice) for result in work.results] == [
        ("failed", messages.CALL)
    ]


def test_a_unit_that_does_not_stop_is_counted_and_left(
    line: Callable[..., Line], shown: io.StringIO
) -> None:
    stuck = threading.Event()

    def take(_: Unit) -> str:
        work.stopped.set()
        work.screen.say("stopping the units")
        stuck.wait(20)
        return "passed"

    work = line(Hub(["1-1"], take))
    work.run()
    stuck.set()
    assert states(work) == ["stopped"]
    assert "WAIT: it did not stop in time" in shown.getvalue()


def test_a_line_that_drains_lets_the_unit_at_work_come_through_and_takes_no_other(
    line: Callable[..., Line],
) -> None:
    def take(_: Unit) -> str:
        work.draining.set()
        hub.names.append("1-2")
        threading.Event().wait(0.1)
        return "passed"

    hub = Hub(["1-1"], take)
    work = line(hub)
    work.run()
    assert hub.begun == ["1-1"]


def test_a_port_that_goes_while_it_is_looked_at_does_not_end_the_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [
        SimpleNamespace(device=f"/dev/ttyACM{n}", vid=0x2E8A, pid=5, location=f"1-1.{n}:1.0")
        for n in (1, 2)
    ]
    looks: list[Any] = [TypeError("int() of None"), OSError(19, "No such device"), found]

    def comports() -> Any:
        look = looks.pop(0)
        if isinstance(look, Exception):
            raise look
        return look

    monkeypatch.setattr(list_ports, "comports", comports)
    monkeypatch.setattr(seats, "volumes", lambda _: [])
    there = Seats([Wanted(boards.load("RPI_PICO_W"))]).look()
    assert [(one.seat, one.port) for one in there] == [
        ("1-1.1", "/dev/ttyACM1"),
        ("1-1.2", "/dev/ttyACM2"),
    ]
    assert looks == [], "all ports of a look are read once"


def test_a_boot_loader_whose_drive_nobody_mounted_is_seen_and_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare = Loader("1-1.3", "RPI-RP2", 1, 7, "sda1")
    monkeypatch.setattr(list_ports, "comports", list)
    monkeypatch.setattr(seats, "volumes", lambda _: [])
    monkeypatch.setattr(seats, "loaders", lambda: [bare])
    monkeypatch.setattr(picotool, "program", lambda: None)
    pico = boards.load("RPI_PICO_W")
    (there,) = Seats([Wanted(pico)]).look()
    assert (there.seat, there.port, there.volume) == ("1-1.3", None, bare)
    place = flashing.Place(there.port, there.volume)
    piece = Piece(0, bytes(256), "firmware")
    with pytest.raises(BoardError, match="not mounted: udisksctl mount -b /dev/sda1"):
        flashing.flash(pico, place, [piece], flashing.Options(), lambda _: None, lambda _: None)
    assert Seats([Wanted(boards.load("RPI_PICO2_W"))]).look() == []
