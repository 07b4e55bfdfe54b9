"""network.WLAN as on an ESP32: joins what is in the air (_air.py), with the right password.

Never goes on the air: packets travel by the PC's own network. It behaves as
ports/esp32/network_wlan.c, also where that surprises: a disconnect is noticed a little later; a
radio that tries to connect finds nothing in a scan() and refuses another connect(); it tries again
for ever by itself; and status() shows the last failure until another event takes its place.

Quirks, by name in air.json: "lies": isconnected() stays true when the network is gone, until the
radio is switched off and on; "scan fails": scan() raises; "no lease": nobody gives an address;
"lease lost": the address is gone and the radio still connected. Constants: modnetwork.h and
esp-idf's wifi_err_reason_t.
"""

import sys
from binascii import unhexlify
from time import ticks_diff, ticks_ms

import _air
import _wires

STA_IF = 0
AP_IF = 1
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_BEACON_TIMEOUT = 200
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_ASSOC_FAIL = 203
STAT_CONNECT_FAIL = 203
STAT_HANDSHAKE_TIMEOUT = 204

_LEFT = 8  # WIFI_REASON_ASSOC_LEAVE
_TOLD = (STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD)  # what status() shows while it goes on trying
_NOTICE_MS = 20
_OPEN = 0
_WPA2_PSK = 3
_CHANNEL = 6
_RSSI = -50
_HERE = ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
_NOWHERE = ("0.0.0.0",) * 4  # noqa: S104  it says: none

_radios = {}
_names = {"hostname": "mpy-virtual", "country": "XX"}

if "cable" in _air.now():
    import machine
    from _lan import LAN, PHY_W5500, SPI  # noqa: F401

    machine.SPI = SPI
for _name in ("_air", "_lan"):
    sys.modules.pop(_name, None)


def hostname(name=None):
    return _named("hostname", name)


def country(code=None):
    return _named("country", code)


def _named(which, value):
    if value is None:
        return _names[which]
    _names[which] = value
    return None


class WLAN:
    """A radio. Like the chip's, there is one of each kind however often it is asked for."""

    IF_STA = STA_IF
    IF_AP = AP_IF
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    def __new__(cls, interface_id=STA_IF):
        if interface_id not in (STA_IF, AP_IF):
            raise ValueError("invalid WLAN interface identifier")
        if interface_id not in _radios:
            radio = object.__new__(cls)
            radio._interface = interface_id
            radio._active = False
            radio._wanted = None  # (ssid, key), as long as a connection is wanted
            radio._since_ms = 0  # since when this try lasts, or since when it leaves
            radio._joined = None  # the network that it is in
            radio._leaves = False  # ... but not for long
            radio._reason = 0  # of the last disconnection
            radio._static = None
            radio._config = {"ssid": "", "reconnects": -1, "pm": WLAN.PM_PERFORMANCE}
            _radios[interface_id] = radio
        return _radios[interface_id]

    def __init__(self, interface_id=STA_IF):
        pass

    def active(self, on=None):
        if on is not None:
            self._active = bool(on)
        if on is not None and not on:
            self._wanted = self._joined = None
            self._leaves = False
        return self._active

    def connect(self, ssid=None, key=None, *, bssid=None):  # noqa: ARG002
        self._need_active()
        self._settle()
        if self._wanted and not self._joined:
            raise OSError("Wifi Internal State Error")
        self._config["ssid"] = _text(ssid)
        self._wanted = (_text(ssid), _text(key))
        if not self._leaves:
            self._joined = None
            self._since_ms = ticks_ms()

    def disconnect(self):
        self._need_active()
        self._settle()
        if self._joined or self._wanted:
            self._leaves = True
            self._since_ms = ticks_ms()
        self._wanted = None

    def isconnected(self):
        self._settle()
        return self._joined is not None

    def status(self, what=None):
        air = self._settle()
        if what == "rssi":
            return max(_signals(air, self._joined))
        if self._joined is not None:
            return STAT_GOT_IP
        if self._reason == _LEFT:
            return STAT_IDLE  # also while it tries to connect again
        if self._wanted and self._reason not in _TOLD:
            return STAT_CONNECTING
        return self._reason or STAT_IDLE

    def scan(self):
        self._need_active()
        air = self._settle()
        if "scan fails" in air.get("quirks", ()):
            raise OSError("STA must be active")
        found = []
        if self._wanted and not self._joined:
            return found
        for ssid, key in air["wifi"].items():
            name = b"" if ssid in air.get("hidden", ()) else ssid.encode()
            security = _WPA2_PSK if key else _OPEN
            for n, rssi in enumerate(_signals(air, ssid)):
                found.append((name, b"\x02\0\0\0\0" + bytes([n]), _CHANNEL, rssi, security, False))
        return sorted(found, key=lambda network: -network[3])

    def ifconfig(self, settings=None):
        if settings is not None:
            self._static = None if settings == "dhcp" else tuple(settings)
            return None
        air = self._settle()
        if self._static:
            return self._static
        lost = self._joined is None or "lease lost" in air.get("quirks", ())
        return _NOWHERE if lost else _HERE

    def ipconfig(self, what=None, *, dhcp4=None):
        if dhcp4:
            self._static = None
        return None if what is None else {"addr4": self.ifconfig()[:2]}[what]

    def config(self, name=None, **settings):
        if name is None:
            self._config.update(settings)
            return None
        if name == "mac":
            return _mac(self._interface)
        if name in ("essid", "ssid"):
            return self._config["ssid"]
        if name not in self._config:
            raise ValueError("unknown config param")
        return self._config[name]

    def _need_active(self):
        if not self._active or self._interface != STA_IF:
            raise OSError("Wifi Not Started")

    def _settle(self):
        """Let happen what is due: leave, lose the network, get in or not. Return the air."""
        air = _air.now()
        age_ms = ticks_diff(ticks_ms(), self._since_ms)
        lies = "lies" in air.get("quirks", ())
        if self._leaves:
            if age_ms >= _NOTICE_MS and not (lies and self._joined):
                self._lose(_LEFT)
        elif self._joined is not None:
            if self._joined not in air["wifi"] and not lies:
                self._lose(STAT_BEACON_TIMEOUT)
        elif self._wanted and age_ms >= air["join_ms"]:
            self._since_ms = ticks_ms()
            refusal = _judge(air, *self._wanted)
            if refusal:
                self._reason = refusal
            elif self._static or "no lease" not in air.get("quirks", ()):
                self._joined, self._reason = self._wanted[0], 0
        return air

    def _lose(self, reason):
        self._reason = reason
        self._joined = None
        self._leaves = False
        self._since_ms = ticks_ms()


def _mac(interface):
    raw = (unhexlify(_wires.settings["unique_id"]) + bytes(6))[:6]
    return raw[:5] + bytes([(raw[5] + interface) & 0xFF])


def _text(value):
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode()
    return value or ""


def _signals(air, ssid):
    """Return what is heard of a network: one number of dBm for each of its access points."""
    rssi = air.get("rssi", {}).get(ssid, _RSSI)
    return rssi if isinstance(rssi, list) else [rssi]


def _judge(air, ssid, key):
    if ssid not in air["wifi"]:
        return STAT_NO_AP_FOUND
    return 0 if air["wifi"][ssid] == key else STAT_WRONG_PASSWORD


WLAN(STA_IF)  # made here, it is not of the board's heap: a chip does not have it there either
