"""A hub without any server, with a clock and a journal of its own, for tests of what it decides.

Conversations with it are real sessions over a wire that keeps the bytes.
"""

import base64
import itertools
import struct
from typing import Any

from firstlight.emulator.answers import Json
from firstlight.emulator.hub.credential import by_keys
from firstlight.emulator.hub.hub import Hub
from firstlight.emulator.hub.line import Delivery
from firstlight.emulator.hub.registry import Registry
from firstlight.emulator.hub.rules import HubRules
from firstlight.emulator.hub.telemetry import Telemetry
from firstlight.emulator.keys import Keys
from firstlight.emulator.policies import HUB_POLICIES, Policies

NOW = 1_795_000_000.0
KEYS = Keys(*(base64.b64encode(c * 32).decode() for c in (b"p", b"s")))
BY_KEYS = by_keys(KEYS)
_numbers = itertools.count(1)


def random_bytes(count: int) -> bytes:
    """No two are the same."""
    return next(_numbers).to_bytes(count, "big")


class Book:
    """A journal in memory, which outlives the hub that writes it."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Json]] = {}

    def put(self, kind: str, key: str, document: Json) -> None:
        self.records.setdefault(kind, {})[key] = document

    def delete(self, kind: str, key: str) -> None:
        self.records.get(kind, {}).pop(key, None)

    def load(self, kind: str) -> list[tuple[str, Json]]:
        return list(self.records.get(kind, {}).items())

    def commit(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def a_hub(
    name: str = "my-hub",
    telemetry: Telemetry | None = None,
    book: Book | None = None,
    **rules: Any,
) -> Hub:
    """A hub with policies; its devices, and all else, are in the book."""
    book = book or Book()
    return Hub(
        name,
        Registry(name, random_bytes, book),
        telemetry or Telemetry(journal=book),
        random_bytes,
        book,
        Policies(name, HUB_POLICIES, random_bytes, book),
        HubRules(**rules),
    )


class Line:
    """A connection that keeps what a hub does with it. qos: of each filter subscribed to."""

    def __init__(self, room: int = 100) -> None:
        self.qos: dict[str, int] = {}
        self.sent: list[tuple[str, bytes]] = []
        self.again: list[bool] = []
        self.acks: list[Any] = []
        self.closed: list[str] = []
        self.room = room

    def push(
        self,
        topic_filter: str,
        topic: str,
        payload: bytes,
        delivery: Delivery | None = None,
    ) -> bool:
        if topic_filter not in self.qos:
            return False
        self.sent.append((topic, payload))
        if delivery is None:
            return True
        self.again.append(delivery.packet_id is not None)
        if self.qos[topic_filter]:
            delivery.on_sent(delivery.packet_id or len(self.sent))
            self.acks.append(delivery.on_ack)
        else:
            delivery.on_ack(NOW)
        return True

    def has(self, topic_filter: str) -> bool:
        return topic_filter in self.qos

    def has_room(self) -> bool:
        return len(self.acks) < self.room

    def close(self, why: str) -> None:
        self.closed.append(why)

    def subscribe(self, hub: Hub, topic_filter: str, qos: int = 1, at: float = NOW) -> None:
        """As a session does it."""
        self.qos[topic_filter] = qos
        hub.subscribed("dev", topic_filter, qos, at)

    def acknowledge(self, hub: Hub, at: float = NOW) -> None:
        """PUBACK of the oldest that waits for it."""
        self.acks.pop(0)(at)
        hub.ready("dev", at)


def packets_in(data: bytes) -> list[tuple[int, bytes]]:
    """Each packet's first byte and body."""
    found = []
    while data:
        length = shift = 0
        at = 1
        while True:
            length |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not data[at - 1] & 0x80:
                break
        found.append((data[0], data[at : at + length]))
        data = data[at + length :]
    return found


def topic_of(body: bytes) -> str:
    return body[2 : 2 + struct.unpack("!H", body[:2])[0]].decode()


def id_of(body: bytes) -> int:
    """The packet id of a QoS 1 PUBLISH."""
    at = 2 + struct.unpack("!H", body[:2])[0]
    return int(struct.unpack("!H", body[at : at + 2])[0])
