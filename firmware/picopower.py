"""power.py for RP2 boards: a watchdog that waits long enough, a sleep beside it, notes in a file.

The hardware counts to 8.3 s, and a look-up of a name alone may wait longer than that, in C. So a
timer feeds the hardware, up to a deadline that is fed in its place: a hang that stops the timers
ends in 8 s, any other (micropython#18797 is one) at the deadline. Never feeds past it.
"""

import time

import machine

from aziot._const import const
from board import _lasting, load, save
from power import light

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ("light",)

_HARDWARE_MS = const(8388)  # the most that an RP2040 takes (ports/rp2/machine_wdt.c)
_FEED_MS = const(2000)
_NAP_MS = const(4000)  # an RP2040 bitten in its sleep is down until the power is cut (#17228)


def reset_cause() -> str:
    """Return why the board started: "power on", or "reset", of its own will or by the watchdog:
    the chip does not tell (micropython#19409); notes.py may.
    """
    return "power on" if machine.reset_cause() == machine.PWRON_RESET else "reset"


def watchdog(timeout_ms: int) -> "Callable[[], None]":
    """Start the watchdog; return what feeds it. A second call adds a deadline of its own."""
    hardware = machine.WDT(timeout=_HARDWARE_MS)
    until_ms = 0

    def feed() -> None:
        nonlocal until_ms
        until_ms = time.ticks_add(time.ticks_ms(), timeout_ms)

    def tick(_: object) -> None:
        if time.ticks_diff(until_ms, time.ticks_ms()) > 0:
            hardware.feed()

    feed()
    # The hardware keeps no timer from the collector, which stops it (ports/rp2/machine_timer.c).
    _lasting.append(machine.Timer(-1, period=_FEED_MS, callback=tick))
    return feed


def remember(raw: bytes, final: bool) -> None:
    """Keep at most 256 bytes over any reset: in a file, so only if final."""
    if final:
        try:
            save("notes", raw)
        except OSError:  # a full flash: a reset is no worse for a note that is not kept
            pass


def recall() -> "bytes | None":
    """Return what was kept."""
    raw: bytes | None = load("notes")
    return raw


def deep_sleep(ms: int, nic: "Any" = None) -> None:
    """Sleep with most clocks stopped, in naps that the watchdog outlasts; then reset.

    A nap ends early when the radio's chip or a timer wants something; the time goes on in it
    (ports/rp2/modmachine.c). nic: the network, to switch off first.
    """
    if nic:
        nic.active(False)
        if hasattr(nic, "deinit"):  # a CYW43 ignores the other: this cuts its power
            nic.deinit()
    hardware = machine.WDT(timeout=_HARDWARE_MS)
    end_ms = time.ticks_add(time.ticks_ms(), ms)
    while (left_ms := time.ticks_diff(end_ms, time.ticks_ms())) > 0:
        hardware.feed()
        machine.lightsleep(min(left_ms, _NAP_MS))
    machine.reset()
