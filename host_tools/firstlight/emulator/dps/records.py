"""Enrollments, registrations and operations: what DPS knows, as JSON for clients and a journal.

Values without I/O. A key leaves only through `attestation_mechanism` and `record`; no other JSON,
text or repr holds one. Field names: protocol.md 2.3 and 7 (deviceprovisioningservices,
service.json and device.json).
"""

from dataclasses import dataclass, field
from typing import Any

from ..answers import Json, timestamp
from ..keys import Keys
from .attestation import Attestation, SymmetricKey, restored


@dataclass(frozen=True)
class Reprovisioning:
    """reprovisionPolicy. update: whether the hub may change; migrate: whether the data goes along.

    (True, True): re-provision and migrate data; (True, False): and reset to the initial
    configuration; (False, either): never re-provision.
    """

    update: bool
    migrate: bool


@dataclass(frozen=True)
class Enrollment:
    """What an individual enrollment and a group have in common. Times are Unix seconds.

    reprovisioning: None if the enrollment says nothing. kept: what is shown as it came.
    """

    id: str
    attestation: Attestation = field(repr=False)
    enabled: bool
    iot_hubs: tuple[str, ...]
    allocation_policy: str
    reprovisioning: Reprovisioning | None
    etag: str
    created_at: float
    updated_at: float
    kept: Json = field(repr=False)
    device_id: str | None = None

    id_field = ""

    @property
    def keys(self) -> Keys:
        """The pair of a symmetric key enrollment; raise LookupError for another."""
        if not isinstance(self.attestation, SymmetricKey):
            raise LookupError(f"{self.id} has no symmetric keys")
        return self.attestation.keys

    @property
    def initial_twin(self) -> Json | None:
        """{"tags": {}, "properties": {"desired": {}}}, either part or both; None for none."""
        twin: Json | None = self.kept.get("initialTwin")
        return twin

    @property
    def credential_policy(self) -> str | None:
        """By which its devices' certificates are issued; None if it says nothing."""
        policy: str | None = self.kept.get("credentialPolicyName")
        return policy

    @property
    def is_edge(self) -> bool:
        """Whether its devices are IoT Edge ones."""
        return bool(self.kept.get("capabilities", {}).get("iotEdge"))

    @property
    def webhook_url(self) -> str:
        """Whom custom allocation asks; its query may hold a key. Empty for none."""
        return str(self.kept.get("customAllocationDefinition", {}).get("webhookUrl", ""))

    def attestation_mechanism(self) -> Json:
        """The answer of POST .../attestationmechanism: the one call that shows keys."""
        return self.attestation.mechanism()

    def document(self) -> Json:
        """The enrollment as GET shows it: no keys."""
        return self._document(self.attestation.shown(), shown_kept(self.kept))

    def record(self) -> Json:
        """All of it, for the journal; read back by `restored_enrollment`."""
        document = self._document(self.attestation.record(), self.kept)
        return document | {"createdAt": self.created_at, "updatedAt": self.updated_at}

    def _document(self, attestation: Json, kept: Json) -> Json:
        document: Json = {
            self.id_field: self.id,
            "attestation": attestation,
            "provisioningStatus": "enabled" if self.enabled else "disabled",
            "allocationPolicy": self.allocation_policy,
            "etag": self.etag,
            "createdDateTimeUtc": timestamp(self.created_at),
            "lastUpdatedDateTimeUtc": timestamp(self.updated_at),
        }
        if self.reprovisioning is not None:
            document["reprovisionPolicy"] = {
                "updateHubAssignment": self.reprovisioning.update,
                "migrateDeviceData": self.reprovisioning.migrate,
            }
        if self.iot_hubs:
            document["iotHubs"] = list(self.iot_hubs)
        if self.device_id is not None:
            document["deviceId"] = self.device_id
        return document | kept


class IndividualEnrollment(Enrollment):
    """One device, by its registration id."""

    id_field = "registrationId"


class EnrollmentGroup(Enrollment):
    """Any number of devices, whose keys derive from the group's, or whose CA it names."""

    id_field = "enrollmentGroupId"


def shown_kept(kept: Json) -> Json:
    """What is kept, without the webhook's key: DPS shows the URL up to its query, and `?****`."""
    custom = kept.get("customAllocationDefinition")
    if not custom:
        return kept
    return kept | {"customAllocationDefinition": custom | {"webhookUrl": masked(custom)}}


