"""session.py on real MicroPython, at a local Azure that fails: nothing is lost, nothing endless.

The session's clock goes a hundred times as fast as the wall's where it has to wait.
"""

import errno
from itertools import pairwise

import pytest

from tests.board.session_probes import Talks, talks

__all__ = ("talks",)  # a fixture
FAST = 100
TIMED_OUT = ["OSError", errno.ETIMEDOUT]


def ids(talks: Talks) -> list[str]:
    return [message.system_properties["message-id"] for message in talks.telemetry()]


def test_what_is_not_acknowledged_costs_the_link_and_is_the_next_ones_first(talks: Talks) -> None:
    talks.azure.add_fault("telemetry-puback drop times=1")
    result = talks.held(puts=["one", "two"], goal={"acked": 2}, links=2, speed=FAST)
    assert result["errors"] == [TIMED_OUT, None]
    assert talks.bodies() == ["one", "one", "two"]
    assert ids(talks) == ["probe-1", "probe-1", "probe-2"]
    assert result["dups"] == 1
    assert (result["acked"], result["left"]) == (2, 0)


@pytest.mark.parametrize(
    ("fault", "bodies"),
    [
        ("telemetry close times=1 after=1", ["one", "two", "three"]),
        ("telemetry-puback close end=reset times=1 after=1", ["one", "two", "two", "three"]),
        ("telemetry-puback cut bytes=2 times=1 after=1", ["one", "two", "two", "three"]),
    ],
)
def test_a_connection_that_ends_in_flight_loses_nothing_and_marks_what_comes_twice(
    fault: str, bodies: list[str], talks: Talks
) -> None:
    talks.azure.add_fault(fault)
    result = talks.held(puts=["one", "two", "three"], goal={"acked": 3}, links=2)
    assert result["errors"][1:] == [None]
    assert talks.bodies() == bodies
    assert len(set(ids(talks))) == 3
    assert result["dups"] == 1


def test_a_kicked_device_loses_nothing(talks: Talks) -> None:
    bodies = [f"{i}" for i in range(50)]
    with talks.going_on(puts=bodies, goal={"acked": 50}, links=4) as talk:
        for count in (5, 15, 25):
            talks.azure.wait_for_telemetry(count, "dev-1")
            talks.device.kick()
        result = talk.result()
    assert (result["acked"], result["left"], result["dropped"]) == (50, 0, 0)
    found = dict(zip(ids(talks), talks.bodies(), strict=True))
    assert list(found.values()) == bodies


def test_a_planned_reconnect_loses_nothing_and_sends_nothing_twice(talks: Talks) -> None:
    bodies = [f"{i}" for i in range(7)]
    result = talks.held(puts=bodies, goal={"acked": 7}, links=4, renew_after=2)
    assert result["errors"] == [None] * 4
    assert talks.bodies() == bodies
    assert result["dups"] == 0


def test_an_overflow_while_a_message_flies_does_not_cost_another_message(talks: Talks) -> None:
    talks.azure.add_fault("telemetry-puback delay seconds=0.3 times=1")
    result = talks.held(puts=["0"], later=["1", "2"], most=2, goal={"acked": 3})
    assert result["errors"] == [None]
    assert result["dropped"] == 1
    assert talks.bodies() == ["0", "1", "2"]


@pytest.mark.parametrize(
    "fault",
    [
        "twin-get refuse status=429 times=3",
        "twin-get refuse status=500 times=3",
        "twin-get-answer drop times=2",
        "twin-get-answer refuse status=503 times=1",
    ],
)
def test_the_twin_is_asked_for_again_until_it_comes(fault: str, talks: Talks) -> None:
    talks.desire(colour="red")
    talks.azure.add_fault(fault)
    result = talks.held(goal={"idle": True}, speed=FAST)
    assert result["errors"] == [None]
    assert result["wholes"] == [{"colour": "red", "$version": 2}]


@pytest.mark.parametrize(
    "fault",
    [
        "twin-report refuse status=429 times=3",
        "twin-report refuse status=500 times=3",
        "twin-report-answer drop times=2",
        "twin-report-answer refuse status=500 times=1",
    ],
)
def test_a_report_is_made_again_until_it_is_accepted(fault: str, talks: Talks) -> None:
    talks.azure.add_fault(fault)
    result = talks.held(reports={"led": "on"}, goal={"idle": True}, speed=FAST)
    assert result["errors"] == [None]
    assert (result["refused"], result["reports"]) == (0, {})
    assert talks.reported() == {"led": "on"}


def test_telemetry_goes_on_while_the_twin_is_throttled(talks: Talks) -> None:
    talks.azure.add_fault("twin-get refuse status=429")
    result = talks.held(puts=["one", "two"], goal={"acked": 2})
    assert result["errors"] == [None]
    assert talks.bodies() == ["one", "two"]


