"""A device's connection, as its hub sees it: something that takes messages and can be closed.

No I/O: MQTT's conversations are such lines (mqtt/session.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Delivery:
    """How a message that is to be acknowledged is sent.

    on_ack: called with the time (Unix seconds) at which the device acknowledged it, or at once
    where it need not (QoS 0). on_sent: called with its packet id just before it leaves (QoS 1).
    packet_id: the one it was sent with before in the same session, if it was; it is used again,
    and the message is marked (MQTT-4.4.0-1, DUP).
    """

    on_ack: Callable[[float], None]
    on_sent: Callable[[int], None]
    packet_id: int | None = None


class Line(Protocol):
    """What a hub may do with a connection."""

    def push(
        self,
        topic_filter: str,
        topic: str,
        payload: bytes,
        delivery: Delivery | None = None,
    ) -> bool:
        """Send a message if the device subscribed to topic_filter; whether it was sent."""

    def has(self, topic_filter: str) -> bool:
        """Whether the device subscribed to it."""

    def has_room(self) -> bool:
        """Whether the peer keeps up: what it has not read or acknowledged is little."""

    def close(self, why: str) -> None:
        """End the connection, and say why in the log."""
