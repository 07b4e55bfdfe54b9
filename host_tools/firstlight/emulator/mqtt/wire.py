"""What stands on both sides of a conversation's faults: the wire below, the session above.

No I/O: whoever carries bytes is a Wire (server.py, http/websocket.py).
"""

from collections.abc import Callable
from typing import Protocol

from ..faults.faults import Whom
from .packets import Packet


class Wire(Protocol):
    """What carries a session's bytes. over: mqtt, or websocket."""

    over: str

    def send(self, data: bytes) -> None:
        """Queue bytes for the peer."""

    def waiting(self) -> int:
        """How many bytes are queued that the peer has not taken."""

    def close(self) -> None:
        """End the connection in good order, after what was sent is out."""

    def end(self, how: str) -> None:
        """End it at once: `fin`, TCP's end without TLS's, or `reset`; what was sent goes first."""

    def pause(self) -> None:
        """Read no more from the peer."""

    def resume(self) -> None:
        """Read again."""

    def later(self, delay_s: float, do: Callable[[], None]) -> None:
        """Call do in so many seconds, unless the connection is gone by then."""


class Talk(Protocol):
    """What a session lets faults do."""

    def act(self, packet: Packet) -> None:
        """Process a packet, whatever faults there are; end the conversation if it is wrong."""

    def push(self, topic_filter: str, topic: str, payload: bytes) -> bool:
        """Send a message if the device subscribed to topic_filter."""

    def resume(self) -> None:
        """Send on, if something waits for room."""

    def close(self, why: str) -> None:
        """End the conversation."""

    def whom(self) -> Whom:
        """Whose conversation it is."""
