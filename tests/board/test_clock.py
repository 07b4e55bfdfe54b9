"""clock.py on real MicroPython, by the real board.py: which servers are believed, on both epochs.

The probe's board has a port's clock, of the epoch asked for; the servers are real, on UDP.
"""

import datetime
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.board.timepeers import Reply, lost, sntp, telling

EPOCHS = (1970, 2000)
POWER_ON = {1970: 1609459200, 2000: 946684800}  # what an RP2040 shows then, and an ESP32
DAY_S = 86400
NEAR_S = 10  # on a busy machine
HURRY = (20, 0)  # where nobody answers: 5 s pass in one
Play = Callable[..., dict[str, Any]]


@pytest.fixture
def play(on_micropython: Any) -> Play:
    def run(
        *replies: Reply, off_s: float | None = None, epoch: int = 1970, **more: Any
    ) -> dict[str, Any]:
        """off_s: by how much the board's clock is off; None: it was never set."""
        at = POWER_ON[epoch] if off_s is None else int(time.time() + off_s)
        with sntp(*replies) as hosts:
            me = {"ntp": hosts} | more.pop("me", {})
            asked = {"epoch": epoch, "at": at, "me": me, "first": 15} | more
            result: dict[str, Any] = on_micropython("clock_probe.py", asked)
        assert result["shown_at"] == pytest.approx(at, abs=NEAR_S)
        assert result["left"] == [], "modules that stay in memory"
        assert result["open"] == 0
        return result

    return run


@pytest.fixture
def closed() -> str:
    """An address that nobody listens on."""
    with sntp(lost) as (address,):
        return address


def assert_right(result: dict[str, Any], moved_s: float) -> None:
    assert result["error"] is None, result
    assert result["moved"] == pytest.approx(moved_s, abs=NEAR_S)
    assert abs(result["off_s"]) < NEAR_S


def assert_kept(result: dict[str, Any], off_s: float) -> None:
    assert (result["error"], result["moved"], result["set"]) == (None, 0, []), result
    assert result["off_s"] == pytest.approx(off_s, abs=NEAR_S)


@pytest.mark.parametrize("epoch", EPOCHS)
def test_a_clock_that_was_never_set_is_set(play: Play, epoch: int) -> None:
    result = play(telling(0), epoch=epoch)
    assert_right(result, time.time() - POWER_ON[epoch])
    ((step, text),) = result["said"]
    assert step == "clock"
    assert text.startswith("set by 127.0.0.1:")
    (moment,) = result["set"]
    year, month, day, weekday, hour, minute, second, fraction = moment
    then = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    assert then.timestamp() == pytest.approx(time.time(), abs=NEAR_S)
    assert (weekday, fraction) == (then.weekday(), 0)


@pytest.mark.parametrize("epoch", EPOCHS)
def test_a_board_shows_the_second_that_it_was_set_to(on_micropython: Any, epoch: int) -> None:
    edges = (1767225600, 2085978496, 2**31, 946684800 + 2**31, 951782400, 4107542400, 2**32 - 1)
    times = [at + i for at in edges for i in (-1, 0, 1)] + list(
        range(POWER_ON[2000], 2**32, 10**7)
    )
    results = on_micropython("clock_probe.py", {"epoch": epoch, "times": times})
    for at, (moment, shown_at) in zip(times, results, strict=True):
        then = datetime.datetime.fromtimestamp(at, datetime.UTC)
        assert moment == [*then.timetuple()[:3], then.weekday(), *then.timetuple()[3:6], 0]
        assert shown_at == at


def test_chance_is_spread_from_0_to_1(on_micropython: Any) -> None:
    chances = on_micropython("clock_probe.py", {"epoch": 1970, "chances": 200})
    assert 0 <= min(chances) < 0.2
    assert 0.8 < max(chances) < 1
    assert len(set(chances)) > 190


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("at", [2085978490, 2147483640, 2147483650, 3000000000])
def test_a_clock_goes_on_past_2036_and_2038(play: Play, epoch: int, at: int) -> None:
    off_s = at - time.time()
    result = play(telling(off_s), epoch=epoch)
    assert result["moved"] == pytest.approx(at - POWER_ON[epoch], abs=NEAR_S)
    assert result["off_s"] == pytest.approx(off_s, abs=NEAR_S)


