"""What an MQTT conversation needs to know of the service behind it, and that service of it.

No sockets: the conversation itself is session.py's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..dps.service import ProvisioningService
from ..events import Emit
from ..faults.faults import Faults, no_faults
from ..hub.hub import Hub
from ..hub.line import Line
from .packets import Publish
from .rules import ConnectionRules


@dataclass(frozen=True)
class Cloud:
    """The services behind a server. hubs: by host name, lower case; auth_at: register, connect.

    commit: makes all that was taken so far outlive the process; who carries an answer calls it
    before the bytes leave. Raises OSError: nothing may leave then. keeps: whether that takes a
    disk's time, so that many answers had better share it. dps_lines: DPS's connections
    by registration id in lower case, if only one of each may be.
    """

    dps: ProvisioningService
    hubs: Mapping[str, Hub]
    auth_at: str
    clock: Callable[[], float]
    emit: Emit
    commit: Callable[[], None] = lambda: None
    faults: Faults = field(default_factory=no_faults)
    rules: ConnectionRules = field(default_factory=ConnectionRules)
    dps_lines: dict[str, Line] = field(default_factory=dict)
    keeps: bool = False


@dataclass(frozen=True)
class Kept:
    """A session that goes on. filters: each with its QoS; is_told: whether CONNACK says so."""

    filters: Mapping[str, int]
    is_told: bool


@dataclass(frozen=True)
class Reply:
    """A message to the device, if it subscribed to `filter`. is_last: the connection then ends."""

    filter: str
    topic: str
    payload: bytes
    is_last: bool = False


class Role(Protocol):
    """What session.py needs to know. expires_at: Unix seconds at which the connection ends, for
    what the device showed expires then: a token or a certificate.

    hub_name: empty at DPS. max_silence_s: how long the device may be silent, whatever its
    keepalive. ignores_qos2: a PUBLISH with QoS 2 does not end the connection; denies_softly: nor
    does a subscription that is not allowed, which is answered with 0x80.
    """

    part: str
    id: str
    hub_name: str
    max_silence_s: float
    ignores_qos2: bool
    denies_softly: bool
    expires_at: float | None
    shown: str

    def begin(self, line: Line) -> Kept | None:
        """The connection is up, and CONNACK is next; the session that it goes on with, if any."""

    def leave(self) -> None:
        """The device has said goodbye: its will is void."""

    def end(self, line: Line) -> None:
        """The connection is gone."""

    def takes(self, topic_filter: str) -> bool:
        """Whether it may be subscribed to."""

    def subscribed(self, topic_filter: str, qos: int) -> None:
        """The device subscribed, and SUBACK is on its way; messages may follow."""

    def unsubscribed(self, topic_filter: str) -> None:
        """The device takes it no more."""

    def ready(self) -> None:
        """The device has acknowledged or read something: more may be sent."""

    def published(self, packet: Publish) -> Reply | None:
        """Take what the device said, and answer; raise Foreign to end the connection."""
