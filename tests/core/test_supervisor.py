"""supervisor.py: the table at its top, row by row; see also test_supervisor_clock.py."""

import json

from aziot.errors import ProtocolError, Refused, ServiceError
from aziot.supervisor import begin
from tests.core.planned import ABSENT, BUSY, DPS, HUB, LOST, UNKNOWN, Board


def test_a_kept_assignment_goes_straight_to_the_hub_and_the_clock_comes_first():
    for assigned, step in ((True, HUB), (False, DPS)):
        plan = begin(assigned, 1)
        assert (plan["step"], plan["key"], plan["wait_s"]) == (step, 0, 0)
        assert plan["sync"]
        assert not plan["radio"]
        assert not plan["reset"]


def test_a_plan_outlives_a_reset_as_json():
    board = Board()
    board.fails(LOST)
    board.plan = json.loads(json.dumps(board.plan))
    assert board.fails(LOST) == 15


def test_a_hub_that_refuses_us_sends_us_to_dps_at_once():
    for code in (2, 4, 5):
        board = Board()
        assert board.fails(Refused(code)) == 0
        assert board.step == DPS


def test_even_a_hub_that_was_lost_for_long_before_it_refuses_us():
    board = Board()
    for _ in range(9):
        board.fails(LOST)
    board.take("assigned")
    assert board.fails(Refused(5)) == 0
    assert board.step == DPS


def test_a_hub_that_goes_on_refusing_is_asked_more_and_more_rarely_to_once_an_hour():
    board = Board(False)
    waits = []
    for _ in range(13):
        board.take("assigned")
        waits.append(board.fails(Refused(5)))
        assert board.step == DPS
    assert waits[:5] == [0, 7.5, 15, 30, 60]
    assert waits[-1] == 2700


def test_a_hub_that_is_not_reached_or_busy_is_asked_again_not_before_5_seconds():
    for error in (Refused(3), Refused(1), ProtocolError("x"), LOST, BUSY):
        for jitter, wait_s in ((0, 5), (0.5, 7.5)):
            board = Board(jitter=jitter)
            assert board.fails(error) == wait_s
            assert board.step == HUB


def test_an_unreachable_hub_is_retried_for_15_to_30_minutes_before_dps():
    for jitter in (0, 0.2, 0.5, 0.8, 0.999):
        board = Board(jitter=jitter)
        start_s = board.now_s
        while board.step == HUB:
            board.fails(LOST)
        assert 900 <= board.now_s - start_s <= 1800  # when DPS is asked


def impatient(keys=1):
    """A board that asks DPS about a hub that it does not reach."""
    board = Board(keys=keys)
    board.fails(LOST)
    board.fails(LOST, 1801)
    assert board.step == DPS
    return board


def test_when_dps_names_the_same_lost_hub_it_has_its_patience_again_and_backoff_goes_on():
    board = impatient()
    board.take("assigned")
    assert (board.step, board.plan["wait_s"]) == (HUB, 0)
    assert board.fails(LOST) == 30
    assert board.step == HUB


def test_a_hub_that_nobody_refused_is_tried_again_when_dps_fails():
    for error in (LOST, ABSENT, UNKNOWN, BUSY, ProtocolError("x")):
        board = impatient()
        assert 5 <= board.fails(error, 61) <= 300
        assert board.step == HUB
        board.fails(LOST)
        assert board.step == HUB  # with its patience again


def test_out_of_patience_dps_is_asked_with_every_key_before_the_hub_again():
    board = impatient(keys=2)
    assert board.fails(UNKNOWN) == 0
    assert (board.step, board.plan["key"]) == (DPS, 1)
    assert board.fails(UNKNOWN) <= 300
    assert (board.step, board.plan["key"]) == (HUB, 0)


def test_a_hub_that_refused_us_waits_until_dps_can_be_asked():
    board = Board()
    board.fails(Refused(5))
    for error in (LOST, BUSY, ProtocolError("x"), LOST, BUSY):
        board.fails(error)
        assert board.step == DPS


