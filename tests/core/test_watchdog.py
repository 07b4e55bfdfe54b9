"""watchdog.py: the dog is fed by whoever waits, but only while progress was promised."""

from watchdog import WatchedClock

PERIOD = 1 << 30  # of MicroPython's ticks


class Time:
    """MicroPython's time with a clock that only the test moves, near its wrap."""

    def __init__(self, start_ms=PERIOD - 500):
        self.at_ms = start_ms
        self.naps = 0
        self.longest_ms = 0

    def ticks_ms(self):
        return self.at_ms % PERIOD

    def ticks_add(self, ticks, delta):
        return (ticks + delta) % PERIOD

    def ticks_diff(self, end, start):
        return (end - start + PERIOD // 2) % PERIOD - PERIOD // 2

    def sleep_ms(self, ms):
        self.naps += 1
        self.longest_ms = max(self.longest_ms, ms)
        self.at_ms += ms


class Dog:
    """Hardware that bites when it is not fed for limit_ms."""

    def __init__(self, time, limit_ms):
        self.time = time
        self.limit_ms = limit_ms
        self.fed_ms = time.at_ms
        self.meals = 0
        self.worst_ms = 0

    def feed(self):
        self.worst_ms = max(self.worst_ms, self.time.at_ms - self.fed_ms)
        self.fed_ms = self.time.at_ms
        self.meals += 1

    def has_bitten(self):
        return self.time.at_ms - self.fed_ms > self.limit_ms or self.worst_ms > self.limit_ms


def kept(show=None, limit_ms=8000):
    time = Time()
    dog = Dog(time, limit_ms)
    return time, dog, WatchedClock(time, dog.feed, show)


def test_a_long_sleep_that_was_promised_is_survived():
    time, dog, clock = kept()
    clock.promise(3600000 + 1000)
    start_ms = time.at_ms
    clock.sleep_ms(3600000)
    assert time.at_ms - start_ms == 3600000
    assert time.longest_ms <= 1000
    assert dog.worst_ms <= 1000
    assert not dog.has_bitten()


def test_a_loop_that_looks_at_the_clock_and_gets_nowhere_is_bitten():
    time, dog, clock = kept()
    clock.promise(20000)
    start_ms = time.at_ms
    while not dog.has_bitten():
        clock.ticks_ms()
        clock.sleep_ms(5)
        assert time.at_ms - start_ms < 30000
    assert time.at_ms - start_ms > 20000 + 7000


def test_a_sleep_longer_than_the_promise_is_bitten():
    _, dog, clock = kept()
    clock.promise(1000)
    clock.sleep_ms(60000)
    assert dog.has_bitten()


def test_progress_renews_the_promise_for_ever():
    time, dog, clock = kept()
    for _ in range(1900):  # 13 days and over the wrap
        clock.promise(700000)
        clock.sleep_ms(600000)
    assert time.at_ms > PERIOD
    assert not dog.has_bitten()


def test_before_the_first_promise_there_is_a_minute():
    _, dog, clock = kept()
    clock.sleep_ms(59000)
    assert not dog.has_bitten()
    clock.sleep_ms(10000)
    assert dog.has_bitten()


def test_a_hang_that_never_looks_is_bitten():
    time, dog, clock = kept()
    clock.promise(3600000)
    time.at_ms += 9000
    assert dog.has_bitten()


def test_a_busy_loop_does_not_feed_at_every_look():
    time, dog, clock = kept()
    clock.promise(10000)
    for _ in range(1000):
        clock.ticks_ms()
        time.at_ms += 1
    assert 18 <= dog.meals <= 21


def test_the_dog_is_fed_again_after_days_without_a_look():
    time, dog, clock = kept()
    time.at_ms += 3 * PERIOD // 4
    clock.promise(10000)
    clock.ticks_ms()
    assert dog.fed_ms == time.at_ms


def test_a_led_is_shown_often_and_also_when_the_promise_is_broken():
    shown = []
    time, dog, clock = kept(shown.append)
    clock.promise(1000)
    clock.sleep_ms(2000)
    assert len(shown) >= 39
    assert time.longest_ms <= 50
    assert dog.meals <= 21


def test_the_clock_is_the_times():
    time, _, clock = kept()
    assert clock.ticks_ms() == time.ticks_ms()
    assert clock.ticks_add(PERIOD - 1, 2) == 1
    assert clock.ticks_diff(1, PERIOD - 1) == 2
    clock.sleep_ms(0)
    clock.sleep_ms(-5)
    assert time.naps == 0
