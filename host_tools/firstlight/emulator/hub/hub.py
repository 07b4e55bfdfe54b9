"""IoT Hub: its devices on their connections, what they say, and what they are told.

Pure logic: no sockets and no clock. A connection is known here only as a Line. What was changed is
journaled at once; whoever carries the answer commits. Facts: protocol.md 6.
"""

from collections.abc import Callable, Sequence

from ..answers import Json, RandomBytes
from ..journal import Journal, Nowhere
from ..policies import Policies
from ..rest import check_match
from . import methods, topics
from .entry import (
    IDENTIFIER_REJECTED,
    NOT_AUTHORIZED,
    Admission,
    Entry,
    NotAdmitted,
    hub_of,
)
from .line import Line
from .members import Members, twin_parts
from .meter import Meter
from .proving import Trust
from .registry import Device, Registry
from .rules import HubRules
from .telemetry import MAX_MESSAGE_BYTES, Foreign, Message, Telemetry, parse_properties

__all__ = [
    "IDENTIFIER_REJECTED",
    "NOT_AUTHORIZED",
    "Admission",
    "Hub",
    "NotAdmitted",
    "hub_of",
    "twin_parts",
]


class Hub(Members):
    """One IoT hub. registry: its devices; telemetry: where what they say goes.

    policies: its shared access policies; None: only devices' own keys are taken at CONNECT.
    Until it is told whom to believe, it takes only certificates whose thumbprint it knows.
    """

    def __init__(
        self,
        name: str,
        registry: Registry,
        telemetry: Telemetry,
        random_bytes: RandomBytes,
        journal: Journal | None = None,
        policies: Policies | None = None,
        rules: HubRules | None = None,
    ) -> None:
        journal, rules = journal or Nowhere(), rules or HubRules()
        super().__init__(name, registry, random_bytes, journal, rules)
        self.policies = policies
        self._telemetry = telemetry
        self._entry = Entry(name, registry, policies, rules)
        self._calls = methods.Calls()
        self._twin_meter = Meter(rules.twin_requests_per_s)

    @property
    def trust(self) -> Trust:
        """Whose certificates it takes, beside those whose thumbprint it knows."""
        return self._entry.trust

    def believe(self, trust: Trust) -> None:
        """Take these authorities' certificates from now on."""
        self._entry.trust = trust

    # A device's connection.

    def admit(
        self,
        user: str,
        password: str,
        client_id: str,
        now_at: float,
        chain: Sequence[bytes] = (),
    ) -> Admission:
        """Judge a CONNECT; raise NotAdmitted. chain: what TLS carried, DER, the leaf first."""
        return self._entry.admit(user, password, client_id, now_at, chain)

    def attach(
        self, device_id: str, line: Line, now_at: float, clean: bool = True
    ) -> dict[str, int] | None:
        """Make this the device's one connection: the newer wins (protocol.md 6.7).

        Returns the filters and their QoS of the session that goes on, or None for a new one.
        """
        device = self.device(device_id)
        older, device.line = device.line, line
        if older is not None:
            older.close("a newer connection of the same device")
        device.connection_updated_at = device.last_activity_at = now_at
        self._mail.release(device_id)
        known = self._sessions.begin(device_id, clean)
        if known is None:
            self._mail.forget_session(device_id)
            return None
        return {name: subscription.qos for name, subscription in known.items()}

    def detach(self, device_id: str, line: Line, now_at: float) -> None:
        """The connection has ended; no matter if another has taken its place."""
        device = self.registry.get(device_id)
        if device is None or device.line is not line:
            return
        device.line, device.connection_updated_at = None, now_at
        self._mail.release(device_id)
        self._sessions.end(device_id)

    def is_filter(self, device_id: str, topic_filter: str) -> bool:
        """Whether a device may subscribe to it."""
        return topics.is_filter(device_id, topic_filter)

    def subscribed(self, device_id: str, topic_filter: str, qos: int, now_at: float) -> None:
        """The device subscribed, and was told so: what waits for it flows."""
        self._sessions.add(device_id, topic_filter, qos, now_at)
        device = self.registry.get(device_id)
        if device is None:
            return
        if topic_filter in topics.messages(device_id):
            self.flow(device, now_at)
        elif topic_filter.startswith("$iothub/methods/"):
            self._calls.subscribed(device_id)

    def ready(self, device_id: str, now_at: float) -> None:
        """The device has acknowledged or read something: more may be sent."""
        device = self.registry.get(device_id)
        if device is not None:
            self.flow(device, now_at)

    def unsubscribed(self, device_id: str, topic_filter: str) -> None:
        """The device takes it no more."""
        self._sessions.remove(device_id, topic_filter)

    # What a device says.

    def receive(
        self,
        device_id: str,
        topic: str,
        body: bytes,
        retain: bool,
        now_at: float,
        is_will: bool = False,
    ) -> Message:
        """Take telemetry that a device published; raise Foreign if it is none, or too large."""
        bag = topics.events_bag(device_id, topic)
        if bag is None:
            raise Foreign("a topic that a hub does not have")
        if len(body) + len(bag) > MAX_MESSAGE_BYTES:
            raise Foreign("a message of more than 256 KB")
        system, application = parse_properties(bag, self.rules.raw_properties == "close")
        if retain:
            application["mqtt-retain"] = "true"
        if is_will:
            application["iothub-MessageType"] = "Will"  # protocol.md 6.6
        return self.accept(device_id, body, application, system, now_at)

    def accept(
        self,
        device_id: str,
        body: bytes,
        properties: dict[str, str],
        system_properties: dict[str, str],
        now_at: float,
    ) -> Message:
        """Take telemetry whose parts are read already, over HTTPS for one."""
        device = self.registry.get(device_id)
        if device is not None:
            device.last_activity_at = now_at
        message = Message(
            self._telemetry.received + 1,
            self.name,
            device_id,
            now_at,
            body,
            properties,
            system_properties,
        )
        self._telemetry.append(message)
        return message

    def twin_get(self, device_id: str, now_at: float) -> Json:
        """The twin as its device gets it; raise Refusal 404 or 429."""
        self._twin_meter.admit(now_at)
        return self.device(device_id).twin.device_document()

    def twin_reported(self, device_id: str, patch: Json, now_at: float) -> int:
        """Merge what the device reports; its new $version. Raise Refusal 400, 404, 413 or 429."""
        self._twin_meter.admit(now_at)
        device = self.device(device_id)
        version = device.twin.patch_reported(patch, now_at)
        device.last_activity_at = now_at
        self.registry.save_twin(device)
        return version

    def method_answered(self, device_id: str, rid: str, status: int, body: bytes) -> bool:
        """Take a device's answer to a direct method; whether anybody waited for it."""
        return self._calls.answered(device_id, rid, status, body)

    # What a device is told.

    def patch_twin(
        self, device_id: str, patch: Json, if_match: str | None, now_at: float
    ) -> Device:
        """Merge the service's patch and notify the device; raise Refusal 400, 404, 412 or 413."""
        device = self.device(device_id)
        check_match(if_match, device.twin.etag)
        tags, desired = twin_parts(patch)
        self._notify(device, device.twin.patch(tags, desired, now_at))
        return device

    def replace_twin(
        self, device_id: str, twin: Json, if_match: str | None, now_at: float
    ) -> Device:
        """Replace tags and desired properties and notify the device; raise Refusal as above."""
        device = self.device(device_id)
        check_match(if_match, device.twin.etag)
        tags, desired = twin_parts(twin)
        self._notify(device, device.twin.replace(tags or {}, desired or {}, now_at))
        return device

    def _notify(self, device: Device, told: Json | None) -> None:
        self.registry.save_twin(device)
        if told is not None and device.line is not None:
            topic = f"$iothub/twin/PATCH/properties/desired/?$version={told['$version']}"
            device.line.push(topics.DESIRED, topic, methods.written(told))

    def call_method(
        self, device_id: str, name: str, payload: bytes, on_answer: methods.OnAnswer
    ) -> str:
        """Send a call to the device; its rid. Raise Refusal 404 (unknown, not online) or 429.

        on_answer: given the device's status and body, unless forget_method comes first.
        """
        device = self.device(device_id)
        topic_filter = self._method_filter(device, name)
        if device.line is None or topic_filter is None:
            raise methods.not_online()
        rid = self._calls.begin(device_id, on_answer)
        if not device.line.push(topic_filter, methods.topic(name, rid), payload):
            self._calls.forget(rid)
            raise methods.not_online()
        return rid

    def forget_method(self, rid: str) -> None:
        """Nobody waits for the answer any more."""
        self._calls.forget(rid)

    def takes_method(self, device_id: str, name: str) -> bool:
        """Whether the device is there and subscribed to the method; raise Refusal 404001."""
        return self._method_filter(self.device(device_id), name) is not None

    def on_methods(self, device_id: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call wake, once, when the device next subscribes to methods; returns what undoes it."""
        return self._calls.on_subscribed(device_id, wake)

    def _method_filter(self, device: Device, name: str) -> str | None:
        line = device.line
        found = (f for f in topics.methods(name) if line is not None and line.has(f))
        return next(found, None)
