"""One MQTT conversation: bytes in, bytes out, over any transport.

No sockets and no timers. Whatever a peer sends, its worst effect is that this conversation ends
with one event; no other one is touched.
"""

from typing import Protocol

from ..events import event
from ..hub.hub import NotAdmitted
from ..hub.telemetry import Foreign
from . import packets
from .admission import admit
from .packets import (
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PacketError,
    Ping,
    Publish,
    Subscribe,
    Unsubscribe,
)
from .roles import Cloud, Reply, Role

_MAX_KEEPALIVE_S = 1177  # protocol.md 6.7: the server waits 1.5 times this at most


class Wire(Protocol):
    """Where a session's bytes go. close: after what was sent is out."""

    def send(self, data: bytes) -> None:
        """Queue bytes for the peer."""

    def close(self) -> None:
        """End the connection."""


class Session:
    """The server's side of a connection. peer: its address, for the log."""

    def __init__(self, cloud: Cloud, wire: Wire, peer: str) -> None:
        self._cloud = cloud
        self._wire = wire
        self._peer = peer
        self._decoder = Decoder()
        self._role: Role | None = None
        self._filters: dict[str, int] = {}
        self._last_id = 0
        self.packets_read = 0
        self.idle_limit_s: float | None = None
        self.is_closed = False

    @property
    def is_connected(self) -> bool:
        """Whether a CONNECT was accepted."""
        return self._role is not None

    @property
    def is_midway(self) -> bool:
        """Whether the rest of a packet is awaited."""
        return self._decoder.is_midway

    @property
    def expires_at(self) -> float | None:
        """Unix seconds at which the connection must end, if it must."""
        return self._role.expires_at if self._role else None

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        try:
            for packet in self._decoder.feed(data):
                self.packets_read += 1
                self._take(packet)
                if self.is_closed:
                    return
        except PacketError as error:
            if error.code is not None and self._role is None:
                self._wire.send(packets.connack(error.code))
            self.close(str(error))
        except (Foreign, NotAdmitted) as error:
            self.close(str(error))

    def close(self, why: str) -> None:
        """End the conversation, and say why in the log; do nothing if it has ended."""
        if not self.is_closed:
            self._tell(f"closed: {why}")
            self._finish()

    def lost(self) -> None:
        """The transport has ended."""
        if not self.is_closed:
            if self._role is not None:
                self._tell("the connection was lost")
            self._finish()

    def _finish(self) -> None:
        self.is_closed = True
        if self._role is not None:
            self._role.end(self.close)
        self._wire.close()

    def _tell(self, what: str) -> None:
        part, id = (self._role.part, self._role.id) if self._role else ("mqtt", self._peer)
        self._cloud.emit(event(self._cloud.clock(), part, id, what))

    def _take(self, packet: Packet) -> None:
        if self._role is None:
            self._connect(packet)
        elif isinstance(packet, Publish):
            self._publish(packet, self._role)
        elif isinstance(packet, Ping):
            self._wire.send(packets.pingresp())
        elif isinstance(packet, Subscribe):
            self._subscribe(packet, self._role)
        elif isinstance(packet, Unsubscribe):
            self._unsubscribe(packet)
        elif isinstance(packet, Disconnect):
            self._tell("disconnected")
            self._role.leave()
            self._finish()
        elif isinstance(packet, Connect):
            raise PacketError("a second CONNECT")  # MQTT-3.1.0-2

    def _connect(self, packet: Packet) -> None:
        if not isinstance(packet, Connect):
            raise PacketError("the first packet is not CONNECT")  # MQTT-3.1.0-1
        try:
            role = admit(self._cloud, packet)
        except NotAdmitted as error:
            self._wire.send(packets.connack(error.code))
            who = f"client {packet.client_id} refused with CONNACK {error.code}: {error}"
            raise NotAdmitted(error.code, who) from None
        self._role = role
        self._decoder.publish_limit = packets.PUBLISH_LIMIT
        self.idle_limit_s = 1.5 * min(packet.keepalive_s or _MAX_KEEPALIVE_S, _MAX_KEEPALIVE_S)
        role.begin(self.close)
        self._wire.send(packets.connack(0))

    def _publish(self, packet: Publish, role: Role) -> None:
        if packet.qos == 2:
            raise Foreign("a PUBLISH with QoS 2")
        reply = role.published(packet)
        if packet.packet_id is not None:
            self._wire.send(packets.puback(packet.packet_id))
        if reply is not None:
            self._deliver(reply)

    def _deliver(self, reply: Reply) -> None:
        qos = self._filters.get(reply.filter)
        if qos is None:
            self._tell("an answer that the device did not subscribe to")
            return
        packet_id = None
        if qos:
            self._last_id = packet_id = self._last_id % 65535 + 1
        self._wire.send(packets.publish(reply.topic, reply.payload, packet_id))

    def _subscribe(self, packet: Subscribe, role: Role) -> None:
        for name, _ in packet.filters:
            if not role.takes(name):
                raise Foreign("a subscription that is not allowed")
        granted = [min(qos, 1) for _, qos in packet.filters]
        self._filters.update((name, min(qos, 1)) for name, qos in packet.filters)
        self._wire.send(packets.suback(packet.packet_id, granted))

    def _unsubscribe(self, packet: Unsubscribe) -> None:
        for name in packet.filters:
            self._filters.pop(name, None)
        self._wire.send(packets.unsuback(packet.packet_id))
