"""What becomes of a registration: where the device goes, what goes with it, and the record of it.

No I/O, no clock. Nothing is lost when a hub says no: the device has not left its own then.
Facts: azure/iot-dps/concepts-device-reprovision; AssignedDeviceSubstatus in
deviceprovisioningservices' device.json; the substatus of each case as the e2e tests of
azure-iot-sdk-csharp (ReprovisioningE2ETests) and of azure-iot-cli-extension see it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..answers import Json, RandomBytes, Refusal, etag
from ..hub.credential import Credential
from ..hub.hub import Hub
from .allocation import NO_HUB, Choice, NotAllocated, candidates
from .records import Enrollment, IndividualEnrollment, Registration, Reprovisioning
from .rules import STICKY_VERSIONS, Rules
from .store import Store

_FIRST, _AGAIN = "initialAssignment", "reprovisionedToInitialAssignment"
_MIGRATED, _RESET = "deviceDataMigrated", "deviceDataReset"


@dataclass(frozen=True)
class Claim:
    """Who asks for a hub. id: of the registration, in lower case.

    spelling: of the id, of which its key was derived; None for an individual enrollment.
    certificate: the facts of its own, if it proved itself with one. csr: what a certificate is to
    be issued for; at_hub: what its hub takes of it, if not what its enrollment says.
    """

    enrollment: Enrollment
    id: str
    spelling: str | None
    api_version: str = ""
    certificate: Json | None = None
    csr: str | None = None
    at_hub: Credential | None = field(default=None, repr=False)

    @property
    def group_id(self) -> str | None:
        """None for an individual enrollment."""
        return None if isinstance(self.enrollment, IndividualEnrollment) else self.enrollment.id

    @property
    def credential(self) -> Credential:
        """What the device shows its hub."""
        if self.at_hub is not None:
            return self.at_hub
        return self.enrollment.attestation.credential_of(self.spelling, self.certificate)

    @property
    def policy(self) -> Reprovisioning:
        """The enrollment's; without one, old api-versions never re-provision."""
        is_old = self.api_version in STICKY_VERSIONS
        return self.enrollment.reprovisioning or Reprovisioning(not is_old, not is_old)


