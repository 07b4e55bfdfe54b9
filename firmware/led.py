"""What a status LED tells, as a small alphabet; pure.

    dark                      off or asleep
    1 flash, then a pause     at the network, or stuck there
    2 flashes                 at the clock
    3 flashes                 at DPS
    4 flashes                 at the hub, which has not answered yet
    steady                    the hub acknowledged something lately
    fast flicker              a fault; the board is about to reset

A flash and the gap after it take half a second, each word three. Never touches a pin.
"""

from aziot._const import const

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from collections.abc import Callable

    from device import Device

DARK = const(0)
NETWORK = const(1)
CLOCK = const(2)
DPS = const(3)
HUB = const(4)
STEADY = const(5)
FAULT = const(6)


_STATES = {"clock": CLOCK, "register": DPS, "serve": HUB, "fault": FAULT, "sleep": DARK}


def shower(device: "Device", put: "Callable[[bool], object]") -> "Callable[[int], object]":
    """Return what shows a device's state at a time in ticks. put: lights the LED, or not."""

    def show(ms: int) -> None:
        state = _STATES.get(device.phase, NETWORK)
        put(lit(STEADY if device.served and state == HUB else state, ms))

    return show


def lit(state: int, ms: int) -> bool:
    """Return whether the LED is lit. ms: ticks, of any origin (a wrap is one odd word)."""
    if state > HUB:
        return state == STEADY or ms % 200 < 100
    return ms % 3000 < 500 * state and ms % 500 < 250
