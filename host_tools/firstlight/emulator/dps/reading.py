"""Enrollments out of what a service client sent, each field checked.

No I/O. A field that is wrong is named in a Refusal 400, and nothing is changed. Fields and rules:
protocol.md 7 (deviceprovisioningservices, service.json).
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..answers import Json, RandomBytes, Refusal, etag, object_in
from ..keys import Keys, check_key, new_keys
from . import certificates
from .attestation import X509, Attestation, SymmetricKey, Tpm
from .records import Enrollment, IndividualEnrollment, Reprovisioning, masked

_ID = re.compile(r"[A-Za-z0-9._:-]{0,127}[A-Za-z0-9-]")
_HUB = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_DEVICE = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}")
_POLICIES = ("hashed", "geoLatency", "static", "custom")
_MAX_HUBS = 50
_MAX_URL = 2048
_MAX_CERTIFICATE = 16 * 1024
_MAX_POLICY = 128
_OWN_FORMS = ("clientCertificates",)
_GROUP_FORMS = ("signingCertificates", "caReferences")


@dataclass(frozen=True)
class Fresh:
    """What makes a new record unlike any other: the time, Unix seconds, and random bytes."""

    at: float
    random_bytes: RandomBytes


def check_id(text: Any, name: str) -> str:
    """An enrollment's or registration's id in lower case; raise Refusal 400004 if DPS would."""
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise Refusal(400, 400004, f"Invalid {name}.")
    return text.lower()


def read_enrollment(
    kind: type[Enrollment],
    id: str,
    document: Json,
    previous: Enrollment | None,
    fresh: Fresh,
) -> Enrollment:
    """Make an enrollment of a PUT's body; raise Refusal naming the first field that is wrong.

    Keys that are absent stay those of the previous one, or are generated, 64 bytes long.
    """
    named = document.get(kind.id_field, id)
    if not isinstance(named, str) or named.lower() != id:
        raise _invalid(kind.id_field, "does not match the path")
    policy = _choice(document, "allocationPolicy", _POLICIES)
    kept = _kept(document, policy, previous)
    return kind(
        id=id,
        attestation=_attestation(document, kind, previous, fresh.random_bytes),
        enabled=_choice(document, "provisioningStatus", ("enabled", "disabled")) == "enabled",
        iot_hubs=_hubs(document),
        allocation_policy=policy,
        reprovisioning=_reprovisioning(document),
        etag=etag(fresh.at, fresh.random_bytes),
        created_at=previous.created_at if previous else fresh.at,
        updated_at=fresh.at,
        kept=kept,
        device_id=_device_id(document) if kind is IndividualEnrollment else None,
    )


def _invalid(name: str, why: str) -> Refusal:
    return Refusal(400, 400000, f"Invalid {name}: {why}.")


def _text(document: Json, name: str, longest: int) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise _invalid(name, f"must be a text of 1 to {longest} characters")
    return value


def _flag(document: Json, name: str, usual: bool) -> bool:
    value = document.get(name)
    if value is None:
        return usual
    if not isinstance(value, bool):
        raise _invalid(name, "must be true or false")
    return value


def _choice(document: Json, name: str, choices: tuple[str, ...]) -> str:
    value = document.get(name)
    if value is None:
        return choices[0]
    if value not in choices:
        raise _invalid(name, "must be one of " + ", ".join(choices))
    return str(value)


def _hubs(document: Json) -> tuple[str, ...]:
    value = document.get("iotHubs")
    if value is None:
        # The older form, of one hub.
        value = [document["iotHubHostName"]] if document.get("iotHubHostName") else []
    if not isinstance(value, list) or len(value) > _MAX_HUBS:
        raise _invalid("iotHubs", f"must be a list of at most {_MAX_HUBS}")
    if not all(isinstance(hub, str) and _HUB.fullmatch(hub) for hub in value):
        raise _invalid("iotHubs", "must be host names")
    return tuple(dict.fromkeys(hub.lower() for hub in value))


def _device_id(document: Json) -> str | None:
    value = document.get("deviceId")
    if value is not None and not (isinstance(value, str) and _DEVICE.fullmatch(value)):
        raise _invalid("deviceId", "not an id that IoT Hub takes")
    return value or None


def _reprovisioning(document: Json) -> Reprovisioning | None:
    if document.get("reprovisionPolicy") is None:
        return None
    policy = object_in(document, "reprovisionPolicy")
    return Reprovisioning(
        _flag(policy, "updateHubAssignment", True), _flag(policy, "migrateDeviceData", True)
    )


def _kept(document: Json, policy: str, previous: Enrollment | None) -> Json:
    """What is kept and shown as it came, once it is known to be what it should be."""
    kept: Json = {}
    for name in ("initialTwin", "capabilities", "optionalDeviceInformation"):
        if document.get(name) is not None:
            kept[name] = object_in(document, name)
    if document.get("credentialPolicyName") is not None:
        # What certificates are issued by: api-version 2025-07-01-preview.
        kept["credentialPolicyName"] = _text(document, "credentialPolicyName", _MAX_POLICY)
    if "initialTwin" in kept:
        check_twin(kept["initialTwin"])
    if "capabilities" in kept:
        kept["capabilities"] = {"iotEdge": _flag(kept["capabilities"], "iotEdge", False)}
    if document.get("iotHubHostName") is not None:
        kept["iotHubHostName"] = _text(document, "iotHubHostName", 253)
    if document.get("customAllocationDefinition") is not None or policy == "custom":
        kept["customAllocationDefinition"] = _custom(document, previous)
    return kept


def check_twin(twin: Any, name: str = "initialTwin") -> Json:
    """The twin's tags and desired properties, as objects; raise Refusal naming what is not."""
    if not isinstance(twin, dict):
        raise _invalid(name, "must be an object")
    object_in(twin, "tags")
    object_in(object_in(twin, "properties"), "desired")
    return twin


