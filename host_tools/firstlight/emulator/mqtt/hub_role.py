"""A device at its hub, over MQTT. Topics: protocol.md 6."""

from collections.abc import Callable

from ..events import event
from ..hub import hub
from ..hub.hub import Hub
from ..hub.telemetry import Foreign
from .packets import Connect, Publish
from .roles import Cloud, Reply


class HubRole:
    """A device at its hub."""

    part = "hub"

    def __init__(self, cloud: Cloud, hub: Hub, packet: Connect) -> None:
        self._cloud = cloud
        self._hub = hub
        now_at = cloud.clock()
        admission = hub.admit(packet.user or "", packet.password or "", packet.client_id, now_at)
        self.id = admission.device_id
        self.expires_at: float | None = admission.expires_at
        self._will = packet.will

    def begin(self, close: Callable[[str], None]) -> None:
        self._hub.attach(self.id, close)
        self._tell(f"connected to {self._hub.name}")

    def leave(self) -> None:
        self._will = None

    def end(self, close: Callable[[str], None]) -> None:
        self._hub.detach(self.id, close)
        will, self._will = self._will, None
        if will is not None:
            try:
                self._take(will, is_will=True)
            except Foreign as error:
                self._tell(f"its will was dropped: {error}")

    def takes(self, topic_filter: str) -> bool:
        return self._hub.is_filter(self.id, topic_filter)

    def published(self, packet: Publish) -> Reply | None:
        if self._take(packet):
            return None
        rid = hub.twin_request_id(packet.topic)
        if rid is None:
            self._tell("an answer to a method that nobody called")
            return None
        # Twins are not served yet: say so, rather than let the client wait.
        self._tell("a twin request, refused with 501")
        return Reply("$iothub/twin/res/#", f"$iothub/twin/res/501/?$rid={rid}", b"")

    def _take(self, packet: Publish, is_will: bool = False) -> bool:
        now_at, retain = self._cloud.clock(), packet.retain
        message = self._hub.receive(self.id, packet.topic, packet.payload, retain, now_at, is_will)
        if message is None:
            return False
        kind, size = "will" if is_will else "telemetry", len(message.body)
        self._tell(f"{kind} {message.sequence}, {size} bytes", sequence=message.sequence)
        return True

    def _tell(self, what: str, **more: int) -> None:
        self._cloud.emit(event(self._cloud.clock(), "hub", self.id, what, **more))
