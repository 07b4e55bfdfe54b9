"""IoT Hub: who may connect, what a device may say, and what it said.

Pure logic: no sockets and no clock. A connection is known here only as an opaque thing that can be
closed. Facts: protocol.md 6. The properties of `devices/a/messages/events/$.ct=text&k=v` are
{"content-type": "text"} (the system's) and {"k": "v"} (the application's).
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from .. import sas
from ..keys import Keys
from .telemetry import MAX_MESSAGE_BYTES, Foreign, Message, Telemetry, parse_properties

_MAX_DEVICES = 1_000_000
NOT_AUTHORIZED = 5
IDENTIFIER_REJECTED = 2

_USER = re.compile(r"(?P<hub>[^/]+)/(?P<device>[^/]+)/\?api-version=(?P<version>[^&]+)(&.*)?")
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_METHOD_ANSWER = re.compile(r"\$iothub/methods/res/-?\d{1,9}/\?\$rid=[^&]*")
_TWIN_REQUEST = re.compile(
    r"\$iothub/twin/(GET|PATCH/properties/reported)/\?\$rid=(?P<rid>[^&]*)(&.*)?"
)
# With a device's own two for C2D these are the five that a hub allows at once (protocol.md 6.7).
_FILTERS = (
    "$iothub/methods/POST/#",
    "$iothub/twin/res/#",
    "$iothub/twin/PATCH/properties/desired/#",
)


class NotAdmitted(Exception):
    """CONNECT is refused. code: CONNACK's return code (protocol.md 6.7)."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass
class Device:
    """One device of the registry. close: what ends its connection, if it has one."""

    id: str
    keys: Keys
    enabled: bool = True
    close: Callable[[str], None] | None = None


@dataclass(frozen=True)
class Admission:
    """A CONNECT that passed. expires_at: Unix seconds, when the connection must end."""

    device_id: str
    expires_at: int


class Hub:
    """One IoT hub: its registry, its connections, its telemetry."""

    def __init__(self, name: str, telemetry: Telemetry) -> None:
        self.name = name
        self._telemetry = telemetry
        self._devices: OrderedDict[str, Device] = OrderedDict()

    def put_device(self, device_id: str, keys: Keys) -> None:
        """Create the device, or give it new keys; beyond a million the oldest is forgotten."""
        known = self._devices.get(device_id)
        if known is not None:
            known.keys = keys
            return
        self._devices[device_id] = Device(device_id, keys)
        if len(self._devices) > _MAX_DEVICES:
            self.remove_device(next(iter(self._devices)))

    def remove_device(self, device_id: str) -> None:
        """Forget the device and end its connection."""
        device = self._devices.pop(device_id, None)
        if device is not None and device.close is not None:
            device.close("the device was removed from the hub")

    def kick(self, device_id: str) -> None:
        """Close the device's connection, if it has one, as a hub does that is moved."""
        device = self._devices.get(device_id)
        if device is not None and device.close is not None:
            device.close("kicked")

    def set_enabled(self, device_id: str, enabled: bool) -> None:
        """Enable or disable a device, which ends its connection; raise KeyError if unknown."""
        device = self._devices[device_id]
        device.enabled = enabled
        if not enabled and device.close is not None:
            device.close("the device was disabled")

    def devices(self) -> list[Device]:
        return list(self._devices.values())

    def admit(self, user: str, password: str, client_id: str, now_at: float) -> Admission:
        """Judge a CONNECT; raise NotAdmitted."""
        match = _USER.fullmatch(user)
        if match is None or not _VERSION.fullmatch(match["version"]):
            raise NotAdmitted(NOT_AUTHORIZED, "the user name has no api-version of a hub")
        if client_id != match["device"]:
            raise NotAdmitted(IDENTIFIER_REJECTED, "the client id is not the device id")
        token = self._token(password, match["device"], now_at)
        device = self._devices.get(match["device"])
        if device is None:
            raise NotAdmitted(NOT_AUTHORIZED, "unknown device")
        if not device.enabled:
            raise NotAdmitted(NOT_AUTHORIZED, "the device is disabled")
        if not any(token.is_signed_by(key) for key in device.keys):
            raise NotAdmitted(NOT_AUTHORIZED, "wrong key")
        return Admission(device.id, token.expires_at)

    def attach(self, device_id: str, close: Callable[[str], None]) -> None:
        """Make this the device's one connection: the newer wins (protocol.md 6.7)."""
        device = self._devices[device_id]
        older, device.close = device.close, close
        if older is not None:
            older("a newer connection of the same device")

    def detach(self, device_id: str, close: Callable[[str], None]) -> None:
        """The connection has ended; no matter if another has taken its place."""
        device = self._devices.get(device_id)
        if device is not None and device.close == close:
            device.close = None

    def is_filter(self, device_id: str, topic_filter: str) -> bool:
        """Whether a device may subscribe to it."""
        own = (f"devices/{device_id}/messages/devicebound/#", "devices/+/messages/devicebound/#")
        return topic_filter in _FILTERS or topic_filter in own

    def receive(
        self,
        device_id: str,
        topic: str,
        body: bytes,
        retain: bool,
        now_at: float,
        is_will: bool = False,
    ) -> Message | None:
        """Take what a device published; None if it is not telemetry. Raise Foreign."""
        prefix = f"devices/{device_id}/messages/events/"
        if not topic.startswith(prefix):
            if topic + "/" == prefix:
                prefix = topic
            elif _METHOD_ANSWER.fullmatch(topic) or _TWIN_REQUEST.fullmatch(topic):
                return None
            else:
                raise Foreign("a topic that a hub does not have")
        if len(body) + len(topic) - len(prefix) > MAX_MESSAGE_BYTES:
            raise Foreign("a message of more than 256 KB")
        system, application = parse_properties(topic[len(prefix) :])
        if retain:
            application["mqtt-retain"] = "true"
        if is_will:
            application["iothub-MessageType"] = "Will"  # protocol.md 6.6
        message = Message(
            self._telemetry.received + 1, self.name, device_id, now_at, body, application, system
        )
        self._telemetry.append(message)
        return message

    def _token(self, password: str, device_id: str, now_at: float) -> sas.Token:
        try:
            token = sas.parse(password)
        except sas.BadToken as bad:
            raise NotAdmitted(NOT_AUTHORIZED, str(bad)) from None
        host, slash, rest = token.resource.partition("/")
        if host.lower() != self.name.lower() or rest != f"devices/{device_id}" or not slash:
            raise NotAdmitted(NOT_AUTHORIZED, "the token is for another sr")
        if token.key_name:
            raise NotAdmitted(NOT_AUTHORIZED, "tokens of a hub's policy are not served")
        if token.expires_at <= now_at:
            raise NotAdmitted(NOT_AUTHORIZED, "the token has expired")
        return token


def hub_of(user: str) -> str | None:
    """The hub's name in a CONNECT's user name, in lower case; None if it is not one of a hub."""
    match = _USER.fullmatch(user)
    return match["hub"].lower() if match else None


def twin_request_id(topic: str) -> str | None:
    """The $rid of a twin request; None if the topic is another."""
    match = _TWIN_REQUEST.fullmatch(topic)
    return match["rid"] if match else None
