"""Telemetry: a device's messages with their properties, and the last of them that are kept.

Facts: protocol.md 6.2. The properties of `devices/a/messages/events/$.ct=text&k=v` are
{"content-type": "text"} (the system's) and {"k": "v"} (the application's).
"""

import base64
from collections import deque
from dataclasses import dataclass
from urllib.parse import unquote

from ..answers import Json
from ..journal import Journal, Nowhere

MAX_MESSAGE_BYTES = 256 * 1024
_MAX_PROPERTIES = 100
_KIND = "telemetry"
_SYSTEM_PROPERTIES = {
    "$.mid": "message-id",
    "$.cid": "correlation-id",
    "$.uid": "user-id",
    "$.ct": "content-type",
    "$.ce": "content-encoding",
    "$.to": "to",
    "$.exp": "absolute-expiry-time",
    "$.ctime": "creation-time-utc",
    "$.on": "output-name",
    "$.sub": "dt-subject",
    "$.ifid": "interface-id",
    "$.cdid": "connection-device-id",
    "$.cmid": "connection-module-id",
}


class Foreign(Exception):
    """The device said what a hub does not take; the hub closes the connection."""


@dataclass(frozen=True)
class Message:
    """Telemetry that a hub received."""

    sequence: int
    hub: str
    device_id: str
    received_at: float
    body: bytes
    properties: dict[str, str]
    system_properties: dict[str, str]

    @property
    def size(self) -> int:
        """The memory it takes, in bytes, at most: its body and the text of its properties."""
        bags = (self.properties, self.system_properties)
        return len(self.body) + 4 * sum(len(k) + len(v) for bag in bags for k, v in bag.items())


class Telemetry:
    """What the hubs received, newest last; beyond its bounds the oldest are dropped.

    The newest is kept in any case, so that a journal always knows the last sequence number.
    """

    def __init__(
        self,
        max_messages: int = 10_000,
        max_bytes: int = 64 * 1024 * 1024,
        journal: Journal | None = None,
    ) -> None:
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._journal = journal or Nowhere()
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self.received = 0
        self.dropped = 0
        for sequence, document in self._journal.load(_KIND):
            self._keep(_message(int(sequence), document))

    def append(self, message: Message) -> None:
        """Keep the next message: its sequence number is `received` + 1."""
        self._journal.put(_KIND, str(message.sequence), _document(message))
        self._keep(message)

    def _keep(self, message: Message) -> None:
        self.received = message.sequence
        self._messages.append(message)
        self._bytes += message.size
        while len(self._messages) > 1 and self._is_full():
            oldest = self._messages.popleft()
            self._bytes -= oldest.size
            self.dropped += 1
            self._journal.delete(_KIND, str(oldest.sequence))

    def _is_full(self) -> bool:
        return len(self._messages) > self._max_messages or self._bytes > self._max_bytes

    def select(
        self, hub: str | None = None, device_id: str | None = None, after: int = 0
    ) -> list[Message]:
        """Messages whose sequence number is above `after`, oldest first."""
        found: list[Message] = []
        for m in reversed(self._messages):  # a reader asks for the newest again and again
            if m.sequence <= after:
                break
            if hub in (None, m.hub) and device_id in (None, m.device_id):
                found.append(m)
        return found[::-1]


def parse_properties(bag: str, is_strict: bool = True) -> tuple[dict[str, str], dict[str, str]]:
    """(system, application) properties of a topic's property bag.

    Raise Foreign beyond 100 and, if is_strict, for a / or = that is not percent-encoded: such a
    message loses the connection at Azure (azure-iot-sdk-c#1695). Nor is a question mark before
    the first name left out there (nrfconnect/sdk-nrf#5906).
    """
    system: dict[str, str] = {}
    application: dict[str, str] = {}
    parts = [part for part in bag.split("&") if part]
    if len(parts) > _MAX_PROPERTIES:
        raise Foreign("more than 100 properties")
    if is_strict and any("/" in part or part.count("=") > 1 for part in parts):
        raise Foreign("a property with a / or = that is not percent-encoded")
    for part in parts:
        name, _, value = part.partition("=")
        name, value = unquote(name), unquote(value)
        if name in _SYSTEM_PROPERTIES:
            system[_SYSTEM_PROPERTIES[name]] = value
        else:
            application[name] = value
    return system, application


def shown(message: Message) -> Json:
    """A message as the read-back API writes it. body: None unless it is UTF-8."""
    try:
        text = message.body.decode()
    except UnicodeDecodeError:
        text = None
    return {
        "sequence": message.sequence,
        "hub": message.hub,
        "device_id": message.device_id,
        "received_at": message.received_at,
        "body": text,
        "body_b64": base64.b64encode(message.body).decode(),
        "properties": message.properties,
        "system_properties": message.system_properties,
    }


def _document(message: Message) -> Json:
    """A message as a journal keeps it."""
    return {
        "hub": message.hub,
        "deviceId": message.device_id,
        "receivedAt": message.received_at,
        "body": base64.b64encode(message.body).decode(),
        "properties": message.properties,
        "system": message.system_properties,
    }


def _message(sequence: int, document: Json) -> Message:
    return Message(
        sequence,
        document["hub"],
        document["deviceId"],
        document["receivedAt"],
        base64.b64decode(document["body"]),
        document["properties"],
        document["system"],
    )
