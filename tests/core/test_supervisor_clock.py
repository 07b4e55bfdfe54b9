"""supervisor.py: its rows about the clock, the network, silence, and a token's life."""

from aziot.errors import ProtocolError, Refused
from tests.core.planned import ABSENT, BUSY, DPS, HUB, LOST, UNKNOWN, Board


def test_a_refusal_waits_for_a_clock_that_was_not_asked_for_a_minute():
    for assigned, error in ((True, Refused(5)), (False, UNKNOWN), (False, Refused(5))):
        board = Board(assigned, 2)
        board.now_s += 61
        assert board.take("failed", error) == 0
        assert board.plan["sync"]
        assert (board.step, board.plan["key"]) == (DPS - assigned, 0)
        board.wrong_s = 60
        board.clock()
        assert (board.step, board.plan["key"], board.plan["wait_s"]) == (DPS - assigned, 0, 0)
        assert not board.plan["sync"]


def test_a_refusal_with_a_right_clock_counts_at_once():
    for wrong_s in (0, 59):
        board = Board(wrong_s=wrong_s)
        assert board.fails(Refused(5), 61) == 0
        assert board.step == DPS
        board = Board(False, 2)
        board.wrong_s = wrong_s
        assert board.fails(UNKNOWN, 61) == 0
        assert board.plan["key"] == 1


def test_a_clock_that_is_wrong_each_time_it_is_asked_does_not_keep_us_from_dps():
    board = Board()
    asked = board.asked
    for wrong_s in (100, 100):
        board.wrong_s = wrong_s
        board.fails(Refused(5), 61)
    assert board.step == DPS
    assert board.asked == asked + 1


def test_the_clock_is_asked_after_failures_that_it_can_cause_but_once_a_minute():
    for error in (LOST, ProtocolError("TLS: not yet valid")):
        board = Board()
        board.take("failed", error)
        assert not board.plan["sync"]
        board.now_s += 61
        board.take("failed", error)
        assert board.plan["sync"]


def test_no_network_or_no_time_waits_from_5_seconds_to_5_minutes_and_restarts_the_radio():
    for event in ("offline", "timeless"):
        board = Board(jitter=0)
        board.take("alive")
        waits, radios = [], []
        for _ in range(8):
            waits.append(board.take(event, LOST))
            radios.append(bool(board.plan["radio"]))
        assert waits == [5, 10, 20, 40, 80, 150, 150, 150]
        assert radios == [False, True] * 4
        board.take("clock", 0)
        assert not board.plan["radio"]
        assert board.take(event, LOST) == 5


def test_no_network_does_not_count_against_the_hub_nor_forget_what_is_wished():
    board = Board()
    board.fails(LOST)
    board.now_s += 61
    board.take("failed", Refused(5))
    for _ in range(60):
        board.now_s += board.take("offline", LOST)
    assert board.plan["sync"]
    board.clock()
    assert board.step == DPS  # the refusal, now
    board = Board()
    board.fails(LOST)
    for _ in range(60):
        board.now_s += board.take("offline", LOST)
    board.clock()
    board.fails(LOST)
    assert board.step == HUB


def test_silence_at_the_step_restarts_the_radio_each_third_time():
    board = Board(jitter=0)
    radios = []
    for _ in range(6):
        board.take("failed", LOST)
        radios.append(bool(board.plan["radio"]))
    assert radios == [False, False, True] * 2
    board.fails(LOST)
    board.fails(LOST)
    board.take("failed", BUSY)
    assert not board.plan["radio"]


def silence_s(board, *events, pause_s=60):
    """How long until a reset is wished, if only these events happen."""
    start_s = board.now_s
    while not board.plan["reset"]:
        for event, what in events:
            board.now_s += pause_s
            board.take(event, what)
        if board.now_s - start_s > 10**5:
            return None
    return board.now_s - start_s


def test_when_nothing_answers_for_2_to_4_hours_the_board_is_reset():
    for jitter, hours in ((0, 2), (0.999, 4)):
        for events in (
            (("offline", LOST),),
            (("timeless", ProtocolError("x")),),
            (("clock", 0), ("failed", LOST)),
            (("clock", 0), ("failed", ProtocolError("TLS: who is that"))),
        ):
            found_s = silence_s(Board(jitter=jitter), *events)
            assert hours * 3600 - 200 <= found_s <= hours * 3600 + 200


def test_while_anyone_answers_the_board_is_not_reset():
    for events in (
        (("failed", Refused(5)), ("failed", LOST)),
        (("failed", ABSENT),),
        (("failed", BUSY), ("offline", LOST)),
        (("clock", 2), ("failed", LOST)),
        (("assigned", None), ("failed", LOST)),
        (("alive", None), ("failed", LOST)),
        (("renew", None), ("clock", 0), ("failed", LOST)),
    ):
        assert silence_s(Board(jitter=0), *events) is None


def test_a_token_whose_life_is_over_is_renewed_at_once_and_daily_with_the_clock():
    board = Board()
    asked = []
    for _ in range(80):
        board.now_s += 2880
        assert board.take("renew") == 0
        assert board.step == HUB
        if board.plan["sync"]:
            asked.append(board.now_s)
            board.clock()
    assert len(asked) == 2
    assert 86400 < asked[1] - asked[0] <= 86400 + 2880