def _custom(document: Json, previous: Enrollment | None) -> Json:
    custom = object_in(document, "customAllocationDefinition")
    url = _text(custom, "webhookUrl", _MAX_URL)
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or not url.isascii() or not url.isprintable() or " " in url:
        raise _invalid("webhookUrl", "must be an http or https URL")
    old = previous.kept.get("customAllocationDefinition") if previous else None
    if old and url.endswith("?****") and url == masked(old):
        url = old["webhookUrl"]  # the client sent back what it was shown
    return {"webhookUrl": url, "apiVersion": _text(custom, "apiVersion", 64)}


def _attestation(
    document: Json, kind: type[Enrollment], previous: Enrollment | None, random_bytes: RandomBytes
) -> Attestation:
    given = object_in(document, "attestation")
    form = _choice(given, "type", (SymmetricKey.kind, X509.kind, Tpm.kind))
    if form == X509.kind:
        forms = _OWN_FORMS if kind is IndividualEnrollment else _GROUP_FORMS
        return X509(_x509(object_in(given, form), forms, previous))
    if form == Tpm.kind:
        if kind is not IndividualEnrollment:
            raise _invalid("attestation", "a group cannot have TPM attestation")
        return Tpm(_tpm(object_in(given, form)))
    return SymmetricKey(_keys(object_in(given, form), previous, random_bytes))


def _keys(pair: Json, previous: Enrollment | None, random_bytes: RandomBytes) -> Keys:
    old = previous.attestation if previous else None
    usual = old.keys if isinstance(old, SymmetricKey) else new_keys(random_bytes)
    names = ("primaryKey", "secondaryKey")
    return Keys(
        *(
            check_key(pair[name], name) if pair.get(name) else key
            for name, key in zip(names, usual, strict=True)
        )
    )


def _tpm(given: Json) -> Json:
    found = {}
    for name in ("endorsementKey", "storageRootKey"):
        if name == "endorsementKey" or given.get(name):
            value = _text(given, name, 4096)
            try:
                base64.b64decode(value, validate=True)
            except (ValueError, binascii.Error):
                raise _invalid(name, "not base64") from None
            found[name] = value
    return found


def _x509(given: Json, allowed: tuple[str, ...], previous: Enrollment | None) -> Json:
    every = (*_OWN_FORMS, *_GROUP_FORMS)
    forms = [name for name in every if given.get(name) is not None]
    if len(forms) != 1 or forms[0] not in allowed:
        raise _invalid("x509", "must have one of " + ", ".join(allowed))
    pair = object_in(given, forms[0])
    is_reference = forms[0] == "caReferences"
    old = previous.attestation if previous else None
    known = old.detail.get(forms[0], {}) if isinstance(old, X509) else {}
    found: Json = {}
    for name in ("primary", "secondary"):
        # The secondary may be alone: so a CA that is not to be trusted any more is taken out.
        if pair.get(name) is not None or (name == "primary" and not pair.get("secondary")):
            found[name] = (
                _text(pair, name, 256)
                if is_reference
                else _certificate(object_in(pair, name), known.get(name))
            )
    return {forms[0]: found}


def _certificate(given: Json, known: Json | None) -> Json:
    if not given.get("certificate") and known and given.get("info") == known["info"]:
        return known  # the client sent back what it was shown
    return certificates.read(_text(given, "certificate", _MAX_CERTIFICATE))
