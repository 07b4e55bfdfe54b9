"""What an MQTT conversation needs to know of the service behind it, and that service of it.

No sockets: the conversation itself is session.py's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..dps.service import ProvisioningService
from ..events import Emit
from ..hub.hub import Hub
from .packets import Publish


@dataclass(frozen=True)
class Cloud:
    """The services behind a server. hubs: by host name, lower case; auth_at: register, connect."""

    dps: ProvisioningService
    hubs: Mapping[str, Hub]
    auth_at: str
    clock: Callable[[], float]
    emit: Emit


@dataclass(frozen=True)
class Reply:
    """A message to the device, if it subscribed to `filter`."""

    filter: str
    topic: str
    payload: bytes


class Role(Protocol):
    """What session.py needs to know. expires_at: Unix seconds at which the connection ends."""

    part: str
    id: str
    expires_at: float | None

    def begin(self, close: Callable[[str], None]) -> None:
        """The connection is up; close ends it."""

    def leave(self) -> None:
        """The device has said goodbye: its will is void."""

    def end(self, close: Callable[[str], None]) -> None:
        """The connection is gone."""

    def takes(self, topic_filter: str) -> bool:
        """Whether it may be subscribed to."""

    def published(self, packet: Publish) -> Reply | None:
        """Take what the device said, and answer; raise Foreign to end the connection."""
