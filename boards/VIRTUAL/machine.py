"""machine as on an ESP32, beside what the unix port has of its own.

Never ends the interpreter itself: resets, sleep, the watchdog, the clock and its memory are the
bridge's to keep. Constants: ports/esp32/modmachine.c.
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


def bootloader(timeout=0) -> None:
    """Become the volume that takes a .uf2: machine.bootloader() of ports/rp2."""
    _wires.halt("bootloader")


if _wires.settings.get("kind") != "VIRTUAL_PICO_W":
    del bootloader  # ports/esp32 has it on other chips


def freq(hz=None) -> int:
    return 240000000


def deepsleep(ms=0) -> None:
    """Sleep without memory, and start anew after ms; without it only a power cut wakes."""
    _wires.halt(f"sleep {_real(ms)}" if ms else "sleep")


def _real(ms):
    """The PC's milliseconds for the board's, which may be faster (virtual.json: speed)."""
    return max(1, int(ms / _wires.settings.get("speed", 1)))


class WDT:
    """A watchdog that cannot be stopped, but given another timeout, as ports/esp32/machine_wdt.c
    lets; the bridge holds the timer, so a hung board is reset.
    """

    def __init__(self, id=0, timeout=5000):
        if id != 0:
            raise ValueError(f"WDT({id}) doesn't exist")
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        _wires.tell(f"watchdog {_real(timeout)}")

    def feed(self) -> None:
        _wires.tell("feed")


class RTC:
    """The real-time clock and its memory: both last through every reset, and forget at a power cut
    (ports/esp32/machine_rtc.c).
    """

    def __init__(self, id=0):
        pass

    def memory(self, data=None):
        try:
            if data is None:
                with _wires.open_file("rtc.bin", "rb") as file:
                    return file.read()
        except OSError:  # the bridge takes it away when the power is switched on
            return b""
        if len(data) > 2048:
            raise ValueError("buffer too long")
        with _wires.open_file("rtc.bin.new", "wb") as file:
            file.write(data)
        _wires.replace_file("rtc.bin.new", "rtc.bin")
        return None

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
    """A pin that remembers what was written to it; the bridge keeps each change (pins.log)."""

    IN = 1
    OUT = 3
    PULL_UP = 2
    PULL_DOWN = 1

    def __init__(self, id, mode=None, pull=None, value=None):
        if not isinstance(id, int):
            raise ValueError("invalid pin")
        self._id = id
        self._value = 0
        self.init(mode, pull, value)

    def init(self, mode=None, pull=None, value=None):
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            return self._value
        level = 1 if level else 0
        if level != self._value:
            self._value = level
            _wires.tell(f"pin {self._id} {level}")
        return None

    __call__ = value

    def on(self) -> None:
        self.value(1)

    def off(self) -> None:
        self.value(0)


class SPI:
    """A bus with nothing on it: remembers how it was made."""

    def __init__(self, id, baudrate=1000000, **how):
        self.id = id
        self.baudrate = baudrate
        self.how = how
