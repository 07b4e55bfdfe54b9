"""The Device Provisioning Service: who may register, and what becomes of it.

Pure logic: no sockets, no clock, no randomness of its own; time and random bytes are handed in.
MQTT, HTTPS and tests all talk to the same three methods (protocol.md 2):

    authenticate(request)  raises Refusal     for services told to check at CONNECT
    register(request)      -> Answer 202      {"operationId": "5....", "status": "assigning"}
    poll(request, id)      -> Answer 202, and in the end 200 with the registrationState
"""

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from .. import sas
from ..answers import Answer, Json, RandomBytes, Refusal, etag, operation_id, parse_object
from ..keys import Keys
from .records import Enrollment, IndividualEnrollment, Registration, check_id
from .store import Operation, Store

# Protocol.md 1.3: every version that a public client or specification names.
API_VERSIONS = frozenset((
    "2017-08-31-preview", "2018-04-01", "2018-09-01-preview", "2018-11-01", "2019-03-31",
    "2021-06-01", "2021-10-01", "2021-11-01-preview", "2025-07-01-preview", "2026-04-01",
    "2026-07-01-preview", "2026-11-01", "2026-11-02-preview", "2026-11-15-preview",
))  # fmt: skip
MAX_MESSAGE_BYTES = 96 * 1024
_POLLS, _POLLS_WINDOW_S = 5, 10.0
_REGISTRATIONS_WINDOW_S = 60.0
_MAX_METERED = 100_000


class DeviceRegistry(Protocol):
    """What DPS asks of a hub."""

    def put_device(self, device_id: str, keys: Keys) -> None:
        """Create the device, or give it new keys."""

    def remove_device(self, device_id: str) -> None:
        """Forget the device; no matter if it is unknown."""


@dataclass(frozen=True)
class Rules:
    """How this service behaves. registrations_per_minute: None for no limit.

    wrong_key_code, expired_code: UNCERTAIN on MQTT (protocol.md 2.6).
    """

    id_scope: str
    polls_before_assigned: int = 1
    retry_after_s: int = 3
    registrations_per_minute: int | None = 1000
    wrong_key_code: int = 401000
    expired_code: int = 401002


@dataclass(frozen=True)
class Request:
    """One request of a device, whatever it came over."""

    id_scope: str
    registration_id: str
    token: str = field(repr=False)
    body: bytes = field(default=b"", repr=False)


class Window:
    """A sliding window: at most `limit` events in `span_s` seconds."""

    def __init__(self, limit: int, span_s: float) -> None:
        self._limit, self._span_s = limit, span_s
        self._times: deque[float] = deque(maxlen=limit)

    def admit(self, now_at: float) -> None:
        """Count one event; raise Refusal 429 with the seconds until there is room."""
        if len(self._times) == self._limit:
            wait_s = self._times[0] + self._span_s - now_at
            if wait_s > 0:
                raise Refusal(429, 429001, "Too many requests.", retry_after_s=int(wait_s) + 1)
        self._times.append(now_at)


