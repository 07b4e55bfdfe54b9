"""Every fault that has a name, while it lasts and after: the board is back by itself.

Of DPS's answers every second one is tried: each costs a board three TLS handshakes, and what it
makes of an answer is tests/board/test_provision.py's. FIRSTLIGHT_CHAOS=all tries all.
"""

from pathlib import Path

import pytest

from firstlight.emulator.faults.scenarios import SCENARIOS
from tests.chaos.field import Field, Site
from tests.chaos.test_points import ALL

# Of those that wait, the PC's time is meant: as long, for a board in fast time, as the name says.
_SHORTER = {
    "no TLS": "accept hold seconds=3",
    "TLS stops halfway": "hello cut bytes=100 end=hold",
    "half-open": "pingreq hold seconds=3",
    "slow link": "packet-out delay seconds=0.02",
    "kicked every 30 s": "connect limit seconds=0.2 part=hub",
}
_AT_DPS = ("poll", "register", "answer", "request")
_PINGS = ("pingre",)
_TALK = ("c2d", "twin")


def words(name: str) -> str:
    return _SHORTER.get(name, SCENARIOS[name])


def named(*points: str) -> list[str]:
    """The names of the scenarios that begin at such a point."""
    return [name for name in SCENARIOS if words(name).startswith(points)]


def parts(names: list[str], count: int) -> list[list[str]]:
    """In so many parts, each a test."""
    return [names[i::count] for i in range(count)]


AT_DPS = named(*_AT_DPS)
TALK = named(*_TALK)
AT_A_HUB = [name for name in SCENARIOS if name not in AT_DPS + TALK + named(*_PINGS)]


@pytest.mark.parametrize("names", parts(AT_DPS if ALL else AT_DPS[::2], 4), ids=lambda n: n[0])
def test_a_board_that_registers_again(names: list[str], field: Field) -> None:
    for name in names:
        fault = field.strike(words(name), Field.reprovision)
        if "times=" not in words(name):
            field.lasts(fault)
        field.peace()
        field.recovers()
    field.is_sound(field.dropped())  # "disabled" and the like last for hours


@pytest.mark.parametrize("names", parts(AT_A_HUB, 6), ids=lambda names: names[0])
def test_a_board_at_its_hub(names: list[str], field: Field) -> None:
    for name in names:
        fault = field.strike(words(name), Field.kick)
        field.lasts(fault)
        field.peace()
        field.recovers()
    field.is_sound()


@pytest.mark.parametrize("name", TALK)
def test_a_board_that_talks(name: str, field: Field) -> None:
    fault = field.strike(words(name), Field.kick if "get" in words(name) else talk)
    field.lasts(fault)
    field.peace()
    field.recovers()
    field.listens()
    field.is_sound()


def talk(field: Field) -> None:
    field.device.send("a word")
    field.want("a word")


@pytest.mark.parametrize("name", named(*_PINGS))
def test_a_board_that_is_quiet(name: str, site: Site, tmp_path: Path) -> None:
    with Field(tmp_path / "board", site, interval_s=900) as field:
        field.recovers(1)
        field.lasts(field.strike(words(name)))
        field.peace()
        field.recovers(1)
        field.is_sound()
