"""One MQTT conversation: bytes in, bytes out, over any transport.

No sockets and no timers. Whatever a peer sends, its worst effect is that this conversation ends
with one event; no other one is touched.
"""

from collections.abc import Callable

from ..events import event
from ..faults.faults import Whom
from ..hub.hub import NotAdmitted
from ..hub.line import Delivery
from ..hub.telemetry import Foreign
from . import writing
from .admission import admit
from .outbox import Outbox
from .packets import (
    Connect,
    Disconnect,
    Packet,
    PacketError,
    Ping,
    Puback,
    Publish,
    Subscribe,
    Unsubscribe,
)
from .reading import PUBLISH_LIMIT, Decoder
from .roles import Cloud, Role
from .trouble import Trouble
from .wire import Wire

_MAX_FILTERS = 5  # "a device can only subscribe to five topics at a time"
# What is sent of itself (messages, methods, desired properties) waits for a peer that lags behind,
# or ends a connection that reads nothing at all; answers are bounded by reading no more requests.
_ROOM_BYTES = 256 * 1024
_ROOM_IN_FLIGHT = 20
_MAX_WAITING_BYTES = 4 * 1024 * 1024


class Session:
    """The server's side of a connection, and its hub's Line. peer: its address, for the log.

    chain: tells the certificates that TLS carried, DER, the leaf first; asked once, at CONNECT.
    """

    def __init__(
        self,
        cloud: Cloud,
        wire: Wire,
        peer: str,
        chain: Callable[[], tuple[bytes, ...]] = tuple,
    ) -> None:
        self._cloud = cloud
        self._wire = Trouble(cloud.faults, wire, self)
        self._peer = peer
        self._chain = chain
        self._decoder = Decoder()
        self._role: Role | None = None
        self._filters: dict[str, int] = {}
        self._outbox = Outbox()
        self._is_blocked = False
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
    def is_delayed(self) -> bool:
        """Whether a fault keeps what the peer has said: its silence is not its own."""
        return self._wire.is_delaying

    @property
    def expires_at(self) -> float | None:
        """Unix seconds at which the connection must end, if it must."""
        return self._role.expires_at if self._role else None

    @property
    def shown(self) -> str:
        """What it ends with then: token or certificate."""
        return self._role.shown if self._role else ""

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer; none count once the conversation has ended."""
        if not self.is_closed:
            self._read(data)

    def _read(self, data: bytes) -> None:
        if self._wire.has_struck:
            data = self._wire.received(data)
        try:
            for packet in self._decoder.feed(data):
                self.packets_read += 1
                if not self._is_stopped(packet):
                    self._take(packet)
                if self.is_closed:
                    return
        except (PacketError, Foreign, NotAdmitted) as error:
            self._fail(error)

    def act(self, packet: Packet) -> None:
        """Take a packet that a fault kept back until now (Talk)."""
        self.packets_read += 1  # once more: the peer is heard now
        try:
            if not self.is_closed:
                self._take(packet)
        except (PacketError, Foreign, NotAdmitted) as error:
            self._fail(error)

    @property
    def peer(self) -> str:
        """The peer's address, as host:port."""
        return self._peer

    def whom(self) -> Whom:
        """Whose conversation it is, for faults (Talk)."""
        if self._role is None:
            return Whom(over=self._wire.over)
        return Whom(self._role.id, self._role.hub_name, self._role.part, self._wire.over)

    def push(
        self,
        topic_filter: str,
        topic: str,
        payload: bytes,
        delivery: Delivery | None = None,
    ) -> bool:
        """Send a message if the peer subscribed to topic_filter; whether it was sent (Line)."""
        is_sent = self._send(topic_filter, topic, payload, delivery)
        if is_sent:
            self._tell(f"sent {topic}, {len(payload)} bytes")
        return is_sent

    def _send(
        self,
        topic_filter: str,
        topic: str,
        payload: bytes,
        delivery: Delivery | None = None,
    ) -> bool:
        qos = self._filters.get(topic_filter)
        if qos is None or self.is_closed:
            return False
        if self._wire.waiting() > _MAX_WAITING_BYTES:
            self.close("it reads nothing of what is sent to it")
            return False
        if not qos:
            self._wire.send(writing.publish(topic, payload, None))
            if delivery is not None:
                delivery.on_ack(self._cloud.clock())
            return True
        return self._send_to_be_acknowledged(topic, payload, delivery)

    def _send_to_be_acknowledged(
        self, topic: str, payload: bytes, delivery: Delivery | None
    ) -> bool:
        on_ack = delivery.on_ack if delivery else None
        before = delivery.packet_id if delivery else None
        packet_id = self._outbox.add(on_ack, before)
        if packet_id is None:
            self.close("it acknowledges nothing of what is sent to it")
            return False
        if delivery is not None:
            delivery.on_sent(packet_id)
        self._wire.send(writing.publish(topic, payload, packet_id, before is not None))
        return True

    def has(self, topic_filter: str) -> bool:
        """Whether the peer subscribed to it (Line)."""
        return topic_filter in self._filters and not self.is_closed

    def has_room(self) -> bool:
        """Whether the peer keeps up (Line); if not, resume() or an acknowledgement goes on."""
        is_full = self._wire.waiting() >= _ROOM_BYTES or len(self._outbox) >= _ROOM_IN_FLIGHT
        self._is_blocked = self._is_blocked or is_full
        return not is_full and not self.is_closed

    def resume(self) -> None:
        """The wire has room: send on, if something waits for that."""
        if self._is_blocked and not self.is_closed and self._role is not None:
            self._is_blocked = False
            self._role.ready()

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
            self._role.end(self)
        self._wire.close()

    def _fail(self, error: Exception) -> None:
        code = error.code if isinstance(error, PacketError) else None
        if code is not None and self._role is None:
            self._wire.send(writing.connack(code))
        self.close(str(error))

    def _is_stopped(self, packet: Packet) -> bool:
        """Whether a fault has the packet; while none is set, no more than two tests."""
        wire = self._wire
        return (self._cloud.faults.is_set or wire.has_struck) and wire.stops(packet)

    def _tell(self, what: str) -> None:
        part, id = (self._role.part, self._role.id) if self._role else ("mqtt", self._peer)
        self._cloud.emit(event(self._cloud.clock(), part, id, what))

    def _take(self, packet: Packet) -> None:
        if self._role is None:
            self._connect(packet)
        elif isinstance(packet, Publish):
            self._publish(packet, self._role)
        elif isinstance(packet, Puback):
            self._acknowledged(packet.packet_id)
        elif isinstance(packet, Ping):
            self._wire.send(writing.pingresp())
        else:
            self._manage(packet, self._role)

    def _acknowledged(self, packet_id: int) -> None:
        if self._outbox.acknowledged(packet_id, self._cloud.clock()):
            self._tell("acknowledged a message")
        self.resume()

    def _manage(self, packet: Packet, role: Role) -> None:
        if isinstance(packet, Subscribe):
            self._subscribe(packet, role)
        elif isinstance(packet, Unsubscribe):
            self._unsubscribe(packet, role)
        elif isinstance(packet, Disconnect):
            self._tell("disconnected")
            role.leave()
            self._finish()
        elif isinstance(packet, Connect):
            raise PacketError("a second CONNECT")  # MQTT-3.1.0-2

    def _connect(self, packet: Packet) -> None:
        if not isinstance(packet, Connect):
            raise PacketError("the first packet is not CONNECT")  # MQTT-3.1.0-1
        try:
            role = admit(self._cloud, packet, self._wire.over, self._chain())
        except NotAdmitted as error:
            self._wire.send(writing.connack(error.code))
            # Whoever confuses the fields of CONNECT may have put the token there.
            id = "?" if "sig=" in packet.client_id else packet.client_id
            who = f"client {id} refused with CONNACK {error.code}: {error}"
            raise NotAdmitted(error.code, who) from None
        self._role = role
        self._decoder.publish_limit = PUBLISH_LIMIT
        silence_s = 1.5 * packet.keepalive_s or role.max_silence_s
        self.idle_limit_s = min(silence_s, role.max_silence_s)
        kept = role.begin(self)
        self._wire.send(writing.connack(0, kept is not None and kept.is_told))
        filters = kept.filters if kept else {}
        self._filters |= filters  # all of them before the first message
        for name, qos in filters.items():
            role.subscribed(name, qos)

    def _publish(self, packet: Publish, role: Role) -> None:
        if packet.qos == 2:
            if role.ignores_qos2:
                self._tell("ignored: a PUBLISH with QoS 2")
                return
            raise Foreign("a PUBLISH with QoS 2")
        reply = role.published(packet)
        if packet.packet_id is not None:
            self._wire.send(writing.puback(packet.packet_id))
        if reply is None:
            return
        if not self._send(reply.filter, reply.topic, reply.payload) and not self.is_closed:
            self._tell("an answer that the device did not subscribe to")
        if reply.is_last:
            self.close("after an error, as it was told to")

    def _subscribe(self, packet: Subscribe, role: Role) -> None:
        granted = {name: min(qos, 1) for name, qos in packet.filters if role.takes(name)}
        if any(name not in granted for name, _ in packet.filters) and not role.denies_softly:
            raise Foreign("a subscription that is not allowed")
        if len(self._filters | granted) > _MAX_FILTERS:
            raise Foreign(f"more than {_MAX_FILTERS} subscriptions")
        self._filters |= granted
        codes = [min(qos, 1) if name in granted else 0x80 for name, qos in packet.filters]
        self._wire.send(writing.suback(packet.packet_id, codes))
        for name, qos in granted.items():
            role.subscribed(name, qos)

    def _unsubscribe(self, packet: Unsubscribe, role: Role) -> None:
        for name in packet.filters:
            if self._filters.pop(name, None) is not None:
                role.unsubscribed(name)
        self._wire.send(writing.unsuback(packet.packet_id))
