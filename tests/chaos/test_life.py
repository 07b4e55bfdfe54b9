"""What a board does all its life, disturbed: it renews its token, keeps its connection alive."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.field import Field, Site
from tests.chaos.test_points import strike_all

_CONNECTS = "connected to"


@pytest.fixture
def quiet(site: Site, tmp_path: Path) -> Iterator[Field]:
    """A board that has so little to say that it has to ask whether anybody is there."""
    with Field(tmp_path / "board", site, interval_s=900) as made:
        made.recovers(1)
        yield made


@pytest.mark.parametrize("point", ["pingreq", "pingresp"])
def test_while_nothing_is_said(point: str, quiet: Field) -> None:
    strike_all(quiet, point, None, "part=hub")


def test_a_connection_that_is_gone_without_a_word_is_noticed(quiet: Field) -> None:
    for end in ("hole", "half-open"):
        quiet.proxy.cut(end)
        quiet.recovers(1)
    quiet.is_sound()


def test_the_token_is_renewed_and_nothing_is_lost(site: Site, tmp_path: Path) -> None:
    with Field(tmp_path / "board", site, speed=20_000) as field:
        for _ in range(3):
            field.until(_CONNECTS)
        field.recovers()
        assert "failed: " not in field.said()
        assert field.said().count("registering") == 1
        field.is_sound()


@pytest.mark.parametrize("point", ["hello", "connect", "connack", "disconnect"])
def test_while_the_token_is_renewed(point: str, site: Site, tmp_path: Path) -> None:
    with Field(tmp_path / "board", site, speed=20_000) as field:
        field.recovers()
        strike_all(field, point, None, "" if point == "hello" else "part=hub", most=1)


def test_messages_that_are_kept_outlive_power_cuts(site: Site, tmp_path: Path) -> None:
    with Field(tmp_path / "board", site, keep=True) as field:
        field.recovers()
        measured = {}
        for _ in range(2):
            field.proxy.accepts = False
            field.proxy.cut("hole")
            for _ in range(3):
                field.until("measured")
            measured[field.latest()] = field.measured()
            field.cut_power()
            field.proxy.heal()
            field.recovers()
        given = field.given()
        for boot, count in measured.items():
            # The last may have been cut off between the print and the outbox.
            assert set(given[boot]) >= set(range(1, count)), boot
        field.is_sound()


def test_what_an_outbox_cannot_hold_is_counted_and_reported(site: Site, tmp_path: Path) -> None:
    with Field(tmp_path / "board", site, outbox=5) as field:
        field.recovers()
        field.proxy.accepts = False
        field.proxy.cut("hole")
        for _ in range(9):
            field.until("measured")
        field.proxy.heal()
        field.recovers()
        missing, told = field.missing(), field.dropped()
        # One may have reached the hub without an acknowledgement, and be dropped then.
        assert 0 < missing <= told <= missing + 1
        field.reports("dropped", told)
        field.is_sound(gaps=missing)
