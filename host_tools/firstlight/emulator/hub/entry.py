"""Who may connect to a hub: the judgement of a device's CONNECT.

Pure logic, no clock: it reads the registry and changes nothing. A device shows a token as its
password, or no password and a certificate; of both, the token counts. Facts: protocol.md 6.1 and
6.7; iot-mqtt-connect-to-iot-hub.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from .. import sas
from ..answers import Refusal
from ..policies import DEVICE_CONNECT, Policies
from .proving import NotProven, Trust, prove
from .registry import Device, Registry
from .rules import HubRules

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
    """A CONNECT that passed. expires_at: Unix seconds, when the connection must end, or None."""

    device_id: str
    expires_at: int | None


class Entry:
    """The door of one hub. policies: its shared access policies; None: it has none.

    trust: whose certificates it takes.
    """

    def __init__(
        self, hub: str, registry: Registry, policies: Policies | None, rules: HubRules
    ) -> None:
        self._hub = hub.lower()
        self._registry = registry
        self._policies = policies
        self._rules = rules
        self._codes = rules.connacks
        self.trust = Trust()

    def admit(
        self,
        user: str,
        password: str,
        client_id: str,
        now_at: float,
        chain: Sequence[bytes] = (),
    ) -> Admission:
        """Judge a CONNECT; raise NotAdmitted. chain: what TLS carried, DER, the leaf first."""
        match = _USER.fullmatch(user)
        if match is None or not _VERSION.fullmatch(match["version"]):
            raise NotAdmitted(
                self._codes.bad_user,
                "the user name is not hub/device/?api-version=date (a module's is not served)",
            )
        if client_id != match["device"]:
            raise NotAdmitted(self._codes.client_id, "the client id is not the device id")
        device = self._registry.get(client_id)
        expires_at = (
            self._judge_token(password, client_id, device, now_at)
            if password or not chain
            else self._judge_chain(chain, device, now_at)
        )
        if device is None:
            raise NotAdmitted(self._codes.unknown, "unknown device")
        if not device.enabled:
            raise NotAdmitted(self._codes.disabled, "the device is disabled")
        return Admission(device.id, expires_at)

    def _judge_token(
        self, password: str, device_id: str, device: Device | None, now_at: float
    ) -> int:
        token = self._token(password, now_at)
        if token.key_name:
            self._judge_policy(token, device_id, now_at)
        else:
            self._judge_device(token, device_id, device)
        return token.expires_at

    def _judge_chain(
        self, chain: Sequence[bytes], device: Device | None, now_at: float
    ) -> int | None:
        """When the connection must end, if it must."""
        if device is None:
            return None
        rules = self._rules
        try:
            expires_at = prove(device, chain, self.trust, now_at, rules.thumbprint_times)
        except NotProven as not_proven:
            codes = self._codes
            code = codes.expired if not_proven.has_expired else codes.wrong_key
            raise NotAdmitted(code, str(not_proven)) from None
        return int(expires_at) if rules.ends_with_certificate else None

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
