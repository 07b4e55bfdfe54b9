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
    from types import ModuleType

__all__ = ("clock", "net", "ssl")  # for device.py, which imports nothing that a port may lack

_EPOCH_AT = 946684800 if clock.gmtime(0)[0] == 2000 else 0  # Unix seconds at this port's zero


def unix_time() -> int:
    """Return Unix seconds, right or not: see device.py."""
    return int(clock.time()) + _EPOCH_AT


def set_unix_time(at: int) -> None:
    """Set the clock, UTC, to Unix seconds."""
    t = clock.gmtime(at - _EPOCH_AT)
    machine.RTC().datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0))


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


def load(name: str) -> "bytes | None":
    """Return the record that was saved under name last, or None."""
    raw: bytes | None = _store().load(name)
    return raw


def save(name: str, raw: bytes) -> None:
    """Keep a record of at most 1024 bytes under a name of at most 15 characters."""
    _store().save(name, raw)


def _store() -> "ModuleType":
    name = "filestore" if sys.platform == "rp2" else "nvsstore"
    store = __import__(name)
    sys.modules.pop(name)  # it is needed seldom: its memory goes back when the caller is done
    return store
