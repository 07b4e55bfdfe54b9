"""Units that are cut off, pulled out, swapped and lied to, at any step: the record is right.

A model of boards under the real line and a real record. A plan says at which step of which run
what strikes; hypothesis looks for the plan that breaks a law.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight import boards, keys
from firstlight import inject as injection
from firstlight.flash import esptool, flashing
from firstlight.line import reach, unit
from firstlight.line.credentials import Certificates
from firstlight.line.stages import finished, injected, made_with, remaining
from firstlight.line.station import Flashing, Station
from firstlight.line.unit import Result, Unit
from firstlight.record.record import Record
from tests.line import stations
from tests.line.model import (
    CHIPS,
    KINDS,
    LEFT,
    Deadly,
    Device,
    Event,
    Killed,
    Memory,
    PaperMill,
    Repl,
    World,
)


@dataclass(frozen=True)
class Shift:
    """One run of the line with the first board at the seat, and what strikes in it."""

    plan: dict[int, Event]
    flashes: bool = True
    again: bool = False
    boots: bool = False
    bootsel: bool = False  # the operator holds the button
    certifies: bool = False  # the line has a CA, and not a group's key


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    folder = tmp_path_factory.mktemp("model")
    with Record.open(folder / "line.db", "bench", notes=folder / "heads") as found:
        yield found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(reach, "BACK_S", 0.001)
    monkeypatch.setattr(reach, "_LOOK_S", 0.0005)
    return monkeypatch


def station_of(record: Any, world: World, shift: Shift) -> Station:
    chosen = {"flash": shift.flashes, "inject": True, "prove": True, "boot": shift.boots}
    deadly: Any = Deadly(record, world)
    return stations.station(
        deadly,
        {},
        [],
        seats=world,
        flashing=(lambda _: Flashing((), "f" * 64)) if shift.flashes else None,
        wanted=(*(stage for stage, is_wanted in chosen.items() if is_wanted), "unit"),
        again=shift.again,
        credentials=CREDENTIALS[shift.certifies],
    )


def run(patch: pytest.MonkeyPatch, record: Any, world: World, shift: Shift) -> Result | None:
    """What the line said of the unit; None if it was killed."""
    world.plan, world.steps, world.is_swapped = shift.plan, 0, False
    one = world.device()
    one.waits = one.kind.loader == "uf2" and (one.waits or shift.bootsel)
    patch.setattr(reach, "Repl", lambda _port, **_: Repl(world))
    patch.setattr(esptool, "chip", world.chip)
    patch.setattr(flashing, "flash", world.flash)
    patch.setattr(injection, "inject", world.inject)
    patch.setattr(injection, "prove", world.prove)
    patch.setattr(unit, "watch", world.watch)
    sighting = world.at(world.seat)
    assert sighting is not None
    result = None
    with suppress(Killed):
        result = Unit(station_of(record, world, shift), sighting).run()
    world.other.was_unseen |= world.is_swapped and len(shift.plan) > 1
    return result


def right(record: Any, one: Device) -> tuple[str, str]:
    """What the board is to hold: the one key of its name, or the certificate of the record."""
    name = record.claimed(one.chip) or ""
    facts = injected(record.history(one.chip))
    if "certificate" in facts:
        return name, facts["certificate"]
    return name, keys.derive(stations.GROUP_KEY, name) if name else ""


def check(record: Any, world: World, one: Device) -> None:
    """The laws, whatever happened so far."""
    history = record.history(one.chip)
    said = [(entry.stage, entry.outcome) for entry in history]
    assert said.count(("unit", "done")) <= 1
    assert said.count(("claim", "done")) <= 1
    if one.identity is not None:
        assert ("inject", "begun") in said, "nobody said that it was to get an identity"
    is_whole = one.identity is not None and one.identity == right(record, one) and one.proven
    if finished(history) and not is_whole:
        is_blind = world.blind > history[-1].number
        assert remaining(history, LEFT, "") or is_blind or one.was_unseen, said


CREDENTIALS = (stations.group_keys(), Certificates(PaperMill()))
EVENTS = st.dictionaries(
    st.integers(1, 45), st.sampled_from(["kill", "pull", "wrong", "swap"]), max_size=3
)
SHIFTS = st.builds(
    Shift, EVENTS, st.sampled_from([True, True, False]), *[st.booleans() for _ in range(4)]
)


PLANS: dict[str, Any] = {
    "kind": st.sampled_from(KINDS),
    "made": st.integers(0, 2),
    "shifts": st.lists(SHIFTS, min_size=1, max_size=4),
}
FIXED = [HealthCheck.function_scoped_fixture]  # the patches are the same for each plan


@settings(max_examples=200, suppress_health_check=FIXED)
@given(**PLANS)
def test_whatever_strikes_when_the_record_says_what_a_board_holds(
    quick: pytest.MonkeyPatch, kind: str, made: int, shifts: list[Shift]
) -> None:
    take(quick, Memory(), kind, made, shifts)


@settings(max_examples=6, suppress_health_check=FIXED)
@given(**PLANS)
def test_a_real_record_says_it_too(
    quick: pytest.MonkeyPatch, record: Record, kind: str, made: int, shifts: list[Shift]
) -> None:
    take(quick, record, kind, made, shifts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("event", ["kill", "pull", "wrong", "swap"])
def test_one_blow_at_any_step_of_a_bare_unit_or_a_device(
    quick: pytest.MonkeyPatch, kind: str, event: Event
) -> None:
    for step in range(1, 42):
        for made in range(3):
            again, bootsel, certifies = made == 2, step % 2 > 0, step % 3 == 0
            shift = Shift({step: event}, True, again, True, bootsel, certifies)
            take(quick, Memory(), kind, made, [shift])


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_device_that_does_not_answer_once_is_not_flashed(
    quick: pytest.MonkeyPatch, kind: str
) -> None:
    one = Device(boards.load(kind), "0a0b0c0d", kind == "VIRTUAL")
    record, world = Memory(), World("1-1", one, one)
    bring(quick, record, world, one)
    result = run(quick, record, world, Shift({1: "wrong"}))
    assert (result and result.state, one.proven) == ("skipped", True)


def test_an_esp32_that_lost_its_identity_gets_it_again(quick: pytest.MonkeyPatch) -> None:
    one = Device(boards.load("ESP32_GENERIC"), "0a0b0c0d", runs=False)
    record, world = Memory(), World("1-1", one, one)
    bring(quick, record, world, one)
    one.identity, one.proven = None, False
    result = run(quick, record, world, Shift({}))
    assert (result and result.state, one.proven) == ("passed", True)


def take(
    patch: pytest.MonkeyPatch, record: Any, kind: str, made: int, shifts: list[Shift]
) -> None:
    """Two boards of a kind; the first goes through shifts. made: how many are devices, before."""
    board = boards.load(kind)
    chips = [f"{next(CHIPS):012x}" for _ in range(2)]
    devices = [Device(board, chip, board.loader == "virtual") for chip in chips]
    world = World(chips[0], devices[0], devices[1])
    for one in devices[2 - made :]:
        bring(patch, record, world, one, certifies=shifts[0].certifies)
    for shift in shifts:
        world.there = devices[0]
        run(patch, record, world, shift)
        for one in devices:
            check(record, world, one)
    for one in devices:
        bring(patch, record, world, one)


def bring(
    patch: pytest.MonkeyPatch, record: Any, world: World, one: Device, certifies: bool = False
) -> None:
    """Twice without trouble: what a first run finds out, the second mends. Then it is a device.

    certifies: unless it has an identity already: its line is of the same kind then.
    """
    world.there, one.was_unseen = one, False
    fact, _ = made_with(injected(record.history(one.chip)))
    shift = Shift({}, certifies=fact == "authority" if fact else certifies)
    results = [run(patch, record, world, shift) for _ in range(2)]
    state = results[-1].state if results[-1] else "killed"
    assert state in ("passed", "skipped", "re-proved"), results
    assert one.identity == right(record, one)
    check(record, world, one)
    assert [e.stage for e in record.history(one.chip) if e.outcome == "done"].count("unit") == 1
