"""What an MQTT connection is connected to: the provisioning service, or one device's hub.

Turns what a device publishes into calls of the services, and their answers into topics. No
sockets: the connection itself is session.py's. Topics: protocol.md 2.1 and 6.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import unquote

from . import dps, hub
from .answers import Answer, Refusal
from .dps import ProvisioningService, Request
from .events import Emit, event
from .hub import NOT_AUTHORIZED, Foreign, Hub, NotAdmitted
from .packets import Connect, Publish

_DPS_USER = re.compile(
    r"(?P<scope>[^/]+)/registrations/(?P<id>[^/]+)/api-version=(?P<version>[^&]+)"
    r"(&ClientVersion=.*)?"
)
_DPS_FILTER = "$dps/registrations/res/#"
_REGISTER = "$dps/registrations/PUT/iotdps-register/"
_POLL = "$dps/registrations/GET/iotdps-get-operationstatus/"
_BAD_USER = 4
_MAX_RID = 128


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


def admit(cloud: Cloud, packet: Connect) -> Role:
    """Judge a CONNECT by its user name; raise NotAdmitted with CONNACK's code."""
    user = packet.user or ""
    match = _DPS_USER.fullmatch(user)
    if match is not None:
        return _admit_to_dps(cloud, packet, match)
    name = hub.hub_of(user)
    if name is None:
        raise NotAdmitted(_BAD_USER, "the user name is neither DPS's nor a hub's")
    if name not in cloud.hubs:
        raise NotAdmitted(NOT_AUTHORIZED, f"no hub {name} here")
    return HubRole(cloud, cloud.hubs[name], packet)


def _admit_to_dps(cloud: Cloud, packet: Connect, match: re.Match[str]) -> Role:
    if packet.client_id != match["id"]:
        raise NotAdmitted(hub.IDENTIFIER_REJECTED, "the client id is not the registration id")
    if match["version"] not in dps.API_VERSIONS:
        raise NotAdmitted(NOT_AUTHORIZED, "unknown api-version")
    request = Request(match["scope"], match["id"], packet.password or "")
    if cloud.auth_at == "connect":
        try:
            cloud.dps.authenticate(request, cloud.clock())
        except Refusal as refusal:
            raise NotAdmitted(NOT_AUTHORIZED, refusal.why) from None
    return DpsRole(cloud, request)


class DpsRole:
    """A device on its way through DPS. Its token is judged at each request (protocol.md 2.7)."""

    part = "dps"
    expires_at: float | None = None

    def __init__(self, cloud: Cloud, request: Request) -> None:
        self._cloud = cloud
        self._request = request
        self.id = request.registration_id

    def begin(self, close: Callable[[str], None]) -> None:
        """Nothing to do: parallel sessions are allowed."""

    def leave(self) -> None:
        """Nothing to do: no will is served here."""

    def end(self, close: Callable[[str], None]) -> None:
        """Nothing to do."""

    def takes(self, topic_filter: str) -> bool:
        return topic_filter == _DPS_FILTER

    def published(self, packet: Publish) -> Reply | None:
        path, _, query = packet.topic.partition("?")
        fields = dict(_pair(part) for part in query.split("&"))
        rid = fields.get("$rid", "")
        if len(packet.payload) > dps.MAX_MESSAGE_BYTES or len(rid) > _MAX_RID:
            raise Foreign("a message of more than 96 KB, or a $rid that is too long")
        request = replace(self._request, body=packet.payload)
        now_at = self._cloud.clock()
        if path == _REGISTER:
            answer = self._cloud.dps.register(request, now_at)
        elif path == _POLL:
            operation = unquote(fields.get("operationId", ""))
            answer = self._cloud.dps.poll(request, operation, now_at)
        else:
            raise Foreign("a topic that DPS does not have")
        self._cloud.emit(event(now_at, "dps", self.id, answer.note, status=answer.status))
        return Reply(_DPS_FILTER, _answer_topic(answer, rid), answer.body)


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


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return name, value


def _answer_topic(answer: Answer, rid: str) -> str:
    topic = f"$dps/registrations/res/{answer.status}/?$rid={rid}"
    if answer.retry_after_s is not None:
        topic += f"&retry-after={answer.retry_after_s}"
    return topic
