"""The way onto a Wi-Fi network, bounded: the strongest of those it knows. Loaded to join, let go.

Never keeps a password: the radio has it, and the identity. Facts about the drivers are those of
ports/esp32/network_wlan.c and extmod/network_cyw43.c (Pico W).
"""

import errno

import network

from aziot._const import const

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from typing import Any

    from device import Device

_LOOK_MS = const(50)
_LOOKS = const(400)  # for each network: 20 s
_SURE = const(100)  # after a driver's "no": 5 s, in which it goes on trying (see _try)
_UNHEARD = const(-999)  # dBm


def run(device: "Device") -> None:
    """Get the board onto one of its networks, and say which. Raises OSError."""
    radio = device.nic = network.WLAN(network.STA_IF)
    if device.plan["radio"]:  # isconnected() may lie, and drivers wedge
        radio.active(False)
        if hasattr(radio, "deinit"):  # a CYW43, which ignores active(False): this cuts its power
            radio.deinit()
    elif _address(radio):
        device.say("wifi", "on the network as " + _address(radio))
        return
    device.say("wifi", _join(radio, device.me["wifi"], device.clock))


def _address(radio: "Any") -> str:
    """Return the IPv4 address, "" for none: an ESP32 stays connected when its lease is lost."""
    address: str = radio.ifconfig()[0] if radio.isconnected() else ""
    return "" if address == "0.0.0.0" else address  # noqa: S104  it means: none


def _join(radio: "Any", wifi: list, clock: "Any") -> str:
    """Join the first network that lets us in; return a line that says which. Raises OSError."""
    radio.active(True)
    if hasattr(radio, "deinit"):  # in power saving it loses networks unnoticed (pico-sdk#2153)
        radio.config(pm=radio.PM_NONE)
    reasons = []
    static = 0
    for wanted in wifi:
        static |= "ifconfig" in wanted
    _leave(radio, clock)  # an ESP32 that tries to reconnect takes neither scan() nor connect()
    for _, _, wanted in _by_signal(radio, wifi):
        try:
            if "ifconfig" in wanted:
                radio.ifconfig(tuple(wanted["ifconfig"]))
            elif static:
                _ask_dhcp(radio)
            reason = _try(radio, wanted, clock)
            if not reason:
                return "joined %s as %s" % (wanted["ssid"], _address(radio))
        except OSError as e:  # what the driver says at once: to a password that is too short, say
            reason = str(e)
        _leave(radio, clock)
        reasons.append("%s: %s" % (wanted["ssid"], reason))
    raise OSError(errno.EHOSTUNREACH, "joined none of " + ", ".join(reasons or ["no networks"]))


def _ask_dhcp(radio: "Any") -> None:
    """Take back a static address."""
    if hasattr(radio, "ipconfig"):
        radio.ipconfig(dhcp4=True)
        return
    try:  # before MicroPython 1.24: an ESP32
        radio.ifconfig("dhcp")
    except OSError:  # it does so already
        pass


def _try(radio: "Any", wanted: dict, clock: "Any") -> str:
    """Try one network; return why it does not let us in, or "".

    A "wrong password" or "no ap found" of an ESP32 may pass (micropython#4842), and the last
    network's stays until there is another: it counts when it is new, and has stayed.
    """
    before = radio.status()
    radio.connect(wanted["ssid"], wanted.get("password") or None)
    looks = _LOOKS
    while looks:
        clock.sleep_ms(_LOOK_MS)
        if _address(radio):
            return ""
        status = radio.status()
        looks -= 1
        if status != before and _reason(status):
            looks = min(looks, _SURE)
    return _reason(status) or "status %d" % status


def _reason(status: int) -> str:
    for name in ("WRONG_PASSWORD", "NO_AP_FOUND", "CONNECT_FAIL"):
        if getattr(network, "STAT_" + name, None) == status:
            return name.lower().replace("_", " ")
    return ""


def _by_signal(radio: "Any", wifi: list) -> list:
    """Return [(.., .., network)], the strongest first; last, as given, what no scan shows."""
    heard: dict = {}
    if len(wifi) > 1:
        try:
            for found in radio.scan():
                heard[found[0]] = max(found[3], heard.get(found[0], _UNHEARD))
        except (OSError, MemoryError):  # the given order will do
            pass
    order: list = []
    for wanted in wifi:
        order.append((-heard.get(wanted["ssid"].encode(), _UNHEARD), len(order), wanted))
    order.sort()
    return order


def _leave(radio: "Any", clock: "Any") -> None:
    radio.disconnect()
    clock.sleep_ms(_LOOK_MS)  # an ESP32 takes notice a little later