@pytest.mark.parametrize("more", [{}, {"restless": True}], ids=["alone", "among reports"])
def test_the_pauses_before_the_twin_is_asked_again_grow(
    more: dict[str, bool], talks: Talks
) -> None:
    talks.azure.add_fault("twin-get refuse status=429")
    with talks.going_on(goal={"wholes": 1}, speed=FAST, **more) as talk:
        talks.wait_for_event("twin/res/429/", 5)
        talks.azure.clear_faults()
        result = talk.result()
    assert len(result["wholes"]) == 1
    asked = talks.times_of("twin/res/429/")
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    # 5, 10, 20 and 40 seconds of the session's clock: a busy machine makes none of them shorter.
    assert all(gap >= least for gap, least in zip(gaps, (0.04, 0.09, 0.19, 0.39), strict=False))


def test_reports_that_were_not_accepted_wait_for_the_next_connection(talks: Talks) -> None:
    talks.azure.add_fault("twin-report close times=1")
    result = talks.held(reports={"a": {"x": 1}, "b": 2}, goal={"idle": True}, links=2)
    assert len(result["errors"]) == 2
    assert result["reports"] == {}
    assert talks.reported() == {"a": {"x": 1}, "b": 2}


def test_a_report_that_the_hub_refuses_for_good_is_dropped_and_told(talks: Talks) -> None:
    result = talks.held(reports={"not a name": 1}, goal={"idle": True})
    assert result["errors"] == [None]
    assert (result["refused"], result["reports"]) == (400, {})


def test_one_bad_report_does_not_cost_the_good_ones(talks: Talks) -> None:
    reports = {"a": 1, "b": 2, "not a name": 3, "c": 4}
    result = talks.held(reports=reports, goal={"idle": True})
    assert (result["refused"], result["reports"]) == (400, {})
    assert talks.reported() == {"a": 1, "b": 2, "c": 4}


def test_reports_of_more_than_eight_kilobytes_go_one_at_a_time(talks: Talks) -> None:
    reports = {f"text{i}": "x" * 3000 for i in range(5)}
    result = talks.held(reports=reports, goal={"idle": True})
    assert (result["refused"], result["reports"]) == (0, {})
    assert talks.reported() == reports


def test_a_value_that_changes_while_it_is_reported_is_reported_again(talks: Talks) -> None:
    talks.azure.add_fault("twin-report-answer delay seconds=0.3 times=1")
    result = talks.held(
        reports={"led": "on", "n": 1}, report_later={"led": "off"}, goal={"idle": True}
    )
    assert result["reports"] == {}
    assert talks.reported() == {"led": "off", "n": 1}


def test_a_message_that_comes_twice_is_given_twice(talks: Talks) -> None:
    talks.azure.add_fault("c2d duplicate dup=true times=1")
    with talks.going_on(goal={"messages": 2}) as talk:
        talks.wait_until_listening()
        talks.device.send("x")
        result = talk.result()
    assert [body for _, body, _ in result["messages"]] == ["x", "x"]


def test_a_message_that_was_not_acknowledged_comes_again(talks: Talks) -> None:
    talks.azure.add_fault("device-puback close times=1")
    with talks.going_on(goal={"messages": 2}, links=2) as talk:
        talks.wait_until_listening()
        talks.device.send("one")
        result = talk.result()
    assert [body for _, body, _ in result["messages"]] == ["one", "one"]


def test_messages_that_were_sent_while_the_device_was_away_wait_for_it(talks: Talks) -> None:
    talks.held(goal={"idle": True})
    talks.device.send("one")
    talks.device.send("two")
    result = talks.held(goal={"messages": 2})
    assert result["errors"] == [None]
    assert [body for _, body, _ in result["messages"]] == ["one", "two"]


def test_a_twin_too_long_for_the_board_costs_neither_its_telemetry_nor_its_reports(
    talks: Talks,
) -> None:
    talks.desire(**{f"text{i}": "x" * 3900 for i in range(6)})
    goal = {"acked": 2, "reported": True}
    result = talks.held(puts=["one", "two"], reports={"led": "on"}, goal=goal, speed=FAST)
    assert result["errors"] == [None]
    assert talks.bodies() == ["one", "two"]
    assert talks.reported() == {"led": "on"}


def test_a_message_too_long_for_the_board_is_passed_over(talks: Talks) -> None:
    with talks.going_on(goal={"messages": 2}) as talk:
        talks.wait_until_listening()
        for body in ("one", "x" * 20000, "two"):
            talks.device.send(body)
        result = talk.result()
    assert result["errors"] == [None]
    assert [body for _, body, _ in result["messages"]] == ["one", "two"]
