"""network.WLAN as on an ESP32: joins what virtual.json lists, with the right password.

Never goes on the air: packets travel by the PC's own network. Constants: ports/esp32/modnetwork.h
and esp-idf's wifi_err_reason_t.
"""

from binascii import unhexlify
from time import ticks_diff, ticks_ms

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
STAT_HANDSHAKE_TIMEOUT = 204

_OPEN = 0
_WPA2_PSK = 3
_CHANNEL = 6
_RSSI = -50

_radios = {}
_names = {"hostname": "mpy-virtual", "country": "XX"}


def hostname(name=None):
    return _name("hostname", name)


def country(code=None):
    return _name("country", code)


def _name(which, value):
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
            radio._outcome = STAT_IDLE
            radio._started_ms = None
            radio._config = {"ssid": "", "reconnects": -1, "pm": WLAN.PM_PERFORMANCE}
            _radios[interface_id] = radio
        return _radios[interface_id]

    def __init__(self, interface_id=STA_IF):
        pass

    def active(self, on=None):
        if on is None:
            return self._active
        self._active = bool(on)
        if not on:
            self._forget()
        return self._active

    def connect(self, ssid=None, key=None, *, bssid=None):  # noqa: ARG002
        if not self._active or self._interface != STA_IF:
            raise OSError("Wifi Not Started")
        self._config["ssid"] = _text(ssid)
        self._outcome = _judge(_text(ssid), _text(key))
        self._started_ms = ticks_ms()

    def disconnect(self):
        self._forget()

    def isconnected(self):
        return self.status() == STAT_GOT_IP

    def status(self, what=None):
        if what == "rssi":
            return _RSSI
        if self._started_ms is None:
            return STAT_IDLE
        if ticks_diff(ticks_ms(), self._started_ms) < _wires.settings["join_ms"]:
            return STAT_CONNECTING
        return self._outcome

    def scan(self):
        if not self._active:
            raise OSError("Wifi Not Started")
        found = []
        for ssid, key in _wires.settings["wifi"].items():
            security = _WPA2_PSK if key else _OPEN
            found.append((ssid.encode(), b"\x02\0\0\0\0\1", _CHANNEL, _RSSI, security, False))
        return found

    def ifconfig(self, settings=None):
        if settings is not None:
            return None
        if not self.isconnected():
            return ("0.0.0.0",) * 4  # noqa: S104  it says: none
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")

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

    def _forget(self):
        self._started_ms = None
        self._outcome = STAT_IDLE


def _mac(interface):
    raw = (unhexlify(_wires.settings["unique_id"]) + bytes(6))[:6]
    return raw[:5] + bytes([(raw[5] + interface) & 0xFF])


def _text(value):
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode()
    return value or ""


def _judge(ssid, key):
    networks = _wires.settings["wifi"]
    if ssid not in networks:
        return STAT_NO_AP_FOUND
    return STAT_GOT_IP if networks[ssid] == key else STAT_WRONG_PASSWORD
