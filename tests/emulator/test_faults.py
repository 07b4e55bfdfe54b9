"""When a fault strikes, whom, and how often; without a socket."""

import pytest

from firstlight.emulator.events import Event
from firstlight.emulator.faults.faults import MAX_FAULTS, Faults, Whom
from firstlight.emulator.faults.points import DOOR
from firstlight.emulator.faults.specs import BadFault, parse_text
from firstlight.emulator.faults.table import ANSWER, WIRE

DEVICE = Whom("dev-1", "hub.example", "hub", "mqtt", "127.0.0.1")


def faulty(*texts: str) -> tuple[Faults, list[Event]]:
    told: list[Event] = []
    faults = Faults(told.append, lambda: 1795000000.0, bytes)
    for text in texts:
        faults.add(parse_text(text))
    return faults, told


def strikes(text: str, count: int) -> str:
    """x for each match that is struck, - for each that is not."""
    faults, _ = faulty(text)
    return "".join("x" if faults.pick("telemetry", WIRE, DEVICE) else "-" for _ in range(count))


@pytest.mark.parametrize(
    ("when", "seen"),
    [
        ("", "xxxxxx"),
        ("times=1", "x-----"),
        ("times=2", "xx----"),
        ("after=2", "--xxxx"),
        ("after=1 times=2", "-xx---"),
        ("every=3", "--x--x"),
        ("every=2 after=1 times=2", "--x-x-"),
        ("probability=0", "------"),
    ],
)
def test_a_fault_strikes_as_often_as_told(when: str, seen: str) -> None:
    assert strikes(f"telemetry ignore {when}", 6) == seen


def test_a_seed_gives_the_same_strikes_each_time_and_the_share_that_is_asked_for() -> None:
    seen = strikes("telemetry ignore probability=0.3 seed=7", 1000)
    assert seen == strikes("telemetry ignore probability=0.3 seed=7", 1000)
    assert seen != strikes("telemetry ignore probability=0.3 seed=8", 1000)
    assert 250 < seen.count("x") < 350
    assert strikes("telemetry ignore probability=0.5 times=3", 1000).count("x") == 3


@pytest.mark.parametrize(
    ("whom", "is_hit"),
    [
        ("", True),
        ("device=DEV-1", True),
        ("device=dev-2", False),
        ("hub=HUB.example part=hub over=mqtt", True),
        ("hub=hub.example part=dps", False),
        ("over=websocket", False),
    ],
)
def test_a_fault_is_for_those_whom_it_names(whom: str, is_hit: bool) -> None:
    faults, _ = faulty(f"telemetry ignore {whom}")
    assert bool(faults.pick("telemetry", WIRE, DEVICE)) is is_hit


def test_a_group_stands_for_its_points_and_stages_are_apart() -> None:
    faults, _ = faulty("packet-out drop", "answer refuse", "poll-answer disabled")
    assert [hit.do for hit in faults.pick("poll-answer", WIRE, DEVICE)] == ["drop"]
    assert [hit.do for hit in faults.pick("poll-answer", ANSWER, DEVICE)] == ["refuse", "disabled"]
    assert faults.pick("poll", WIRE, DEVICE) == []


def test_the_door_of_https_is_struck_only_if_it_is_named() -> None:
    faults, _ = faulty("accept close")
    assert faults.is_set_at_door
    assert not faults.pick("accept", DOOR, Whom(over="https"))
    assert faults.pick("accept", DOOR, Whom(over="mqtt"))


def test_only_what_can_still_strike_costs_anything() -> None:
    faults, told = faulty("telemetry ignore times=1", "hello close times=1")
    assert (faults.is_set, faults.is_set_at_door) == (True, True)
    faults.pick("telemetry", WIRE, DEVICE)
    faults.pick("hello", DOOR, DEVICE)
    assert (faults.is_set, faults.is_set_at_door) == (False, False)
    assert [(event["id"], event["fault"]) for event in told] == [("dev-1", "f1"), ("dev-1", "f2")]
    assert [(d["id"], d["matches"], d["hits"], d["left"]) for d in faults.all()] == [
        ("f1", 1, 1, 0),
        ("f2", 1, 1, 0),
    ]


def test_faults_are_bounded_and_the_used_up_make_room() -> None:
    faults, _ = faulty("telemetry ignore times=1", *["poll refuse"] * (MAX_FAULTS - 1))
    with pytest.raises(BadFault, match="1000 faults already"):
        faults.add(parse_text("poll refuse"))
    faults.pick("telemetry", WIRE, DEVICE)
    assert faults.add(parse_text("poll refuse"))["id"] == f"f{MAX_FAULTS + 1}"
    assert faults.get("f1") is None
    assert faults.clear()
    assert (faults.all(), faults.is_set) == ([], False)


def test_payloads_are_kept_only_while_a_fault_may_want_them() -> None:
    faults, _ = faulty()
    wanted = [faults.wants_payloads]
    fault = faults.add(parse_text("poll-answer payload"))
    wanted.append(faults.wants_payloads)
    for i in range(1001):
        faults.remember(f"dev-{i}", {})
    assert len(faults.payloads) == 1000
    faults.clear(fault["id"])
    assert [*wanted, faults.wants_payloads] == [False, True, False]
    assert faults.payloads == {}
