"""What differs between ports, chosen once: the only reader of sys.platform, and of an epoch.

Boards with Wi-Fi: esp32, rp2 (Pico W), and the unix port behind boards/VIRTUAL, which stands in
for an ESP32. Never decides what to do: device.py asks, this answers or raises OSError.
"""

import os
import socket as net
import ssl
import sys
import time as clock

import machine

TYPE_CHECKING = 0
if TYPE_CHECKING:
    from typing import Any

__all__ = ("clock", "net", "ssl")  # for device.py, which imports nothing that a port may lack

# What outlives the module that made it: nvsstore.py's spaces, which nobody can close, and
# picopower.py's timers, which stop when nothing keeps them.
_lasting: list = []
_EPOCH_AT = 946684800 if clock.gmtime(0)[0] == 2000 else 0  # Unix seconds at this port's zero


def unix_time() -> int:
    """Return Unix seconds, right or not: see device.py."""
    return int(clock.time()) + _EPOCH_AT


def set_unix_time(at: int) -> None:
    """Set the clock, UTC, to Unix seconds."""
    civil = _loaded("dates", "dates").civil  # gmtime() ends in 2038 on some ports
    machine.RTC().datetime(civil(at) + (0,))


def utc() -> str:
    """Return the time as ISO 8601 has it: 2026-11-22T10:00:00Z."""
    return "%d-%02d-%02dT%02d:%02d:%02dZ" % clock.gmtime()[:6]


def entropy(size: int) -> bytes:
    """Return size random bytes from the port's own source."""
    raw: bytes = os.urandom(size)
    return raw


def jitter() -> float:
    """Return a random number, 0 <= n < 1, exact in a board's 32-bit float."""
    return int.from_bytes(entropy(3), "little") / 16777216


def reset() -> None:
    """Start the board anew."""
    machine.reset()


def __getattr__(name: str) -> "Any":
    """Give what else a board can do, loaded for the call: to store, and what power.py has."""
    if name in ("load", "save", "erase"):
        store = _loaded("filestore", "nvsstore")
        store.spaces = _lasting
        return getattr(store, name)
    return getattr(_loaded("picopower", "power"), name)


def _loaded(on_rp2: str, elsewhere: str) -> "Any":
    name = on_rp2 if sys.platform == "rp2" else elsewhere
    module = __import__(name)
    sys.modules.pop(name)  # it is needed seldom: its memory goes back when the caller is done
    return module