def test_a_question_has_8_bytes_by_chance_and_nothing_else(play: Play) -> None:
    asked: list[bytes] = []

    def reply(request: bytes) -> bytes | None:
        asked.append(request)
        return telling(0)(request)

    assert_right(play(reply, off_s=-50, first=200), 50)
    assert asked == [b"\x23" + bytes(39) + bytes([200]) * 8]


@pytest.mark.parametrize("off_s", [-312, 40000])
def test_a_clock_that_drifted_is_set_and_tells_by_how_much(play: Play, off_s: int) -> None:
    result = play(telling(0), off_s=off_s)
    assert_right(result, abs(off_s))
    _, said = result["said"][0]
    assert int(said.split("was off by ")[1].split(" ")[0]) == pytest.approx(off_s, abs=NEAR_S)


def test_servers_are_asked_in_turn(play: Play, closed: str) -> None:
    with sntp(lambda request: b"garbage", telling(0)) as hosts:
        assert_right(play(me={"ntp": [closed, *hosts]}, off_s=-100), 100)


def test_a_clock_that_can_be_right_will_do_when_nobody_answers(play: Play) -> None:
    result = play(lost, lost, off_s=-100, hurry=HURRY)
    assert_kept(result, -100)
    assert 10000 <= result["ms"] < 60000  # a busy PC's pauses count twenty times
    assert result["said"][0][1].startswith("kept")


def test_a_source_that_there_is_no_memory_for_is_one_that_does_not_answer(play: Play) -> None:
    assert_kept(play(lost, off_s=-100, hurry=HURRY, too_large="webtime"), -100)


@pytest.mark.parametrize("epoch", EPOCHS)
def test_without_a_time_that_can_be_each_source_is_named(play: Play, epoch: int) -> None:
    result = play(lost, lambda request: b"garbage", epoch=epoch, hurry=HURRY)
    assert (result["error"], result["moved"], result["set"]) == ("ProtocolError", None, [])
    assert result["text"].count("127.0.0.1:") == 2
    assert "ETIMEDOUT" in result["text"]
    assert "not an answer" in result["text"]
    assert "HTTPS: [Errno 111] ECONNREFUSED" in result["text"]


def test_a_time_that_cannot_be_is_not_believed(play: Play) -> None:
    for at in (1600000000, 3100000000):
        assert play(telling(at - time.time()))["error"] == "ProtocolError"


def test_a_long_step_needs_a_second_server(play: Play) -> None:
    """One lies by years, two are right: whoever comes first."""
    liar, right = telling(3 * 365 * DAY_S), telling(0)
    for replies in ((liar, right, right), (right, liar, right), (right, right, liar)):
        assert_right(play(*replies, off_s=-50), 50)
    for replies in ((liar, right, right), (right, liar, right), (right, right, liar)):
        assert_right(play(*replies, off_s=-30 * DAY_S), 30 * DAY_S)


def test_a_lie_that_was_believed_is_outvoted(play: Play) -> None:
    """A board that set its clock by a liar, and begins with another server this time."""
    lie_s = 400 * DAY_S
    replies = (telling(lie_s), telling(0), telling(0))
    assert_right(play(*replies, off_s=lie_s, first=1), lie_s)
    assert_right(play(*replies, off_s=lie_s, first=2), lie_s)


def test_a_board_that_failed_soon_begins_with_another(play: Play) -> None:
    """What the first says may be why; and it says each time that all is well."""
    lie_s = 400 * DAY_S
    replies = (telling(lie_s), telling(0), telling(0))
    assert play(*replies, off_s=lie_s, first=5)["off_s"] == pytest.approx(lie_s, abs=NEAR_S)
    assert_right(play(*replies, off_s=lie_s, first=5, error="ServiceError 401"), lie_s)


def test_servers_that_disagree_leave_the_clock_alone(play: Play) -> None:
    result = play(telling(400 * DAY_S), telling(-100 * DAY_S), off_s=-50)
    assert_kept(result, -50)
    assert result["said"][0][1].count("off by") == 2


def test_a_long_step_is_taken_from_one_server_when_no_other_answers(
    play: Play, closed: str
) -> None:
    with sntp(telling(0)) as hosts:
        assert_right(play(me={"ntp": [closed, *hosts]}, off_s=-30 * DAY_S), 30 * DAY_S)
