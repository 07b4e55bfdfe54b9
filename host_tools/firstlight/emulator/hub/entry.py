"""Who may connect to a hub: the judgement of a device's CONNECT.

Pure logic, no clock: it reads the registry and changes nothing. Facts: protocol.md 6.1 and 6.7;
iot-mqtt-connect-to-iot-hub.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from .. import sas
from ..answers import Refusal
from ..policies import DEVICE_CONNECT, Policies
from .registry import Device, Registry
from .rules import Connacks

NOT_AUTHORIZED = 5
IDENTIFIER_REJECTED = 2
_USER = re.compile(r"(?P<hub>[^/]+)/(?P<device>[^/]+)/\?api-version=(?P<version>[^&]+)(&.*)?")
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")


class NotAdmitted(Exception):
    """CONNECT is refused. code: CONNACK's return code (protocol.md 6.7)."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True)
class Admission:
    """A CONNECT that passed. expires_at: Unix seconds, when the connection must end."""

    device_id: str
    expires_at: int


class Entry:
    """The door of one hub. policies: its shared access policies; None: it has none."""

    def __init__(
        self, hub: str, registry: Registry, policies: Policies | None, connacks: Connacks
    ) -> None:
        self._hub = hub.lower()
        self._registry = registry
        self._policies = policies
        self._codes = connacks

    def admit(self, user: str, password: str, client_id: str, now_at: float) -> Admission:
        """Judge a CONNECT; raise NotAdmitted."""
        match = _USER.fullmatch(user)
        if match is None or not _VERSION.fullmatch(match["version"]):
            raise NotAdmitted(
                self._codes.bad_user,
                "the user name is not hub/device/?api-version=date (a module's is not served)",
            )
        if client_id != match["device"]:
            raise NotAdmitted(self._codes.client_id, "the client id is not the device id")
        token = self._token(password, now_at)
        device = self._registry.get(client_id)
        if token.key_name:
            self._judge_policy(token, client_id, now_at)
        else:
            self._judge_device(token, client_id, device)
        if device is None:
            raise NotAdmitted(self._codes.unknown, "unknown device")
        if not device.enabled:
            raise NotAdmitted(self._codes.disabled, "the device is disabled")
        return Admission(device.id, token.expires_at)

    def _token(self, password: str, now_at: float) -> sas.Token:
        try:
            token = sas.parse(password)
        except sas.BadToken as bad:
            raise NotAdmitted(self._codes.wrong_key, str(bad)) from None
        if token.expires_at <= now_at:
            raise NotAdmitted(self._codes.expired, "the token has expired")
        return token

    def _judge_device(self, token: sas.Token, device_id: str, device: Device | None) -> None:
        if not _is_for(token.resource, self._hub, device_id):
            raise NotAdmitted(self._codes.wrong_key, "the token is for another sr")
        if device is None:
            return
        if device.auth != "sas":
            raise NotAdmitted(
                self._codes.wrong_key, f"the device authenticates by {device.auth}, not by a key"
            )
        if not any(token.is_signed_by(key) for key in device.keys):
            raise NotAdmitted(self._codes.wrong_key, "wrong key")

    def _judge_policy(self, token: sas.Token, device_id: str, now_at: float) -> None:
        if self._policies is None:
            raise NotAdmitted(self._codes.wrong_key, "this hub has no policies")
        path = f"/devices/{device_id}"
        try:
            self._policies.judge(token, {self._hub}, DEVICE_CONNECT, now_at, path)
        except Refusal as refusal:
            raise NotAdmitted(self._codes.wrong_key, refusal.why) from None


def hub_of(user: str) -> str | None:
    """The hub's name in a CONNECT's user name, in lower case; None if it is not one of a hub."""
    match = _USER.fullmatch(user)
    return match["hub"].lower() if match else None


def _is_for(resource: str, hub: str, device_id: str) -> bool:
    """Whether a device's token is for it: `hub/devices/id`, or something below it.

    Tools have signed `hub/devices/id/api-version=2016-11-14`, and the Node SDK encodes the id once
    more.
    """
    host, _, path = resource.partition("/")
    own = f"devices/{device_id}/"
    return host.lower() == hub and any(
        some.startswith(own) for some in (path + "/", unquote(path) + "/")
    )
