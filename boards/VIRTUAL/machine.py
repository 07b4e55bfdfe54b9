"""machine as on an ESP32, beside what the unix port has of its own.

Never ends the interpreter itself: resets, the watchdog and the clock are the bridge's to keep.
Constants: ports/esp32/modmachine.c.
"""

# ruff: noqa: ARG001, ARG002  the arguments are upstream's

import _wires
from umachine import *  # noqa: F403

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5


def unique_id() -> bytes:
    return bytes.fromhex(_wires.settings["unique_id"])


def reset_cause() -> int:
    return _wires.reset_cause


def reset() -> None:
    _wires.halt("reset")


def soft_reset() -> None:
    raise SystemExit


def freq(hz=None) -> int:
    return 240000000


class WDT:
    """A watchdog that cannot be stopped; the bridge holds the timer, so a hung board is reset."""

    def __init__(self, id=0, timeout=5000):
        if id != 0:
            raise ValueError(f"WDT({id}) doesn't exist")
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        _wires.tell(f"watchdog {int(timeout)}")

    def feed(self) -> None:
        _wires.tell("feed")


class RTC:
    """The real-time clock: runs through every reset, forgets when the power is cut."""

    def __init__(self, id=0):
        pass

    def datetime(self, moment=None):
        """(year, month, day, weekday, hour, minute, second, microsecond), UTC."""
        from time import gmtime, mktime, time_ns

        if moment is None:
            now = time_ns()
            year, month, day, hour, minute, second, weekday, _ = gmtime(now // 1000000000)
            return (year, month, day, weekday, hour, minute, second, now // 1000 % 1000000)
        year, month, day, _, hour, minute, second, microsecond = moment
        seconds = int(mktime((year, month, day, hour, minute, second, 0, 0, 0)))
        _wires.set_clock(seconds, microsecond)
        return None


class Pin:
    """A pin that remembers what was written to it."""

    IN = 1
    OUT = 3
    PULL_UP = 2
    PULL_DOWN = 1

    def __init__(self, id, mode=None, pull=None, value=0):
        self._value = value

    def init(self, mode=None, pull=None, value=None):
        if value is not None:
            self._value = value

    def value(self, level=None):
        if level is None:
            return self._value
        self._value = 1 if level else 0
        return None

    __call__ = value

    def on(self) -> None:
        self._value = 1

    def off(self) -> None:
        self._value = 0