class ProvisioningService:
    """DPS over a store and the hubs that are linked to it, by host name."""

    def __init__(
        self,
        rules: Rules,
        store: Store,
        hubs: Mapping[str, DeviceRegistry],
        random_bytes: RandomBytes,
    ) -> None:
        self.rules = rules
        self.store = store
        self._hubs = hubs
        self._random_bytes = random_bytes
        self._polls: dict[str, Window] = {}
        limit = rules.registrations_per_minute
        self._registrations = Window(limit, _REGISTRATIONS_WINDOW_S) if limit else None

    def authenticate(self, request: Request, now_at: float) -> Enrollment:
        """The enrollment that the request's token belongs to; raise Refusal (protocol.md 2.6).

        An individual enrollment hides the groups, as at Azure. A device that no group's key fits
        cannot be told from one with a wrong key, so 404 is left for a service without groups.
        """
        if request.id_scope.lower() != self.rules.id_scope.lower():
            raise Refusal(404, 404201, "Not found.", why="no such id scope")
        id = check_id(request.registration_id, "RegistrationId")
        individual = self.store.individuals.get(id)
        groups = self.store.groups.all()
        if individual is None and not groups:
            raise Refusal(404, 404201, "Not found.", why="no enrollment")
        token = self._token(request, now_at)
        if individual is not None:
            return self._check_individual(individual, token)
        return self._find_group(groups, id, token)

    def register(self, request: Request, now_at: float) -> Answer:
        """Start a registration: 202 with an operation id, or 200 disabled, or an error."""
        try:
            if self._registrations:
                self._registrations.admit(now_at)
            enrollment = self.authenticate(request, now_at)
            _check_body(parse_object(request.body), request.registration_id)
            id = request.registration_id.lower()
            if not enrollment.enabled:
                return _disabled(id)
            self._begin(enrollment, id, now_at)
        except Refusal as refusal:
            return refusal.answer(now_at, self._random_bytes)
        operation = Operation(
            operation_id(self._random_bytes), id, self.rules.polls_before_assigned
        )
        self.store.add_operation(operation)
        document = {"operationId": operation.id, "status": "assigning"}
        return Answer(202, document, "registering", self.rules.retry_after_s)

    def poll(self, request: Request, operation_id: str, now_at: float) -> Answer:
        """How far the operation is: 202 a few times, then 200; or an error's Answer."""
        try:
            enrollment = self.authenticate(request, now_at)
            self._meter_poll(request.registration_id.lower(), now_at)
            operation = self._operation(operation_id, request.registration_id.lower())
            if not enrollment.enabled:
                return _disabled(operation.registration_id)
            if operation.polls_left > 0:
                operation.polls_left -= 1
                return _assigning(operation, self.rules.retry_after_s)
            if operation.record is None:
                operation.record = self._assign(enrollment, operation.registration_id, now_at)
        except Refusal as refusal:
            return refusal.answer(now_at, self._random_bytes)
        return _finished(operation, operation.record)

    def _token(self, request: Request, now_at: float) -> sas.Token:
        try:
            token = sas.parse(request.token)
        except sas.BadToken as bad:
            raise self._unauthorized(self.rules.wrong_key_code, str(bad)) from None
        resource = f"{request.id_scope}/registrations/{request.registration_id}"
        if token.resource.lower() != resource.lower():
            raise self._unauthorized(self.rules.wrong_key_code, "the token is for another sr")
        if token.key_name not in ("", "registration"):
            raise self._unauthorized(self.rules.wrong_key_code, "skn is not registration")
        if token.expires_at <= now_at:
            raise self._unauthorized(self.rules.expired_code, "the token has expired")
        return token

    def _unauthorized(self, code: int, why: str) -> Refusal:
        return Refusal(401, code, "Unauthorized", why=why)

    def _check_individual(self, enrollment: Enrollment, token: sas.Token) -> Enrollment:
        if any(token.is_signed_by(key) for key in enrollment.keys):
            return enrollment
        raise self._unauthorized(self.rules.wrong_key_code, "wrong key")

    def _find_group(self, groups: list[Enrollment], id: str, token: sas.Token) -> Enrollment:
        # Enabled groups first: the same key may be in a disabled one too.
        for group in sorted(groups, key=lambda group: not group.enabled):
            if any(token.is_signed_by(key) for key in _device_keys(group, id)):
                return group
        raise self._unauthorized(self.rules.wrong_key_code, "no group's key made this token")

    def _meter_poll(self, id: str, now_at: float) -> None:
        self._polls.setdefault(id, Window(_POLLS, _POLLS_WINDOW_S)).admit(now_at)
        if len(self._polls) > _MAX_METERED:
            del self._polls[next(iter(self._polls))]  # the oldest: its window has long passed

    def _operation(self, operation_id: str, registration_id: str) -> Operation:
        operation = self.store.operation(operation_id)
        if operation is None or operation.registration_id != registration_id:
            raise Refusal(404, 404203, "Operation not found.")
        return operation

    def _begin(self, enrollment: Enrollment, id: str, now_at: float) -> None:
        tag = etag(now_at, self._random_bytes)
        group = None if isinstance(enrollment, IndividualEnrollment) else enrollment.id
        record = self.store.registrations.get(id)
        if record is None:
            record = Registration(id, "assigning", group, now_at, now_at, tag)
        fresh = replace(record, status="assigning", updated_at=now_at, etag=tag)
        self.store.put_registration(replace(fresh, error_code=None, error_message=None))

    def _assign(self, enrollment: Enrollment, id: str, now_at: float) -> Registration:
        previous = self.store.registrations.get(id)
        kept = previous.hub if previous and not enrollment.update_hub_assignment else None
        hub = kept or self._allocate(enrollment, id)
        outcome = {"error_code": 400208, "error_message": "No linked hub for this enrollment."}
        if hub is not None:
            outcome = self._settle(enrollment, id, hub, previous)
        record = Registration(
            registration_id=id,
            status="failed" if hub is None else "assigned",
            group_id=None if isinstance(enrollment, IndividualEnrollment) else enrollment.id,
            created_at=previous.created_at if previous else now_at,
            updated_at=now_at,
            etag=etag(now_at, self._random_bytes),
            hub=hub,
            **outcome,  # type: ignore[arg-type]
        )
        self.store.put_registration(record)
        return record

    def _allocate(self, enrollment: Enrollment, id: str) -> str | None:
        names = [hub for hub in enrollment.iot_hubs or tuple(self._hubs) if hub in self._hubs]
        if not names:
            return None
        if enrollment.allocation_policy == "static":
            return names[0]
        number = int.from_bytes(hashlib.sha256(id.encode()).digest()[:8], "big")
        return names[number % len(names)]

    def _settle(
        self, enrollment: Enrollment, id: str, hub: str, previous: Registration | None
    ) -> dict[str, object]:
        device_id = enrollment.device_id or id
        substatus = "initialAssignment"
        if previous and previous.hub and previous.device_id:
            substatus = previous.substatus or substatus
            if previous.hub != hub:
                migrate = enrollment.migrate_device_data
                substatus = "deviceDataMigrated" if migrate else "deviceDataReset"
            if (previous.hub, previous.device_id) != (hub, device_id):
                self._hubs[previous.hub].remove_device(previous.device_id)
        individual = isinstance(enrollment, IndividualEnrollment)
        keys = enrollment.keys if individual else _device_keys(enrollment, id)
        self._hubs[hub].put_device(device_id, keys)
        return {"device_id": device_id, "substatus": substatus}


