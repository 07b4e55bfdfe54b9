"""supervisor.py: the table at its top, row by row."""

from aziot.errors import ProtocolError, Refused, ServiceError
from aziot.supervisor import DPS, HUB, Supervisor

LOST = OSError(110)


def failures(plan, error, count, now_s=0, step_s=0, jitter=0.5):
    return [plan.failed(error, now_s + n * step_s, jitter) for n in range(count)]


def test_a_kept_assignment_goes_straight_to_the_hub():
    assert Supervisor(True, 1).step == HUB
    assert Supervisor(False, 1).step == DPS


def test_a_hub_that_refuses_us_sends_us_to_dps_at_once():
    for code in (2, 4, 5):
        plan = Supervisor(True, 1)
        assert plan.failed(Refused(code), 0, 0.5) == 0
        assert plan.step == DPS


def test_a_hub_that_goes_on_refusing_is_asked_more_and_more_rarely():
    plan = Supervisor(False, 1)
    waits = []
    for _ in range(6):
        plan.assigned()
        waits.append(plan.failed(Refused(5), 0, 0.5))
        assert plan.step == DPS
    assert waits == [0, 7.5, 15, 30, 60, 120]


def test_a_busy_hub_is_asked_again():
    for error in (Refused(3), Refused(1), ProtocolError("x"), LOST):
        plan = Supervisor(True, 1)
        assert plan.failed(error, 0, 0.5) == 3.75
        assert plan.step == HUB


def test_an_unreachable_hub_is_retried_for_15_to_30_minutes_before_dps():
    for jitter, minutes in ((0.0, 15), (0.5, 22.5), (0.999, 30)):
        plan = Supervisor(True, 1)
        now_s = 0
        while plan.step == HUB:
            plan.failed(LOST, now_s, jitter)
            now_s += 10
        assert minutes * 60 - 2 <= now_s - 10 <= minutes * 60 + 10


def test_when_dps_names_the_same_lost_hub_it_has_its_patience_again():
    plan = Supervisor(True, 1)
    failures(plan, LOST, 2, 0, 1801)
    assert plan.step == DPS
    plan.assigned()
    assert plan.failed(LOST, 1900, 0.5) > 3.75  # the count of failures stays
    assert plan.step == HUB


def test_a_hub_that_nobody_refused_is_tried_again_when_dps_fails():
    for error in (LOST, ServiceError("no", 404), ServiceError("no", 401)):
        plan = Supervisor(True, 1)
        failures(plan, LOST, 2, 0, 1801)
        assert plan.step == DPS
        plan.failed(error, 1900, 0.5)
        assert plan.step == HUB
        assert plan.failed(LOST, 2000, 0.5) >= 3.75
        assert plan.step == HUB  # with its patience again


def test_a_hub_that_refused_us_is_not_tried_before_dps_has_answered():
    plan = Supervisor(True, 1)
    plan.failed(Refused(5), 0, 0.5)
    failures(plan, LOST, 5)
    assert plan.step == DPS


def test_a_hub_that_refuses_us_after_all_is_left_for_dps():
    plan = Supervisor(True, 1)
    failures(plan, LOST, 2, 0, 1801)
    plan.failed(LOST, 1900, 0.5)  # DPS does not answer: the hub again
    plan.failed(Refused(5), 2000, 0.5)
    failures(plan, LOST, 3)
    assert plan.step == DPS


def test_a_busy_dps_does_not_cost_the_key():
    plan = Supervisor(False, 2)
    for code in (1, 3):
        plan.failed(Refused(code), 0, 0.5)
    assert plan.key == 0


def test_a_good_connection_ends_the_count():
    plan = Supervisor(True, 1)
    failures(plan, LOST, 5)
    plan.connected()
    assert plan.failed(LOST, 10**6, 0.5) == 3.75
    assert plan.step == HUB


def test_a_refused_primary_key_is_followed_by_the_secondary_at_once():
    plan = Supervisor(False, 2)
    assert plan.failed(ServiceError("no", 401), 0, 0.5) == 0
    assert (plan.step, plan.key) == (DPS, 1)


def test_when_both_keys_are_refused_the_wait_is_long_and_they_take_turns():
    plan = Supervisor(False, 2)
    waits = failures(plan, ServiceError("no", 401), 6)
    assert waits[0] == 0
    assert min(waits[1:]) >= 600
    assert max(waits) <= 3600
    plan.failed(ServiceError("no", 401), 0, 0.5)
    assert plan.key == 1


def test_dps_may_refuse_in_connack_too():
    plan = Supervisor(False, 2)
    assert plan.failed(Refused(5), 0, 0.5) == 0
    assert plan.key == 1


def test_a_single_key_that_is_refused_is_retried_slowly():
    plan = Supervisor(False, 1)
    assert min(failures(plan, ServiceError("no", 401), 4)) >= 450
    assert plan.key == 0


def test_what_will_not_pass_by_itself_is_retried_slowly_and_with_the_same_key():
    for status in (400, 403, 404, 405, 200):
        plan = Supervisor(False, 2)
        assert 300 <= plan.failed(ServiceError("no", status), 0, 0.5) <= 3600
        assert plan.key == 0


def test_what_may_pass_is_retried_with_backoff():
    for error in (
        ServiceError("busy", 500, None, None, None, True),
        ProtocolError("x"),
        LOST,
        Refused(3),
    ):
        assert failures(Supervisor(False, 1), error, 4) == [3.75, 7.5, 15, 30]


def test_retry_after_is_heeded():
    plan = Supervisor(False, 1)
    error = ServiceError("busy", 429, None, None, 120, True)
    assert plan.failed(error, 0, 0.5) == 120


def test_no_wait_is_ever_longer_than_an_hour():
    for error in (ServiceError("no", 404), LOST, Refused(5)):
        for jitter in (0.0, 0.999):
            plan = Supervisor(False, 2)
            assert max(failures(plan, error, 50, jitter=jitter)) <= 3600
