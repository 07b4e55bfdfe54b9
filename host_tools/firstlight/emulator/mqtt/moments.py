"""Which point of the fault table a packet is at, and what faults make of a packet's bytes.

Pure: packets and bytes in, names and bytes out.
"""

import re
from dataclasses import dataclass

from .packets import Connect, Disconnect, Packet, Ping, Puback, Publish, Subscribe, Unsubscribe

_KINDS: dict[type, str] = {
    Connect: "connect",
    Subscribe: "subscribe",
    Unsubscribe: "unsubscribe",
    Ping: "pingreq",
    Disconnect: "disconnect",
    Puback: "device-puback",
}
# By topic (protocol.md 2.1, 6): what a device publishes, and what it is sent.
_PUBLISHED = (
    ("$dps/registrations/PUT/iotdps-register/", "register"),
    ("$dps/registrations/GET/iotdps-get-operationstatus/", "poll"),
    ("devices/", "telemetry"),
    ("$iothub/twin/GET/", "twin-get"),
    ("$iothub/twin/PATCH/properties/reported/", "twin-report"),
    ("$iothub/methods/res/", "method-answer"),
)
_SENT = (
    (b"$dps/registrations/res/", "answer"),
    (b"$iothub/twin/res/", "twin-answer"),
    (b"$iothub/twin/PATCH/properties/desired/", "desired"),
    (b"$iothub/methods/POST/", "method"),
    (b"devices/", "c2d"),
)
_OTHERS = {2: "connack", 9: "suback", 11: "unsuback", 13: "pingresp"}
_ACKED = frozenset(("register", "poll", "telemetry", "twin-get", "twin-report", "method-answer"))
_ANSWERS = {
    ("answer", "register"): "register-answer",
    ("answer", "poll"): "poll-answer",
    ("twin-answer", "twin-get"): "twin-get-answer",
    ("twin-answer", "twin-report"): "twin-report-answer",
}
_RID = re.compile(r"[?&](\$rid=[^&]*)")
TWIN_FILTER = "$iothub/twin/res/#"


def incoming(packet: Packet) -> str:
    """The point that a device's packet is at."""
    if isinstance(packet, Publish):
        found = (point for start, point in _PUBLISHED if packet.topic.startswith(start))
        return next(found, "publish")
    return _KINDS[type(packet)]


def outgoing(data: bytes, asked: str) -> str:
    """The point that a packet to a device is at. asked: the point of what came last from it."""
    kind = data[0] >> 4
    if kind == 3:
        topic = _cut(data).topic
        found = next((point for start, point in _SENT if topic.startswith(start)), "message")
        return _ANSWERS.get((found, asked), found)
    if kind == 4:
        return f"{asked}-puback" if asked in _ACKED else "puback"
    return _OTHERS.get(kind, "packet-out")


def twin_refusal(topic: str, status: int) -> str:
    """Where a request for the twin, or an answer to it, becomes an error (protocol.md 6.5)."""
    rid = _RID.search(topic)
    return f"$iothub/twin/res/{status}/?{rid[1] if rid else '$rid='}"


def with_code(data: bytes, code: int) -> bytes:
    """CONNACK or SUBACK with another return code."""
    if data[0] >> 4 == 2:
        return data[:3] + bytes([code])
    start = 1 + _length_bytes(data) + 2
    return data[:start] + bytes([code]) * (len(data) - start)


def with_dup(data: bytes) -> bytes:
    """A PUBLISH at QoS 1 with its DUP flag set; other packets as they are."""
    if data[0] >> 4 != 3 or not data[0] & 0x06:
        return data
    return bytes([data[0] | 0x08]) + data[1:]


def as_twin_refusal(data: bytes, status: int) -> bytes:
    """An answer about the twin as an error without a body."""
    parts = _cut(data)
    topic = twin_refusal(parts.topic.decode(), status).encode()
    body = len(topic).to_bytes(2, "big") + topic + parts.packet_id
    return data[:1] + _length(len(body)) + body


@dataclass(frozen=True)
class _Parts:
    topic: bytes
    packet_id: bytes


def _cut(data: bytes) -> _Parts:
    start = 1 + _length_bytes(data)
    end = start + 2 + int.from_bytes(data[start : start + 2], "big")
    id = data[end : end + 2] if data[0] & 0x06 else b""
    return _Parts(data[start + 2 : end], id)


def _length_bytes(data: bytes) -> int:
    return next(i for i in range(1, 5) if not data[i] & 0x80)


def _length(value: int) -> bytes:
    found = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        found.append(low | (0x80 if value else 0))
        if not value:
            return bytes(found)
