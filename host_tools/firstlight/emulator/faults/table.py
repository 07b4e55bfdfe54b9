"""What a local Azure can be told to do wrong, at which points, for whom and how often, as data.

No I/O. What is checked, listed and printed comes from here. Names are stable.
"""

from dataclasses import dataclass
from typing import Any

from .points import DOOR, IN, OUT, points_of

REQUIRED: Any = object()
WIRE, ANSWER = "wire", "answer"
LONGEST_S = 3600.0
_ANY = 1 << 20


@dataclass(frozen=True)
class Field:
    """A parameter. kind: integer, number, text, hex, switch, json; choices: of a text.

    least, most: of a number, or of a text's length. default: REQUIRED if there is none.
    """

    name: str
    kind: str
    about: str
    default: Any = REQUIRED
    least: float = 0
    most: float = _ANY
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Action:
    """What is done at some points. stage: door, wire (packets), answer (what DPS says)."""

    name: str
    stage: str
    points: tuple[str, ...]
    about: str
    fields: tuple[Field, ...] = ()


_ASKED = ("register", "poll", "lookup", "request")
_TOLD = ("register-answer", "poll-answer", "lookup-answer", "answer")
_TWINS = ("twin-get", "twin-report", "twin-get-answer", "twin-report-answer", "twin-answer")
_ENDS = ("close", "fin", "reset")
_SECONDS = Field("seconds", "number", "how long", most=LONGEST_S)
_HOW = "close: in good order; fin: TCP's end without TLS's; reset: RST"
_END = Field("end", "text", _HOW, "close", choices=_ENDS)
_DOOR_END = Field("end", "text", "fin: TCP's end; reset: RST", "reset", choices=("fin", "reset"))
_HELD = Field("seconds", "number", "then the connection is reset", 60.0, most=LONGEST_S)
_CUT_BYTES = Field("bytes", "integer", "so many of its bytes still leave")
_CODE = Field("code", "integer", "errorCode of the body; by default what DPS would say", None)
_WAIT = Field("retry_after", "integer", "seconds; none by default", None, most=1e9)