def test_a_hub_that_refused_us_has_another_chance_when_dps_will_not_have_us():
    board = Board()
    board.fails(Refused(5))
    assert board.fails(ABSENT) >= 600
    assert board.step == HUB
    assert board.fails(Refused(5)) == 0
    assert board.step == DPS
    assert board.fails(ABSENT) >= 600


def test_a_hub_that_refused_us_before_dps_named_it_again_and_that_is_lost_now_is_not_given_up():
    board = Board()
    board.fails(Refused(5))
    board.take("assigned")
    board.fails(LOST)
    board.fails(LOST, 1801)
    assert board.step == DPS
    board.fails(LOST)
    assert board.step == HUB


def test_without_a_hub_it_is_dps_again_whatever_it_says():
    for error in (LOST, BUSY, ABSENT, UNKNOWN):
        board = Board(False)
        for _ in range(4):
            board.fails(error)
            assert board.step == DPS


def test_a_busy_dps_does_not_cost_the_key():
    board = Board(False, 2)
    for error in (Refused(1), Refused(3), BUSY, LOST, ProtocolError("x")):
        board.fails(error)
        assert board.plan["key"] == 0


def test_a_hub_that_acknowledges_ends_all_counts():
    board = Board()
    for _ in range(5):
        board.fails(LOST)
    board.take("alive")
    assert board.fails(LOST, 10**6) == 7.5
    assert board.step == HUB


def test_a_refused_key_is_followed_by_the_other_at_once():
    for error in (UNKNOWN, Refused(5), Refused(4)):
        board = Board(False, 2)
        assert board.fails(error) == 0
        assert (board.step, board.plan["key"]) == (DPS, 1)
        board.take("assigned")
        board.take("alive")
        board.fails(Refused(5), 100)
        assert board.fails(error) == 0
        assert board.plan["key"] == 0


def test_when_every_key_is_refused_the_wait_is_10_to_60_minutes_and_they_take_turns():
    for jitter in (0, 0.999):
        board = Board(False, 2, jitter)
        for _ in range(6):
            assert (board.plan["key"], board.fails(UNKNOWN)) == (0, 0)
            assert board.plan["key"] == 1
            assert 600 <= board.fails(UNKNOWN) <= 3600


def test_what_will_not_pass_by_itself_is_retried_slowly_and_with_the_same_key():
    for status in (400, 403, 404, 405, 200):
        board = Board(False, 2)
        for _ in range(4):
            assert 600 <= board.fails(ServiceError("no", status)) <= 3600
            assert board.plan["key"] == 0


def test_what_may_pass_is_retried_with_backoff():
    for error in (BUSY, ProtocolError("x"), LOST, Refused(3)):
        board = Board(False)
        assert [board.fails(error) for _ in range(7)] == [7.5, 15, 30, 60, 120, 225, 225]


def test_retry_after_is_heeded_if_it_is_longer():
    for assigned in (True, False):
        board = Board(assigned)
        assert board.fails(ServiceError("busy", 429, None, None, 120, True)) == 120
        assert board.fails(ServiceError("busy", 429, None, None, 1, True)) == 15
    assert board.fails(ServiceError("still assigning", 202, None, None, 300, True)) == 300


def test_no_wait_is_ever_longer_than_an_hour():
    for error in (ABSENT, UNKNOWN, LOST, Refused(5), BUSY):
        for assigned in (True, False):
            board = Board(assigned, 2, 0.999)
            assert max(board.fails(error) for _ in range(50)) <= 3600


def test_reprovisioning_asks_dps_at_once_and_does_not_forget_the_hub():
    for error in (LOST, ABSENT, UNKNOWN):
        board = Board()
        board.take("alive")
        assert board.take("reprovision") == 0
        assert board.step == DPS
        assert 5 <= board.fails(error) <= 300
        assert board.step == HUB
