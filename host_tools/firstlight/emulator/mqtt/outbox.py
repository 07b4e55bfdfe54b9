"""Packet ids of what was sent with QoS 1, and what is done when it is acknowledged.

No I/O. An id is not used again while it is in flight (MQTT-2.3.1-2), and so many are in flight at
most.
"""

from collections.abc import Callable
from typing import TypeAlias

MAX_IN_FLIGHT = 1024
_LAST_ID = 65_535
OnAck: TypeAlias = Callable[[float], None]


class Outbox:
    """One connection's."""

    def __init__(self) -> None:
        self._waiting: dict[int, OnAck | None] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, on_ack: OnAck | None = None, wanted: int | None = None) -> int | None:
        """An id for one more message; None if too many are in flight.

        wanted: the id to be used if it is free.
        """
        if len(self._waiting) >= MAX_IN_FLIGHT:
            return None
        if wanted is not None:
            self._last = wanted - 1
        while True:
            self._last = self._last % _LAST_ID + 1
            if self._last not in self._waiting:
                break
        self._waiting[self._last] = on_ack
        return self._last

    def acknowledged(self, packet_id: int, now_at: float) -> bool:
        """PUBACK came: an id that is not in flight is ignored. Whether anybody waited for it."""
        on_ack = self._waiting.pop(packet_id, None)
        if on_ack is None:
            return False
        on_ack(now_at)
        return True
