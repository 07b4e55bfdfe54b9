"""A device at its hub, over MQTT: topics to the hub's methods, and answers to topics.

No I/O. Topics: protocol.md 6.
"""

from ..answers import Refusal, parse_object
from ..chains import BadChain, read
from ..events import event
from ..hub import methods, topics
from ..hub.hub import Hub
from ..hub.line import Line
from ..hub.telemetry import Foreign
from .packets import Connect, Publish
from .roles import Cloud, Kept, Reply


class HubRole:
    """A device at its hub. Raises NotAdmitted when it is made, if it may not be there."""

    part = "hub"
    max_silence_s = 1767.0  # protocol.md 6.7: 29.45 minutes, whatever the keepalive
    ignores_qos2 = denies_softly = False

    def __init__(
        self, cloud: Cloud, hub: Hub, packet: Connect, chain: tuple[bytes, ...] = ()
    ) -> None:
        self._cloud = cloud
        self._hub = hub
        self.hub_name = hub.name
        now_at = cloud.clock()
        user, password = packet.user or "", packet.password or ""
        admission = hub.admit(user, password, packet.client_id, now_at, chain)
        self.id = admission.device_id
        self.expires_at: float | None = admission.expires_at
        self.shown = "token" if password or not chain else "certificate"
        self._by = _certificate_of(chain) if self.shown == "certificate" else ""
        self._will = packet.will
        self._is_clean = packet.clean

    def begin(self, line: Line) -> Kept | None:
        """Take the device's place at the hub; the connection that had it ends."""
        known = self._hub.attach(self.id, line, self._cloud.clock(), self._is_clean)
        self._tell(f"connected to {self._hub.name}{self._by}")
        return None if known is None else Kept(known, self._hub.rules.session_present)

    def leave(self) -> None:
        """The device has said goodbye: its will is void."""
        self._will = None

    def end(self, line: Line) -> None:
        """The connection is gone; a will becomes telemetry."""
        self._hub.detach(self.id, line, self._cloud.clock())
        will, self._will = self._will, None
        if will is None:
            return
        if self._hub.registry.get(self.id) is None:
            self._tell("its will was dropped: the device is gone")
            return
        try:
            self._telemetry(will, is_will=True)
        except Foreign as error:
            self._tell(f"its will was dropped: {error}")

    def takes(self, topic_filter: str) -> bool:
        """Whether a hub has it for this device."""
        return self._hub.is_filter(self.id, topic_filter)

    def subscribed(self, topic_filter: str, qos: int) -> None:
        """What waits for the device flows."""
        now_at = self._cloud.clock()
        self._hub.subscribed(self.id, topic_filter, qos, now_at)
        if "/devicebound/" in topic_filter:
            withheld = self._hub.withheld_messages(self.id, now_at)
            if withheld:
                self._tell(f"gets none of {withheld} messages queued before it first subscribed")

    def unsubscribed(self, topic_filter: str) -> None:
        """The device takes it no more."""
        self._hub.unsubscribed(self.id, topic_filter)

    def ready(self) -> None:
        """More may be sent."""
        self._hub.ready(self.id, self._cloud.clock())

    def published(self, packet: Publish) -> Reply | None:
        """Take what the device said, and answer a twin request; raise Foreign."""
        if not packet.topic.startswith("$iothub/"):
            self._telemetry(packet)
            return None
        request = topics.twin_request(packet.topic)
        if request is not None:
            return self._twin(*request, packet.payload)
        answer = methods.read_answer(packet.topic)
        if answer is None:
            raise Foreign("a topic that a hub does not have")
        self._method(*answer, packet.payload)
        return None

    def _telemetry(self, packet: Publish, is_will: bool = False) -> None:
        now_at, retain = self._cloud.clock(), packet.retain
        message = self._hub.receive(self.id, packet.topic, packet.payload, retain, now_at, is_will)
        kind, size = "will" if is_will else "telemetry", len(message.body)
        self._tell(f"{kind} {message.sequence}, {size} bytes", sequence=message.sequence)

    def _method(self, status: int, rid: str, body: bytes) -> None:
        if len(body) > methods.MAX_PAYLOAD_BYTES:
            raise Foreign("an answer to a method of more than 128 KB")
        if self._hub.method_answered(self.id, rid, status, body):
            self._tell(f"answered a method with {status}, {len(body)} bytes")
        else:
            self._tell("an answer to a method that nobody waits for")

    def _twin(self, what: str, rid: str, body: bytes) -> Reply:
        now_at = self._cloud.clock()
        prefix = "$iothub/twin/res/"
        try:
            if what == "GET":
                document = self._hub.twin_get(self.id, now_at)
                self._tell("read its twin", status=200)
                topic = f"{prefix}200/?$rid={rid}"
                return Reply(topics.TWIN_ANSWERS, topic, methods.written(document))
            version = self._hub.twin_reported(self.id, parse_object(body), now_at)
        except Refusal as refusal:
            answer = refusal.answer(now_at, self._hub.random_bytes)
            self._tell(f"a twin request: {answer.note}", status=answer.status)
            topic = f"{prefix}{answer.status}/?$rid={rid}"
            return Reply(topics.TWIN_ANSWERS, topic, answer.body)
        self._tell(f"reported properties, version {version}", status=204)
        topic = f"{prefix}204/?$rid={rid}&$version={version}"
        return Reply(topics.TWIN_ANSWERS, topic, b"")

    def _tell(self, what: str, **more: int) -> None:
        self._cloud.emit(event(self._cloud.clock(), "hub", self.id, what, **more))


def _certificate_of(chain: tuple[bytes, ...]) -> str:
    """Whose certificate it came with, for the log; "" for none."""
    try:
        return f" with a certificate of {read(chain[:1]).common_name!r}" if chain else ""
    except BadChain:
        return ""  # a hub would not have let it in