ACTIONS = (
    Action(
        "delay", WIRE, points_of(IN), "it and all after it wait before they are read", (_SECONDS,)
    ),
    Action("ignore", WIRE, points_of(IN), "it is neither processed nor answered"),
    Action("close", WIRE, points_of(IN), "the connection ends; it is not processed", (_END,)),
    Action(
        "hold", WIRE, points_of(IN), "half-open: nothing is read or sent from now on", (_HELD,)
    ),
    Action("delay", WIRE, points_of(OUT), "it and all after it leave so much later", (_SECONDS,)),
    Action("drop", WIRE, points_of(OUT), "it was processed, but this does not leave"),
    Action(
        "close", WIRE, points_of(OUT), "the connection ends instead; it was processed", (_END,)
    ),
    Action(
        "hold", WIRE, points_of(OUT), "half-open: nothing is read or sent from now on", (_HELD,)
    ),
    Action(
        "cut",
        WIRE,
        points_of(OUT),
        "its beginning leaves, then the connection ends",
        (_CUT_BYTES, Field("end", "text", _HOW + "; hold", "reset", choices=(*_ENDS, "hold"))),
    ),
    Action(
        "split",
        WIRE,
        points_of(OUT),
        "it leaves in pieces, each a TLS record of its own",
        (
            Field("size", "integer", "bytes of a piece", 1, least=1),
            Field("gap", "number", "seconds between pieces", 0.0, most=60),
        ),
    ),
    Action(
        "duplicate",
        WIRE,
        points_of(OUT),
        "it leaves more than once",
        (
            Field("count", "integer", "so many times more", 1, least=1, most=100),
            Field("dup", "switch", "set a PUBLISH's DUP flag in the copies", False),
        ),
    ),
    Action(
        "replace",
        WIRE,
        points_of(OUT),
        "other bytes leave instead",
        (Field("hex", "hex", "the bytes, as hexadecimal digits", most=65536),),
    ),
    Action(
        "code",
        WIRE,
        ("connack", "suback"),
        "another return code; what was accepted stays accepted",
        (Field("value", "integer", "the return code", least=0, most=255),),
    ),
    Action(
        "refuse",
        WIRE,
        ("connect",),
        "CONNACK with a code, and the end; nobody looks at the credentials",
        (Field("code", "integer", "CONNACK's return code", 5, least=1, most=255),),
    ),
    Action("refuse", WIRE, ("subscribe",), "SUBACK 0x80 for each filter; not subscribed"),
    Action(
        "refuse",
        WIRE,
        _TWINS,
        "an error without a body: before it is processed, or (at -answer) instead of the answer",
        (Field("status", "integer", "as 429 or 500", 429, least=300, most=599),),
    ),
    Action(
        "limit",
        WIRE,
        ("connect",),
        "the connection ends after any of these, counted from its CONNECT on",
        (
            Field("seconds", "number", "so long", None, most=LONGEST_S),
            Field("packets_in", "integer", "so many packets from the device", None),
            Field("packets_out", "integer", "so many packets to the device", None),
            Field("bytes_in", "integer", "so many bytes that come after CONNECT's record", None),
            Field("bytes_out", "integer", "so many bytes to the device", None),
            _END,
        ),
    ),
    Action("delay", DOOR, points_of(DOOR), "the handshake goes on so much later", (_SECONDS,)),
    Action("close", DOOR, points_of(DOOR), "the end, as at a hub that is gone", (_DOOR_END,)),
    Action("hold", DOOR, points_of(DOOR), "silence", (_HELD,)),
    Action(
        "alert",
        DOOR,
        ("hello",),
        "a fatal TLS alert",
        (Field("code", "integer", "40: handshake_failure", 40, most=255),),
    ),
    Action(
        "cut",
        DOOR,
        ("hello",),
        "the beginning of the server's first flight leaves, and no more",
        (
            _CUT_BYTES,
            Field("end", "text", "how it ends", "hold", choices=("fin", "reset", "hold")),
        ),
    ),
    Action(
        "certificate",
        DOOR,
        ("hello",),
        "another certificate than ours",
        (
            Field(
                "kind",
                "text",
                "what is wrong with it",
                choices=("expired", "not-yet-valid", "wrong-name", "unknown-root"),
            ),
        ),
    ),
    Action(
        "refuse",
        ANSWER,
        _ASKED + _TOLD,
        "an error: before it is processed, or (at -answer) instead of the answer",
        (
            Field("status", "integer", "as 401, 404, 429 or 500", 429, least=300, most=599),
            _CODE,
            Field("message", "text", "of the body", None, most=4096),
            _WAIT,
        ),
    ),
    Action("assigning", ANSWER, _ASKED + _TOLD, "202, still assigning", (_WAIT,)),
    Action("unassigned", ANSWER, _ASKED + _TOLD, "202, the status unassigned", (_WAIT,)),
    Action("disabled", ANSWER, _ASKED + _TOLD, "200, the status disabled"),
    Action(
        "failed",
        ANSWER,
        _ASKED + _TOLD,
        "200, the status failed",
        (
            Field("code", "integer", "errorCode", 400207),
            Field(
                "message",
                "text",
                "errorMessage",
                "Custom allocation failed with status code: 400",
                most=4096,
            ),
            Field("nested", "switch", "the message inside a hub's own JSON, as text", False),
        ),
    ),
    Action(
        "state",
        ANSWER,
        _TOLD,
        "other values in registrationState, if the answer has one",
        (
            Field("hub", "text", "assignedHub", None, most=253),
            Field("device_id", "text", "deviceId", None, most=128),
            Field("substatus", "text", "as deviceDataMigrated", None, most=64),
            Field("set", "json", "an object: names and values; null removes", None),
        ),
    ),
    Action(
        "payload",
        ANSWER,
        _TOLD,
        "a payload in registrationState, if the answer has one",
        (Field("value", "json", "by default what the device sent when it registered", None),),
    ),
    Action(
        "retry-after",
        ANSWER,
        _TOLD,
        "another retry-after",
        (
            Field("seconds", "integer", "-1: without it; as it is by default", None, -1, 1e9),
            Field("name", "text", "as Retry-After", "retry-after", least=1, most=32),
            Field("first", "switch", "before $rid in the topic", False),
        ),
    ),
    Action(
        "body",
        ANSWER,
        _TOLD,
        "another body",
        (
            Field("text", "text", "as UTF-8", "", most=65536),
            Field("hex", "hex", "any bytes, instead of text", None, most=65536),
        ),
    ),
    Action("truncate", ANSWER, _TOLD, "the beginning of the body alone", (_CUT_BYTES,)),
    Action(
        "rid",
        ANSWER,
        _TOLD,
        "another $rid in the topic",
        (Field("value", "text", "empty by default", "", most=128),),
    ),
)

WHOM = (
    Field("device", "text", "registration id or device id", None, least=1, most=128),
    Field("hub", "text", "a hub's host name", None, least=1, most=253),
    Field("part", "text", "the service", None, choices=("dps", "hub")),
    Field("over", "text", "the transport", None, choices=("mqtt", "websocket", "https")),
    Field("address", "text", "the local address, at accept and hello", None, most=64),
)
WHEN = (
    Field("times", "integer", "strike so often; always by default", None, least=1),
    Field("after", "integer", "let so many matches pass first", 0),
    Field("every", "integer", "then strike at every Nth match alone", 1, least=1),
    Field("probability", "number", "of each strike, from 0 to 1", 1.0, most=1),
    Field("seed", "integer", "of the probability: the same seed, the same strikes", 0, most=1e18),
)


def action(at: str, do: str) -> Action | None:
    """The action of that name at that point."""
    return next((row for row in ACTIONS if row.name == do and at in row.points), None)


def actions_at(at: str) -> tuple[str, ...]:
    """The names of what can be done at a point."""
    return tuple(dict.fromkeys(row.name for row in ACTIONS if at in row.points))
