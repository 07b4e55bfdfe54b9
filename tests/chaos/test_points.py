"""Every step of the path, and everything that can go wrong there: the board is back by itself.

What is tried is not written here but taken from the emulator's own table of faults, so that a new
one is tried too. Each strikes once; while it does not, the board must reach the step. At a point
every fifth one is tried, the others at its neighbours; FIRSTLIGHT_CHAOS=all tries all.
"""

import os
from collections.abc import Callable, Iterator

import pytest

from firstlight.emulator.faults.table import ACTIONS, WIRE
from tests.chaos.field import Field

ALL = os.environ.get("FIRSTLIGHT_CHAOS") == "all"
_LATER_S = 0.4  # longer than a board in fast time waits for an answer
_HELD_S = 1.0
# What an action needs to be told; more than one: each is tried.
_ARGS: dict[str, tuple[str, ...]] = {
    "delay": (f"seconds={_LATER_S}",),
    "hold": (f"seconds={_HELD_S}",),
    "close": ("end=close", "end=fin", "end=reset"),
    "cut": ("bytes=1 end=hold", "bytes=3 end=fin"),
    "split": ("size=1 gap=0.001",),
    "duplicate": ("count=2",),
    "replace": ("hex=", "hex=00", "hex=d0ff", "hex=30ffffffff7f", "hex=2003000000"),
    "code": ("value=3", "value=128"),
    "refuse": ("",),
    "limit": ("packets_in=2", "packets_out=2", "seconds=0.1"),
    "certificate": ("kind=not-yet-valid", "kind=wrong-name"),
    "alert": ("",),
    "ignore": ("",),
    "drop": ("",),
}
_DOORS = ("accept", "hello")
_TO_A_SERVICE = ("connect", "connack")
_ASKED = ("register", "register-puback", "register-answer", "poll", "poll-puback", "poll-answer")
_OF_DPS = ("subscribe", "suback", *_ASKED)
_BY_ITSELF = ("telemetry", "telemetry-puback")
_AT_BEGIN = ("subscribe", "suback", "twin-get", "twin-get-answer")
_PINGS = ("pingreq", "pingresp")


def variants(point: str) -> Iterator[str]:
    """The words of faults of the wire, and of the door, at a point."""
    shift = sum(map(ord, point))
    there = [action for action in ACTIONS if point in action.points and action.name in _ARGS]
    for number, action in enumerate(there):
        every = _ARGS[action.name]
        if point in _DOORS:  # where nothing can be ended in good order
            every = tuple(args for args in every if args != "end=close")
        if ALL:
            yield from (f"{point} {action.name} {args} times=1" for args in every)
        elif (number + shift) % 5 == 0:
            yield f"{point} {action.name} {every[(number + shift) // 5 % len(every)]} times=1"


def strike_all(
    field: Field,
    point: str,
    provoke: Callable[[Field], None] | None,
    whom: str,
    most: int | None = None,
    then: Callable[[Field], None] = lambda _: None,
) -> None:
    """Strike with everything there is at a point, or so much of it; it recovers, and works."""
    for words in list(variants(point))[:most]:
        try:
            field.strike(f"{words} {whom}", provoke)
            field.recovers()
            then(field)
        except AssertionError as error:
            raise AssertionError(f"{words}: {error}") from None
        field.peace()
    field.is_sound(field.dropped())  # a refusal may be taken for an answer, for an hour


def test_everything_that_the_table_has_is_tried() -> None:
    tried = {action.name for action in ACTIONS if action.stage == WIRE}
    assert tried <= set(_ARGS)


@pytest.mark.parametrize("point", [*_DOORS, *_TO_A_SERVICE])
def test_on_the_way_to_a_hub(point: str, field: Field) -> None:
    strike_all(field, point, Field.kick, "part=hub" if point not in _DOORS else "")


@pytest.mark.parametrize("point", [*_TO_A_SERVICE, *_OF_DPS])
def test_while_it_registers(point: str, field: Field) -> None:
    strike_all(field, point, Field.reprovision, "part=dps")


@pytest.mark.parametrize("point", _BY_ITSELF)
def test_while_it_sends(point: str, field: Field) -> None:
    strike_all(field, point, None, "part=hub")