def _device_keys(group: Enrollment, registration_id: str) -> Keys:
    return Keys(*(sas.derive_key(key, registration_id) for key in group.keys))


def _check_body(document: Json, registration_id: str) -> None:
    # Official clients send none, null, or an object (protocol.md 2.2).
    named = document.get("registrationId")
    if named is not None and (
        not isinstance(named, str) or named.lower() != registration_id.lower()
    ):
        raise Refusal(400, 400000, "registrationId is not the connection's.")
    if not isinstance(document.get("payload"), dict | None):
        raise Refusal(400, 400000, "payload is not a JSON object.")


def _disabled(id: str) -> Answer:
    state = {"registrationId": id, "status": "disabled"}
    document = {"operationId": "", "status": "disabled", "registrationState": state}
    return Answer(200, document, "disabled")


def _assigning(operation: Operation, retry_after_s: int) -> Answer:
    state = {"registrationId": operation.registration_id, "status": "assigning"}
    document = {"operationId": operation.id, "status": "assigning", "registrationState": state}
    return Answer(202, document, "assigning", retry_after_s)


def _finished(operation: Operation, record: Registration) -> Answer:
    document = {
        "operationId": operation.id,
        "status": record.status,
        "registrationState": record.document(),
    }
    note = f"registered -> {record.hub}" if record.hub else f"failed {record.error_code}"
    return Answer(200, document, note)