def masked(custom: Json) -> str:
    """customAllocationDefinition's webhookUrl as it may be shown."""
    base, mark, _ = str(custom["webhookUrl"]).partition("?")
    return f"{base}?****" if mark else base


def restored_enrollment(kind: type[Enrollment], record: Json) -> Enrollment:
    """What `record` wrote."""
    own = {
        kind.id_field, "attestation", "provisioningStatus", "allocationPolicy", "etag", "iotHubs",
        "createdDateTimeUtc", "lastUpdatedDateTimeUtc", "reprovisionPolicy", "deviceId",
        "createdAt", "updatedAt",
    }  # fmt: skip
    policy = record.get("reprovisionPolicy")
    return kind(
        id=record[kind.id_field],
        attestation=restored(record["attestation"]),
        enabled=record["provisioningStatus"] == "enabled",
        iot_hubs=tuple(record.get("iotHubs", ())),
        allocation_policy=record["allocationPolicy"],
        reprovisioning=policy
        and Reprovisioning(policy["updateHubAssignment"], policy["migrateDeviceData"]),
        etag=record["etag"],
        created_at=record["createdAt"],
        updated_at=record["updatedAt"],
        kept={name: value for name, value in record.items() if name not in own},
        device_id=record.get("deviceId"),
    )


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of a registration. group_id: None for an individual enrollment.

    hub, device_id, substatus: of the present assignment, also while another is being made, and
    after that failed. proof: the node that names the attestation; payload: the webhook's.
    """

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
    payload: Json | None = None
    proof: Json = field(default_factory=dict)

    def document(self) -> Json:
        """The registrationState of protocol.md 2.3, as its device sees it."""
        return self.state() | self.proof

    def state(self) -> Json:
        """The same as the service's own calls show it: nothing of the attestation."""
        document: Json = {"registrationId": self.registration_id}
        document["createdDateTimeUtc"] = timestamp(self.created_at)
        is_assigned = self.status == "assigned"
        if is_assigned:
            document |= {"assignedHub": self.hub, "deviceId": self.device_id}
        document["status"] = self.status
        if is_assigned and self.substatus is not None:
            document["substatus"] = self.substatus
        if self.error_code is not None:
            document |= {"errorCode": self.error_code, "errorMessage": self.error_message}
        document |= {"lastUpdatedDateTimeUtc": timestamp(self.updated_at), "etag": self.etag}
        if self.payload is not None:
            document["payload"] = self.payload
        return document

    def record(self) -> Json:
        """All of it, for the journal: read back as Registration(**record)."""
        return {
            name: value
            for name in self.__slots__
            if (value := getattr(self, name)) is not None and value != {}
        } | {"group_id": self.group_id}


@dataclass(slots=True)
class Operation:
    """A registration under way. polls_left: how many polls are still answered 202.

    record: what became of it, once it has ended: later polls are told the same. Until then it
    waits for a webhook, and needs what the device said: spelling (of its id, of which its key was
    derived; None for an individual enrollment), its api-version and its payload, the facts of its
    certificate, and its csr. issued: the chain that it asked for, base64 of DER, the leaf first.
    """

    id: str
    registration_id: str
    polls_left: int
    record: Registration | None = None
    group_id: str | None = None
    spelling: str | None = None
    api_version: str = ""
    payload: Json | None = None
    certificate: Json | None = None
    csr: str | None = None
    issued: list[str] = field(default_factory=list)

    def document(self) -> Json:
        """All of it, for the journal; read back by `restored_operation`."""
        document: dict[str, Any] = {
            "registration_id": self.registration_id,
            "polls_left": self.polls_left,
        }
        if self.record is not None:
            issued = {"issued": self.issued} if self.issued else {}
            return document | issued | {"record": self.record.record()}
        asked = {"certificate": self.certificate, "csr": self.csr}
        return (
            document
            | {name: value for name, value in asked.items() if value is not None}
            | {
                "group_id": self.group_id,
                "spelling": self.spelling,
                "api_version": self.api_version,
                "payload": self.payload,
            }
        )


def restored_operation(id: str, document: Json) -> Operation:
    """What `document` wrote."""
    document = dict(document)
    record = document.pop("record", None)
    return Operation(id, record=record and Registration(**record), **document)
