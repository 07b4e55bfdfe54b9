"""The way onto a Wi-Fi network, bounded. Loaded to join, and let go.

Never keeps a password: the radio has it, and the identity.
"""

import errno

import network

TYPE_CHECKING = 0
if TYPE_CHECKING:
    from typing import Any

    from device import Device

_JOIN_MS = 20000  # for each network


def run(device: "Device") -> None:
    """Get the board onto one of its networks, and say which."""
    device.say("wifi", join(device.me["wifi"], _JOIN_MS, device.board.clock))


def join(wifi: list, timeout_ms: int, clock: "Any") -> str:
    """Join the first network that lets us in; return a line that says which. Raises OSError.

    wifi: [{"ssid": str, "password"?: str}]; timeout_ms for each of them; clock: the time module.
    """
    radio = network.WLAN(network.STA_IF)
    if radio.isconnected():
        return "on the network as " + radio.ifconfig()[0]
    radio.active(True)
    reasons = []
    for wanted in wifi:
        radio.disconnect()  # an ESP32 that is still trying refuses the next connect()
        radio.connect(wanted["ssid"], wanted.get("password") or None)
        until = clock.ticks_add(clock.ticks_ms(), timeout_ms)
        while clock.ticks_diff(until, clock.ticks_ms()) > 0:
            if radio.isconnected():
                return "joined %s as %s" % (wanted["ssid"], radio.ifconfig()[0])
            clock.sleep_ms(50)
        reasons.append("%s: %s" % (wanted["ssid"], _reason(radio.status())))
    raise OSError(errno.EHOSTUNREACH, "joined none of " + ", ".join(reasons or ["no networks"]))


def _reason(status: int) -> str:
    for name in ("WRONG_PASSWORD", "NO_AP_FOUND", "CONNECT_FAIL"):
        if getattr(network, "STAT_" + name, None) == status:
            return name.lower().replace("_", " ")
    return "status %d" % status
