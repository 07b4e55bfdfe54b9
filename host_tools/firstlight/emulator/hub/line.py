"""A device's connection, as its hub sees it: something that takes messages and can be closed.

No I/O: MQTT's conversations are such lines (mqtt/session.py).
"""

from collections.abc import Callable
from typing import Protocol


class Line(Protocol):
    """What a hub may do with a connection."""

    def push(
        self,
        topic_filter: str,
        topic: str,
        payload: bytes,
        on_ack: Callable[[float], None] | None = None,
        again: bool = False,
    ) -> bool:
        """Send a message if the device subscribed to topic_filter; whether it was sent.

        on_ack: called with the time (Unix seconds) at which the device acknowledged it, or at
        once where it need not (QoS 0). again: it was sent before in the same session (DUP).
        """

    def has(self, topic_filter: str) -> bool:
        """Whether the device subscribed to it."""

    def has_room(self) -> bool:
        """Whether the peer keeps up: what it has not read or acknowledged is little."""

    def close(self, why: str) -> None:
        """End the connection, and say why in the log."""
