"""network.LAN as on an ESP32 with a W5500, and the machine.SPI that it hangs on.

As ports/esp32/network_lan.c: one interface, made once; what a failed LAN() leaves behind lasts
until a reset (micropython#19457); without an interrupt pin it fails (#16561); and a second SPI
object takes the bus away from the driver (#16732).
"""

# ruff: noqa: ARG001, ARG002  the arguments are upstream's

from time import ticks_diff, ticks_ms

import _air

PHY_W5500 = 102

_ETH_INITIALIZED = 0
_ETH_STARTED = 1
_ETH_STOPPED = 2
_ETH_DISCONNECTED = 4
_ETH_GOT_IP = 5
_HERE = ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
_NOWHERE = ("0.0.0.0",) * 4  # noqa: S104  it says: none

_made = None  # the interface; False: one that failed
_buses = {}  # how often each SPI bus was set up


class SPI:
    """A bus that nothing hangs on but the W5500."""

    def __init__(self, id, baudrate=1000000, *, sck=None, mosi=None, miso=None):
        if id not in (1, 2):
            raise ValueError(f"SPI({id}) doesn't exist")
        _buses[id] = self
        self._id = id


def LAN(id=None, *, phy_addr, phy_type, spi=None, cs=None, int=None, reset=None):
    """Return the interface. A function, as upstream."""
    global _made
    if _made:
        return _made
    if phy_type != PHY_W5500:
        raise ValueError("invalid phy type")
    if not isinstance(spi, SPI):
        raise TypeError("expecting a SPI object")
    if _made is False or int is None or "no W5500" in _air.now().get("quirks", ()):
        _made = False
        raise OSError("esp_eth_driver_install failed with invalid argument")
    _made = _Wired(spi)
    return _made


class _Wired:
    def __init__(self, bus):
        self._bus = bus
        self._started_ms = None
        self._static = None
        self._lied = False

    def active(self, on=None):
        if on is not None and bool(on) != (self._started_ms is not None):
            self._started_ms = ticks_ms() if on else None
            self._lied = False
        return self._started_ms is not None

    def status(self):
        if self._started_ms is None:
            return _ETH_STOPPED
        air = _air.now()
        quirks = air.get("quirks", ())
        if self._lied and "lies" in quirks:
            return _ETH_GOT_IP
        if not air.get("cable") or _buses[self._bus._id] is not self._bus:
            return _ETH_DISCONNECTED
        if ticks_diff(ticks_ms(), self._started_ms) < air["join_ms"]:
            return _ETH_STARTED
        if "no lease" in quirks and not self._static:
            return _ETH_STARTED
        self._lied = True
        return _ETH_GOT_IP

    def isconnected(self):
        return self.status() == _ETH_GOT_IP

    def ifconfig(self, settings=None):
        if settings is None:
            return self._static or (_HERE if self.isconnected() else _NOWHERE)
        self._static = None if settings == "dhcp" else tuple(settings)
        return None
