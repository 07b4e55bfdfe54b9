"""A board's resets and sleep: the part of board.py that is needed seldom, loaded for each call.

As an ESP32 does it; picopower.py is the same for RP2 boards. Never stops a watchdog.
"""

import machine

TYPE_CHECKING = 0
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def reset_cause() -> str:
    """Return why the board started; a brownout is told as power on."""
    named = ("unknown", "power on", "hard reset", "watchdog", "deep sleep", "soft reset")
    return named[machine.reset_cause()]  # the same numbers on every port (their modmachine.c)


def watchdog(timeout_ms: int) -> "Callable[[], object]":
    """Start the watchdog, or give it another timeout; return what feeds it.

    A board that somebody stopped at its REPL gets a long one: it can be worked on, and comes to
    life again by itself (ports/esp32/machine_wdt.c takes a new timeout at any time).
    """
    return machine.WDT(timeout=timeout_ms).feed


def remember(raw: bytes, final: bool) -> None:  # noqa: ARG001  it is for RP2
    """Keep at most 256 bytes over any reset but a power cut, at no wear.

    An app.py must leave RTC().memory() alone. MicroPython before 2024 keeps it in sleep alone.
    """
    machine.RTC().memory(raw)


def recall() -> "bytes | None":
    """Return what was kept. After a power cut it may be anything (RTC_NOINIT_ATTR)."""
    return machine.RTC().memory()


def deep_sleep(ms: int, nic: "Any" = None) -> None:
    """Switch off all but the clock; start anew after ms. nic: the network, to switch off first."""
    if nic:
        nic.active(False)  # which a sleep does not do by itself (esp-idf, sleep modes)
    machine.deepsleep(ms)


def light(pin: "int | str") -> "Callable[[bool], object]":
    """Return what lights the LED at a pin. ~2: the one at pin 2, lit while that is low.

    Where the board has no such pin it lights nothing: a LED is not worth a board.
    """
    low = isinstance(pin, int) and pin < 0
    try:
        out = machine.Pin(~int(pin) if low else pin, machine.Pin.OUT)
    except (TypeError, ValueError):
        return lambda lit: None  # noqa: ARG005
    return lambda lit: out.value(lit != low)
