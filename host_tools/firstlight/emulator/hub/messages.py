"""A cloud-to-device message: its parts, their check, and the topic that carries them.

No I/O, no clock. Facts: protocol.md 6.3, and Azure's article iot-hub-devguide-messages-c2d. Text
for the device "dev" that has an id, an application's property, and one without a value:

    devices/dev/messages/devicebound/%24.mid=1&%24.to=%2Fdevices%2Fdev%2F...&colour=red&urgent
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from ..answers import Refusal, timestamp

MAX_C2D_BYTES = 64 * 1024
_MAX_TOPIC_BYTES = 65_535
ACKS = ("none", "positive", "negative", "full")
_BAG_NAMES = {
    "message-id": "$.mid",
    "correlation-id": "$.cid",
    "user-id": "$.uid",
    "content-type": "$.ct",
    "content-encoding": "$.ce",
}


@dataclass(frozen=True)
class C2D:
    """A message to a device.

    system: message-id, correlation-id, user-id, content-type, content-encoding, where set;
    properties: the application's, None for a property without a value; ack: one of ACKS, or None
    where the sender said nothing; expires_at: Unix seconds, None for the hub's default.
    sequence, enqueued_at, delivery_count and lock_token are the queue's to set.
    """

    body: bytes
    properties: Mapping[str, str | None] = field(default_factory=dict)
    system: Mapping[str, str] = field(default_factory=dict)
    ack: str | None = None
    expires_at: float | None = None
    sequence: int = 0
    enqueued_at: float = 0.0
    delivery_count: int = 0
    lock_token: str = ""

    @property
    def size(self) -> int:
        """Bytes, as the limit of 64 KB counts them: body and properties."""
        bags = (self.properties, self.system)
        pairs = [pair for bag in bags for pair in bag.items()]
        return len(self.body) + sum(_bytes(name) + _bytes(value or "") for name, value in pairs)

    def check(self, device_id: str) -> None:
        """Raise Refusal if it is too large, or says what a message cannot say."""
        if self.size > MAX_C2D_BYTES:
            raise Refusal(413, 413001, "The message is larger than 64 KB.")
        if self.ack is not None and self.ack not in ACKS:
            raise Refusal(400, 400000, "iothub-ack must be none, positive, negative or full.")
        unknown = set(self.system) - set(_BAG_NAMES)
        if unknown:
            raise Refusal(400, 400000, f"{min(unknown)} is not a system property to be set.")
        try:
            written = len(self.topic(device_id))
        except UnicodeEncodeError:
            raise Refusal(400, 400000, "A property is not text (a lone surrogate).") from None
        if written > _MAX_TOPIC_BYTES:
            raise Refusal(413, 413001, "The properties are larger than a topic of MQTT may be.")

    def wants_feedback(self, outcome: str) -> bool:
        """Whether its sender is to be told of this end of it."""
        return self.ack in ("positive" if outcome == "Success" else "negative", "full")

    def topic(self, device_id: str) -> str:
        """devices/{id}/messages/devicebound/{bag}; a bag as protocol.md 6.3 has it."""
        pairs: list[tuple[str, str | None]] = []
        mid = self.system.get("message-id")
        if mid is not None:
            pairs.append(("$.mid", mid))
        pairs.append(("$.to", f"/devices/{device_id}/messages/deviceBound"))
        pairs += [(_BAG_NAMES[k], v) for k, v in self.system.items() if k != "message-id"]
        if self.expires_at is not None:
            pairs.append(("$.exp", timestamp(self.expires_at)))
        if self.ack is not None:
            pairs.append(("iothub-ack", self.ack))
        pairs += self.properties.items()
        bag = "&".join(_written(name, value) for name, value in pairs)
        return f"devices/{device_id}/messages/devicebound/{bag}"


def _written(name: str, value: str | None) -> str:
    return quote(name, safe="") + ("" if value is None else "=" + quote(value, safe=""))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
