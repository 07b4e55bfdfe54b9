"""backoff.py: what a fleet's waits look like."""

from aziot.backoff import delay_s


def test_the_wait_doubles_until_its_cap():
    assert [delay_s(n, 0.5, 5, 60) for n in range(6)] == [3.75, 7.5, 15, 30, 45, 45]


def test_jitter_spreads_the_wait_over_its_upper_half():
    assert delay_s(2, 0.0, 5, 300) == 10
    assert delay_s(2, 0.5, 5, 300) == 15


def test_after_years_of_failures_it_is_still_the_cap():
    assert delay_s(10**6, 0.0, 5, 300) == 150


def test_nobody_is_asked_again_within_5_seconds():
    assert delay_s(0, 0.0) == 5
    assert max(delay_s(n, 0.999) for n in range(20)) < 300
