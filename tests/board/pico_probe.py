"""power on an RP2 board, by real MicroPython and the real board.py, over hardware that is played.

The chip's timers run while its clock does: Time.run() is a program that works, or waits in C with
the ports' hook; Time.block() one that stops them. stdin: which case; stdout: what came of it.
"""

import json
import sys


class Bite(Exception):
    pass


class Reset(Exception):
    pass


class Time:
    def __init__(self):
        self.at_ms = (1 << 30) - 5000  # about to wrap
        self.timers = []
        self.bite_at = None

    def ticks_ms(self):
        return self.at_ms % (1 << 30)

    def ticks_add(self, ticks, delta):
        return (ticks + delta) % (1 << 30)

    def ticks_diff(self, end, start):
        return (end - start + (1 << 29)) % (1 << 30) - (1 << 29)

    def gmtime(self, _=None):
        return (1970, 1, 1, 0, 0, 0, 3, 1)

    def collect(self, kept):
        """What the collector does to a timer that nothing keeps (machine_timer.c: __del__)."""
        self.timers = [timer for timer in self.timers if timer in kept]

    def block(self, ms):
        self.at_ms += ms
        if self.bite_at is not None and self.at_ms >= self.bite_at:
            raise Bite

    def run(self, ms):
        for _ in range(ms // 100):
            self.block(100)
            for timer in self.timers:
                if self.at_ms >= timer.due_ms:
                    timer.due_ms += timer.period
                    timer.callback(timer)


class Timer:
    def __init__(self, number, period, callback):
        assert number == -1
        self.period = period
        self.callback = callback
        self.due_ms = clock.at_ms + period
        clock.timers.append(self)


class WDT:
    def __init__(self, timeout):
        if timeout > 8388:
            raise ValueError("timeout exceeds 8388")
        self.timeout = timeout
        self.feed()

    def feed(self):
        clock.bite_at = clock.at_ms + self.timeout


class Machine:
    PWRON_RESET = 1
    Timer = Timer
    WDT = WDT

    def __init__(self):
        self.naps = []

    def lightsleep(self, ms):
        self.naps.append(ms)
        clock.block(ms if len(self.naps) % 3 else 1)  # the radio's chip wants something

    def reset(self):
        raise Reset

    def reset_cause(self):
        return 3


class Sys:
    platform = "rp2"
    modules = sys.modules


class Radio:
    """A Pico W's, which only deinit() switches off."""

    is_on = True

    def active(self, on):
        pass

    def deinit(self):
        self.is_on = False


def lives(step, ms):
    """How long a program lives of which each round takes step(): ms at most."""
    start_ms = clock.at_ms
    try:
        while clock.at_ms - start_ms < ms:
            step()
    except Bite:
        pass
    return clock.at_ms - start_ms


def watch(case):
    feed = board.watchdog(60000)
    if case == "gets on":

        def step():
            feed()
            clock.run(30000)  # a name is looked up

    elif case == "spins":

        def step():
            clock.run(1000)

    else:

        def step():
            clock.block(1000)

    return lives(step, 3600000)


def hold():
    """A board that is stopped at its REPL, after it was given an hour."""
    board.watchdog(60000)
    clock.run(10000)
    board.watchdog(3600000)
    clock.collect(board._lasting)
    return lives(lambda: clock.run(1000), 4 * 3600000)


def sleep():
    board.watchdog(60000)
    radio = Radio()
    start_ms = clock.at_ms
    try:
        board.deep_sleep(600000, radio)
        return None
    except Reset:
        return [clock.at_ms - start_ms, max(machine.naps), radio.is_on]


def remember():
    files = {}
    board.load = files.get
    board.save = files.__setitem__
    before = board.recall()
    board.remember(b"a phase", False)
    between = board.recall()
    board.remember(b"the end", True)
    found = [board.reset_cause(), before, between, board.recall()]

    def full(name, raw):
        raise OSError(28)

    board.save = full
    board.remember(b"no room", True)
    return [raw.decode() if isinstance(raw, bytes) else raw for raw in found]


asked = json.loads(sys.stdin.readline())
clock = Time()
machine = Machine()
for name, module in (("time", clock), ("machine", machine), ("sys", Sys)):
    sys.modules[name] = module
import board  # noqa: E402

if asked["case"] == "hold":
    result = hold()
elif asked["case"] == "sleep":
    result = sleep()
elif asked["case"] == "remember":
    result = remember()
else:
    result = watch(asked["case"])
print(json.dumps(result))
