"""What the service says of a device's identity, read from its JSON and put into the registry.

Pure values: a document that is wrong is refused whole, naming the field, before anything changes.
Field names and rules: azure/iot-hub/iot-hub-devguide-identity-registry, and Device and
ExportImportDevice of the hub's service API. What a document leaves out stays as it was.
"""

import re
from dataclasses import dataclass
from typing import Any

from ..answers import Json, RandomBytes, Refusal, object_in
from ..keys import Keys, check_key, new_keys
from .credential import AUTHENTICATIONS, SELF_SIGNED, Thumbprints
from .registry import Device

_THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}")  # SHA-1 or SHA-256
_MAX_REASON = 128
_MAX_SCOPE = 256
_CODE = 400004  # ArgumentInvalid


@dataclass(frozen=True)
class Identity:
    """What a service may set of a device; Device has the meanings."""

    keys: Keys
    auth: str
    thumbprints: Thumbprints
    enabled: bool
    status_reason: str | None
    edge: bool
    scope: str | None

    def give(self, device: Device, now_at: float) -> None:
        """Set the device's fields; the registry is to keep them afterwards."""
        if device.enabled != self.enabled:
            device.status_updated_at = now_at
        device.keys, device.auth, device.thumbprints = self.keys, self.auth, self.thumbprints
        device.enabled, device.status_reason = self.enabled, self.status_reason
        device.edge, device.scope = self.edge, self.scope


def read_identity(document: Json, known: Device | None, random_bytes: RandomBytes) -> Identity:
    """The identity that a document describes; raise Refusal 400 naming the first wrong field.

    Keys that are absent, null or empty stay as they were, or are made, 64 bytes each.
    """
    authentication = object_in(document, "authentication", _CODE)
    auth = _auth(authentication, known)
    keys = known.keys if known and known.auth == "sas" else new_keys(random_bytes)
    if auth == "sas":
        keys = _keys(object_in(authentication, "symmetricKey", _CODE), keys)
    return Identity(
        keys=keys,
        auth=auth,
        thumbprints=_thumbprints(authentication, auth, known),
        enabled=_enabled(document, known),
        status_reason=_reason(document, known),
        edge=_edge(document, known),
        scope=_scope(document, known),
    )


def _invalid(name: str, why: str) -> Refusal:
    return Refusal(400, _CODE, f"Invalid {name}: {why}.")


def _text(document: Json, name: str, longest: int) -> str | None:
    value = document.get(name)
    if value is not None and not (isinstance(value, str) and len(value) <= longest):
        raise _invalid(name, f"must be a text of at most {longest} characters")
    return value


def _auth(authentication: Json, known: Device | None) -> str:
    value = authentication.get("type")
    if value is None:
        if any(object_in(authentication, "x509Thumbprint", _CODE).values()):
            return "selfSigned"
        return known.auth if known and not authentication else "sas"
    if value not in AUTHENTICATIONS:
        raise _invalid("authentication.type", "must be one of " + ", ".join(AUTHENTICATIONS))
    return str(value)


def _keys(pair: Json, otherwise: Keys) -> Keys:
    names = ("primaryKey", "secondaryKey")
    found = [
        check_key(pair[name], name) if pair.get(name) else old
        for name, old in zip(names, otherwise, strict=True)
    ]
    return Keys(*found)


def _thumbprints(authentication: Json, auth: str, known: Device | None) -> Thumbprints:
    """Of a device that is known by them; another has none."""
    pair = object_in(authentication, "x509Thumbprint", _CODE)
    found = _thumbprint(pair, "primaryThumbprint"), _thumbprint(pair, "secondaryThumbprint")
    if auth != SELF_SIGNED:
        return None, None
    return known.thumbprints if known is not None and not pair else found


def _thumbprint(pair: Json, name: str) -> str | None:
    value = pair.get(name) or None
    if value is not None and not (isinstance(value, str) and _THUMBPRINT.fullmatch(value)):
        raise _invalid(name, "must be 40 or 64 hexadecimal digits")
    return value


def _enabled(document: Json, known: Device | None) -> bool:
    value: Any = document.get("status")
    if value is None:
        return known.enabled if known else True
    if not isinstance(value, str) or value.lower() not in ("enabled", "disabled"):
        raise _invalid("status", "must be enabled or disabled")
    return value.lower() == "enabled"


def _reason(document: Json, known: Device | None) -> str | None:
    if "statusReason" not in document and known is not None:
        return known.status_reason
    return _text(document, "statusReason", _MAX_REASON)


def _edge(document: Json, known: Device | None) -> bool:
    value = object_in(document, "capabilities", _CODE).get("iotEdge")
    if value is None:
        return known.edge if known else False
    if not isinstance(value, bool):
        raise _invalid("capabilities.iotEdge", "must be true or false")
    return value


def _scope(document: Json, known: Device | None) -> str | None:
    if document.get("deviceScope") is None and known is not None:
        return known.scope
    return _text(document, "deviceScope", _MAX_SCOPE)
