"""The points at which a local Azure can be told to fail, as data.

No I/O. Names are stable. A device's path, and the points on it (a group stands for its points):

    accept -> hello -> connect -> connack -> subscribe -> suback
        -> register -> register-puback, register-answer -> poll -> poll-puback, poll-answer
        -> (at its hub) telemetry -> telemetry-puback; twin-get -> twin-get-answer; c2d...
"""

from dataclasses import dataclass

DOOR, IN, OUT = "door", "in", "out"


@dataclass(frozen=True)
class Point:
    """A moment for a fault. way: door (before TLS is up), in, out; within: its groups."""

    name: str
    way: str
    about: str
    within: tuple[str, ...] = ()


_IN, _PUBLISH = ("packet-in",), ("publish", "packet-in")
_REQUEST = ("request", "publish", "packet-in")
_OUT, _MESSAGE = ("packet-out",), ("message", "packet-out")
_ACK, _SAID = ("puback", "packet-out"), ("answer", "message", "packet-out")
_TWIN = ("twin-answer", "message", "packet-out")

_POINTS: tuple[Point, ...] = (
    Point("accept", DOOR, "a TCP connection to MQTT's port, before TLS; over=https: to HTTPS's"),
    Point("hello", DOOR, "its ClientHello has come; `hub` is the server name in it"),
    Point("packet-in", IN, "group: whatever the device sends"),
    Point("connect", IN, "CONNECT", _IN),
    Point("subscribe", IN, "SUBSCRIBE", _IN),
    Point("unsubscribe", IN, "UNSUBSCRIBE", _IN),
    Point("pingreq", IN, "PINGREQ", _IN),
    Point("disconnect", IN, "DISCONNECT", _IN),
    Point("device-puback", IN, "the device's PUBACK for a message at QoS 1", _IN),
    Point("publish", IN, "group: every PUBLISH of the device", _IN),
    Point("request", IN, "group: register, poll and lookup, over MQTT and HTTPS", _PUBLISH),
    Point("register", IN, "a registration request, over MQTT or HTTPS", _REQUEST),
    Point("poll", IN, "a question for the operation's status, over MQTT or HTTPS", _REQUEST),
    Point("lookup", IN, "a status lookup, over HTTPS", _REQUEST),
    Point("telemetry", IN, "a message to the hub over MQTT", _PUBLISH),
    Point("twin-get", IN, "a request for the twin", _PUBLISH),
    Point("twin-report", IN, "a patch of the reported properties", _PUBLISH),
    Point("method-answer", IN, "the device's answer to a direct method", _PUBLISH),
    Point("packet-out", OUT, "group: whatever the service sends"),
    Point("connack", OUT, "CONNACK", _OUT),
    Point("suback", OUT, "SUBACK", _OUT),
    Point("unsuback", OUT, "UNSUBACK", _OUT),
    Point("pingresp", OUT, "PINGRESP", _OUT),
    Point("puback", OUT, "group: every PUBACK of the service", _OUT),
    Point("register-puback", OUT, "PUBACK for a registration request", _ACK),
    Point("poll-puback", OUT, "PUBACK for a poll", _ACK),
    Point("telemetry-puback", OUT, "PUBACK for telemetry", _ACK),
    Point("twin-get-puback", OUT, "PUBACK for a request for the twin", _ACK),
    Point("twin-report-puback", OUT, "PUBACK for a patch of the twin", _ACK),
    Point("method-answer-puback", OUT, "PUBACK for a method's answer", _ACK),
    Point("message", OUT, "group: every PUBLISH of the service", _OUT),
    Point("answer", OUT, "group: every answer of DPS, over MQTT and HTTPS", _MESSAGE),
    Point("register-answer", OUT, "the answer to a registration request", _SAID),
    Point("poll-answer", OUT, "the answer to a poll", _SAID),
    Point("lookup-answer", OUT, "the answer to a status lookup, over HTTPS", _SAID),
    Point("twin-answer", OUT, "group: both answers about the twin", _MESSAGE),
    Point("twin-get-answer", OUT, "the twin", _TWIN),
    Point("twin-report-answer", OUT, "the answer to a patch of the twin", _TWIN),
    Point("desired", OUT, "a change of the desired properties", _MESSAGE),
    Point("c2d", OUT, "a cloud-to-device message", _MESSAGE),
    Point("method", OUT, "a direct method's call", _MESSAGE),
)
POINTS = {point.name: point for point in _POINTS}
_EVERY = frozenset(("mqtt", "websocket", "https"))
# What HTTPS has: DPS's requests and their answers.
_BY_HTTPS = frozenset(
    f"{what}{end}" for what in ("register", "poll", "lookup") for end in ("", "-answer")
)


def overs_of(name: str) -> frozenset[str]:
    """What may carry a point's moment: mqtt, websocket, https (a WebSocket's door is HTTPS's)."""
    point = POINTS[name]
    if point.way == DOOR:
        return _EVERY - {"websocket"}
    if name.startswith("lookup"):
        return frozenset(("https",))
    inner = {one.name for one in _POINTS if name in one.within} | {name}
    return _EVERY if inner & _BY_HTTPS else _EVERY - {"https"}


def known_at(name: str) -> frozenset[str]:
    """By which of table.py's WHOM a fault at a point can be for some and not for others."""
    if POINTS[name].way != DOOR:
        return frozenset(("device", "hub", "part", "over"))
    return frozenset(("over", "address", *(("hub",) if name == "hello" else ())))


def points_of(way: str) -> tuple[str, ...]:
    """Their names."""
    return tuple(point.name for point in _POINTS if point.way == way)