class Settler:
    """Assigns devices to hubs, and keeps the records of it."""

    def __init__(
        self, rules: Rules, store: Store, hubs: Mapping[str, Hub], random_bytes: RandomBytes
    ) -> None:
        self._rules = rules
        self._store = store
        self._hubs = hubs
        self._random_bytes = random_bytes

    def hubs_for(self, claim: Claim) -> list[str]:
        """Where the device may go: with a policy never to move, where it is."""
        known = self._assigned(claim.id)
        if known is not None and not claim.policy.update:
            return [str(known.hub)]
        return candidates(claim.enrollment, self._hubs)

    def answerable(self, claim: Claim) -> list[str]:
        """What a webhook may answer: a linked hub, even if the device will not move to it."""
        linked = candidates(claim.enrollment, self._hubs)
        return list(dict.fromkeys((*self.hubs_for(claim), *linked)))

    def begin(self, claim: Claim, now_at: float) -> Registration:
        """Keep a record of a registration that is under way; raise Refusal for a full quota."""
        record = self._under_way(claim, now_at)
        self._store.put_registration(record)
        return record

    def settle(self, claim: Claim, choice: Choice, now_at: float) -> Registration:
        """Put the device into the hub, out of the one it was in; keep and return the record.

        With a policy never to move it stays where it is, whatever was chosen. Raise Refusal for a
        full quota of registrations.
        """
        self._store.check_room(claim.id)
        known = self._assigned(claim.id)
        if known is not None and not claim.policy.update:
            choice = replace(choice, hub=str(known.hub))
        try:
            device_id, substatus = self._place(claim, choice, known, now_at)
        except Refusal as refusal:
            return self.fail(claim, NotAllocated(refusal.code, str(refusal)), now_at)
        record = self._blank(
            claim,
            self._store.registration(claim.id),
            now_at,
            status="assigned",
            hub=choice.hub,
            device_id=device_id,
            substatus=substatus,
            payload=choice.payload,
        )
        self._store.put_registration(record)
        return record

    def fail(self, claim: Claim, why: NotAllocated, now_at: float) -> Registration:
        """Keep and return the record of a failure; the device stays where it is."""
        record = replace(
            self._under_way(claim, now_at),
            status="failed",
            error_code=why.code,
            error_message=str(why),
        )
        self._store.put_registration(record)
        return record

    def _assigned(self, id: str) -> Registration | None:
        """The device's present assignment, if its hub is one of ours."""
        known = self._store.registration(id)
        return known if known and known.hub in self._hubs and known.device_id else None

    def _under_way(self, claim: Claim, now_at: float) -> Registration:
        """A record that is not assigned, yet or at all, and that knows where the device is."""
        known = self._store.registration(claim.id)
        record = self._blank(claim, known, now_at)
        if known is None:
            return record
        return replace(record, hub=known.hub, device_id=known.device_id, substatus=known.substatus)

    def _blank(
        self,
        claim: Claim,
        known: Registration | None,
        now_at: float,
        status: str = "assigning",
        **more: Any,
    ) -> Registration:
        certificate = claim.certificate if self._rules.certificate_info else None
        is_kept = known is not None and (self._rules.keep_created or known.status == "assigning")
        return Registration(
            registration_id=claim.id,
            status=status,
            group_id=claim.group_id,
            created_at=known.created_at if known is not None and is_kept else now_at,
            updated_at=now_at,
            etag=etag(now_at, self._random_bytes),
            proof=claim.enrollment.attestation.result(claim.group_id, certificate),
            **more,
        )

    def _place(
        self, claim: Claim, choice: Choice, known: Registration | None, now_at: float
    ) -> tuple[str, str]:
        """The device's id at the hub, and the substatus; raise Refusal."""
        if choice.hub not in self._hubs:
            raise Refusal(400, NO_HUB, "No linked hub for this enrollment.")
        own_id = claim.enrollment.device_id or claim.id
        if known is None or known.device_id is None:
            self._create(claim, choice, own_id, now_at)
            return own_id, _FIRST
        if known.hub == choice.hub:
            return known.device_id, self._stay(claim, choice, known, now_at)
        old = self._hubs[str(known.hub)]
        if claim.policy.migrate:
            self._move(claim, choice, old, known.device_id, now_at)
            return known.device_id, _MIGRATED
        self._create(claim, choice, own_id, now_at)
        old.remove_device(known.device_id)
        return own_id, _RESET

    def _create(self, claim: Claim, choice: Choice, device_id: str, now_at: float) -> None:
        """With the webhook's twin or the enrollment's, or with an empty one."""
        twin: Json = choice.twin or claim.enrollment.initial_twin or {}
        self._hubs[choice.hub].put_device(
            device_id, claim.credential, now_at, initial_twin=twin, edge=claim.enrollment.is_edge
        )

    def _stay(self, claim: Claim, choice: Choice, known: Registration, now_at: float) -> str:
        device_id = str(known.device_id)
        device = self._hubs[choice.hub].registry.get(device_id)
        is_reset = claim.policy.update and not claim.policy.migrate
        if device is None or (is_reset and self._rules.reset_on_same_hub):
            self._create(claim, choice, device_id, now_at)
        else:
            self._hubs[choice.hub].put_device(
                device_id, claim.credential, now_at, edge=device.edge
            )
        if claim.policy.update or self._rules.never_substatus == "again":
            return _AGAIN
        return known.substatus or _FIRST

    def _move(self, claim: Claim, choice: Choice, old: Hub, device_id: str, now_at: float) -> None:
        device = old.registry.get(device_id)
        if device is None:
            self._create(claim, choice, device_id, now_at)
            return
        # First into the new hub: if that refuses it, nothing has happened to it in the old one.
        self._hubs[choice.hub].put_device(
            device_id, claim.credential, now_at, edge=device.edge, moved=old.data_of(device_id)
        )
        old.remove_device(device_id)
