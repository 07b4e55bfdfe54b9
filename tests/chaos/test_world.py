"""What surrounds a board fails: time, names, the air, the power. It is back by itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.field import Field, Site

NOBODY = "127.0.0.9"  # nobody listens there


@pytest.mark.parametrize("answer", [[], [NOBODY]], ids=["no name", "nobody there"])
def test_without_a_time_server_a_clock_that_goes_is_trusted(
    answer: list[str], field: Field
) -> None:
    field.dns({"127.0.0.1": answer})
    for _ in range(2):
        field.kick()
        field.recovers()
    field.is_sound()


def test_a_board_that_knows_no_time_waits_for_one(field: Field) -> None:
    field.dns({"127.0.0.1": [], "localhost": []})
    field.cut_power()
    for _ in range(2):
        field.fails()
    field.dns({})
    field.recovers()
    field.is_sound()


@pytest.mark.parametrize("answer", [[], [NOBODY]], ids=["fails", "lies"])
@pytest.mark.parametrize("provoke", [Field.kick, Field.reprovision])
def test_a_dns_that_fails_or_lies(
    answer: list[str], provoke: Callable[[Field], None], field: Field
) -> None:
    field.dns({"localhost": answer})
    provoke(field)
    for _ in range(2):
        field.fails()
    field.dns({})
    field.recovers()
    field.is_sound()


def test_a_wifi_that_goes_and_comes_back(field: Field) -> None:
    for _ in range(2):
        field.board.set_air(wifi={})
        field.proxy.cut("hole")
        for _ in range(2):
            field.fails()
        field.board.set_air()
        field.recovers()
    field.is_sound()


def test_a_wifi_that_says_it_is_there_and_is_not(field: Field) -> None:
    field.board.set_air(wifi={}, quirks=["lies"])
    field.proxy.accepts = False
    field.proxy.cut("hole")
    for _ in range(3):
        field.fails()
    field.board.set_air()
    field.peace()
    field.recovers()
    field.is_sound()


def test_the_power_may_go_at_any_step(field: Field) -> None:
    for step in ("clock ", "assigned", "connected to"):
        if step == "assigned":  # the steps before it: the next test
            field.reprovision()
        else:
            field.cut_power()
        field.until(step)
        field.cut_power()
        field.recovers()
    field.is_sound()


def test_the_power_may_go_before_anything_was_ever_kept(site: Site, tmp_path: Path) -> None:
    with Field(tmp_path / "board", site) as field:
        for step in ("wifi ", "registering", "assigning", "assigned", "connected to"):
            field.until(step)
            field.cut_power()
        field.recovers()
        field.is_sound()
