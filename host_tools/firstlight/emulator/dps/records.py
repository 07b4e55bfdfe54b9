"""Enrollments and registrations: what DPS knows, from and to the service's JSON.

Values without I/O. A key leaves only through `attestation_mechanism`; no other JSON, text or repr
holds one. Field names and rules: protocol.md 2.3 and 7 (deviceprovisioningservices, service.json).
"""

import base64
import re
from dataclasses import dataclass
from typing import Any

from ..answers import Json, RandomBytes, Refusal, etag, timestamp
from ..keys import Keys, check_key

_ID = re.compile(r"[A-Za-z0-9._:-]{0,127}[A-Za-z0-9-]")
_HUB = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_DEVICE = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}")
_POLICIES = ("hashed", "geoLatency", "static")
_MAX_HUBS = 50
# Kept and shown as they came, once known to be objects.
_KEPT = ("initialTwin", "capabilities", "optionalDeviceInformation")


@dataclass(frozen=True)
class Enrollment:
    """What an individual enrollment and a group have in common. Times are Unix seconds."""

    id: str
    keys: Keys
    enabled: bool
    iot_hubs: tuple[str, ...]
    allocation_policy: str
    update_hub_assignment: bool
    migrate_device_data: bool
    etag: str
    created_at: float
    updated_at: float
    kept: Json
    device_id: str | None = None

    id_field = ""

    def attestation_mechanism(self) -> Json:
        """The answer of POST .../attestationmechanism: the one place that shows keys."""
        pair = {"primaryKey": self.keys.primary_b64, "secondaryKey": self.keys.secondary_b64}
        return {"type": "symmetricKey", "symmetricKey": pair}

    def document(self) -> Json:
        """The enrollment as GET shows it: no keys."""
        document: Json = {
            self.id_field: self.id,
            "attestation": {"type": "symmetricKey"},
            "provisioningStatus": "enabled" if self.enabled else "disabled",
            "reprovisionPolicy": {
                "updateHubAssignment": self.update_hub_assignment,
                "migrateDeviceData": self.migrate_device_data,
            },
            "allocationPolicy": self.allocation_policy,
            "etag": self.etag,
            "createdDateTimeUtc": timestamp(self.created_at),
            "lastUpdatedDateTimeUtc": timestamp(self.updated_at),
        }
        if self.iot_hubs:
            document["iotHubs"] = list(self.iot_hubs)
        if self.device_id is not None:
            document["deviceId"] = self.device_id
        return document | self.kept


class IndividualEnrollment(Enrollment):
    """One device, by its registration id."""

    id_field = "registrationId"


class EnrollmentGroup(Enrollment):
    """Any number of devices, whose keys derive from the group's."""

    id_field = "enrollmentGroupId"


@dataclass(frozen=True)
class Registration:
    """What became of a registration. group_id: None for an individual enrollment."""

    registration_id: str
    status: str
    group_id: str | None
    created_at: float
    updated_at: float
    etag: str
    hub: str | None = None
    device_id: str | None = None
    substatus: str | None = None
    error_code: int | None = None
    error_message: str | None = None

    def document(self) -> Json:
        """The registrationState of protocol.md 2.3."""
        document: Json = {"registrationId": self.registration_id}
        document["createdDateTimeUtc"] = timestamp(self.created_at)
        if self.hub is not None:
            document |= {"assignedHub": self.hub, "deviceId": self.device_id}
        document["status"] = self.status
        if self.substatus is not None:
            document["substatus"] = self.substatus
        if self.error_code is not None:
            document |= {"errorCode": self.error_code, "errorMessage": self.error_message}
        document |= {"lastUpdatedDateTimeUtc": timestamp(self.updated_at), "etag": self.etag}
        if self.group_id is not None:
            document["symmetricKey"] = {"enrollmentGroupId": self.group_id}
        return document


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
    policy = _object(document, "reprovisionPolicy")
    return kind(
        id=id,
        keys=_keys(document, previous, fresh.random_bytes),
        enabled=_choice(document, "provisioningStatus", ("enabled", "disabled")) == "enabled",
        iot_hubs=_hubs(document),
        allocation_policy=_choice(document, "allocationPolicy", _POLICIES),
        update_hub_assignment=_flag(policy, "updateHubAssignment"),
        migrate_device_data=_flag(policy, "migrateDeviceData"),
        etag=etag(fresh.at, fresh.random_bytes),
        created_at=previous.created_at if previous else fresh.at,
        updated_at=fresh.at,
        kept={name: _object(document, name) for name in _KEPT if document.get(name) is not None},
        device_id=_device_id(document) if kind is IndividualEnrollment else None,
    )


def _invalid(name: str, why: str) -> Refusal:
    return Refusal(400, 400000, f"Invalid {name}: {why}.")


def _object(document: Json, name: str) -> Json:
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _invalid(name, "must be an object")
    return value


def _flag(document: Json, name: str) -> bool:
    value = document.get(name, True)
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
        return ()
    if not isinstance(value, list) or len(value) > _MAX_HUBS:
        raise _invalid("iotHubs", f"must be a list of at most {_MAX_HUBS}")
    if not all(isinstance(hub, str) and _HUB.fullmatch(hub) for hub in value):
        raise _invalid("iotHubs", "must be host names")
    return tuple(hub.lower() for hub in value)


def _device_id(document: Json) -> str | None:
    value = document.get("deviceId")
    if value is not None and not (isinstance(value, str) and _DEVICE.fullmatch(value)):
        raise _invalid("deviceId", "not an id that IoT Hub takes")
    return value


def _keys(document: Json, previous: Enrollment | None, random_bytes: RandomBytes) -> Keys:
    attestation = _object(document, "attestation")
    if attestation.get("type", "symmetricKey") != "symmetricKey":
        raise _invalid("attestation", "only symmetricKey is served here")
    pair = _object(attestation, "symmetricKey")
    found = []
    for i, name in enumerate(("primaryKey", "secondaryKey")):
        if pair.get(name):
            found.append(check_key(pair[name], name))
        elif previous is not None:
            found.append(tuple(previous.keys)[i])
        else:
            found.append(base64.b64encode(random_bytes(64)).decode())
    return Keys(*found)
