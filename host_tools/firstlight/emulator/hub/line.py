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
        on_ack: Callable[[], None] | None = None,
    ) -> bool:
        """Send a message if the device subscribed to topic_filter; whether it did.

        on_ack: called when the device has acknowledged it, or at once where it need not (QoS 0).
        """

    def has(self, topic_filter: str) -> bool:
        """Whether the device subscribed to it."""

    def close(self, why: str) -> None:
        """End the connection, and say why in the log."""
