"""The Device Provisioning Service: who may register, and what becomes of it.

Pure logic: no sockets, no clock, no randomness of its own; time and random bytes are handed in.
MQTT, HTTPS and tests all talk to the same methods (protocol.md 2):

    authenticate(request)  raises Refusal     for services told to check at CONNECT
    register(request)      -> Answer 202      {"operationId": "5....", "status": "assigning"}
    poll(request, id)      -> Answer 202, and in the end 200 with the registrationState
    lookup(request)        -> Answer 200      the registrationState alone; HTTPS only

A registration is settled when it is made; only a custom allocation waits, for its webhook.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..answers import Answer, Json, RandomBytes, Refusal, operation_id, parse_object
from ..hub.hub import Hub
from .allocation import NotAllocated, WebhookCall, allocate, read_choice, webhook_body
from .gate import Gate
from .issuing import Issuer
from .metering import DeviceWindows, Window
from .records import Enrollment, Operation, Registration
from .rules import API_VERSIONS, MAX_MESSAGE_BYTES, Request, Rules
from .settling import Claim, Settler
from .store import Store

__all__ = ["API_VERSIONS", "MAX_MESSAGE_BYTES", "ProvisioningService", "Request", "Rules"]

_MAX_WAITING = 1000
Ask = Callable[[WebhookCall], None]


class ProvisioningService:
    """DPS over a store and the hubs that are linked to it, by host name.

    ask: carries a custom allocation's request to its webhook, and gives what came of it to
    webhook_answered; without it such a registration fails. issuer: issues the certificates that
    are asked for (csr); without it they are refused.
    """

    def __init__(
        self,
        rules: Rules,
        store: Store,
        hubs: Mapping[str, Hub],
        random_bytes: RandomBytes,
        ask: Ask | None = None,
        issuer: Issuer | None = None,
    ) -> None:
        self.rules = rules
        self.store = store
        self.ask = ask
        self._random_bytes = random_bytes
        self._issuer = issuer
        self._gate = Gate(rules, store, issuer)
        self._settler = Settler(rules, store, hubs, random_bytes)
        self._registrations = Window(rules.registrations_per_minute, 60.0)
        self._polls = DeviceWindows(rules.polls_per_10_s, 10.0)
        self._waiting = {operation.id for operation in store.unfinished()}

    def authenticate(self, request: Request, now_at: float) -> Enrollment:
        """The enrollment that the request is proof of; raise Refusal (protocol.md 2.6).

        An individual enrollment hides the groups, as at Azure. A device that no group's key fits
        cannot be told from one with a wrong key: Rules.unknown_enrollment.
        """
        return self._gate.admit(request, now_at).enrollment

    def register(self, request: Request, now_at: float) -> Answer:
        """Make a registration: 202 with an operation id, or 200 disabled, or an error."""
        try:
            self._registrations.admit(now_at)
            claim = self._gate.admit(request, now_at)
            body = self._body(request)
            if not claim.enrollment.enabled:
                return _disabled(claim.id)
            claim = self._asking(claim, body.get("csr"))
            operation = self._begin(claim, body.get("payload"), now_at)
        except Refusal as refusal:
            return refusal.answer(now_at, self._random_bytes)
        document = {"operationId": operation.id, "status": "assigning"}
        return Answer(202, document, "registering", self.rules.retry_after_s)

    def poll(self, request: Request, operation_id: str, now_at: float) -> Answer:
        """How far the operation is: 202 a few times, then 200; or an error's Answer."""
        try:
            claim = self._gate.admit(request, now_at)
            self._polls.admit(claim.id, now_at)
            operation = self.store.operation(operation_id)
            if operation is None or operation.registration_id != claim.id:
                raise Refusal(404, 404203, "Operation not found.")
        except Refusal as refusal:
            return refusal.answer(now_at, self._random_bytes)
        if not claim.enrollment.enabled:
            return _disabled(claim.id)
        if operation.polls_left > 0:
            operation.polls_left -= 1
        elif operation.record is not None:
            return _finished(operation, operation.record)
        return _assigning(operation, self.rules.retry_after_s)

    def lookup(self, request: Request, now_at: float) -> Answer:
        """The device's present registration, 200; 404 if it has none (protocol.md 5.2)."""
        try:
            claim = self._gate.admit(request, now_at)
            self._body(request, is_lookup=True)
            record = self.store.registration(claim.id)
            if claim.enrollment.enabled and record is None:
                raise Refusal(404, 404201, "Not found.", why="not registered")
        except Refusal as refusal:
            return refusal.answer(now_at, self._random_bytes)
        if not claim.enrollment.enabled or record is None:
            return Answer(200, _disabled_state(claim.id), "disabled")
        return Answer(200, record.document(), f"{record.status}, looked up")

    def webhook_answered(
        self, operation_id: str, status: int, body: bytes, now_at: float
    ) -> tuple[str, str] | None:
        """Settle what waited for it; return whose it was and what became of it, or None.

        status: HTTP's; 504 if there was no answer in time, 502 if the webhook was not reached.
        """
        self._waiting.discard(operation_id)
        operation = self.store.operation(operation_id)
        if operation is None or operation.record is not None:
            return None
        claim = self._claim_of(operation)
        if claim is None:
            self.store.remove_operation(operation_id)
            return operation.registration_id, "its enrollment was deleted"
        try:
            record = self._follow(claim, status, body, now_at)
        except Refusal as refusal:
            self.store.remove_operation(operation_id)
            return claim.id, refusal.why
        operation.issued = self._issued(claim, record, now_at)
        self.store.end_operation(operation, record)
        return claim.id, _note(record)

    def resume(self, now_at: float) -> None:
        """Ask again for what waited for a webhook when the process before this one ended."""
        for operation in self.store.unfinished():
            claim = self._claim_of(operation)
            if claim is None:
                self._waiting.discard(operation.id)
                self.store.remove_operation(operation.id)
            else:
                self._ask(claim, operation, now_at)

    def _body(self, request: Request, is_lookup: bool = False) -> Json:
        """The request's body, checked: official clients send none, null, or an object (2.2)."""
        document = parse_object(request.body)
        named, id = document.get("registrationId"), request.registration_id
        if named is not None and (not isinstance(named, str) or named.lower() != id.lower()):
            code = self.rules.mismatch_code
            raise Refusal(400, code, "registrationId is not the connection's.")
        if not isinstance(document.get("payload"), dict | None):
            raise Refusal(400, 400000, "payload is not a JSON object.")
        if is_lookup and document.get("csr") is not None:
            why = "A certificate cannot be asked for (csr) in a status lookup."
            raise Refusal(400, 400000, why)
        return document

    def _asking(self, claim: Claim, csr: Any) -> Claim:
        """The claim with the certificate request that came with it, if that is to be answered."""
        if csr is None:
            return claim
        if self._issuer is None:
            raise Refusal(400, 400000, "A certificate cannot be asked for (csr): none is issued.")
        policy = claim.enrollment.credential_policy
        wanted = self._issuer.check(csr, claim.id, claim.api_version, policy)
        if wanted is None:
            return claim
        return replace(claim, csr=wanted, at_hub=self._issuer.at_hub() or claim.at_hub)

    def _issued(self, claim: Claim, record: Registration, now_at: float) -> list[str]:
        """The chain that the device asked for, once it is assigned; [] for none."""
        if self._issuer is None or claim.csr is None or record.status != "assigned":
            return []
        policy = claim.enrollment.credential_policy
        return self._issuer.issue(claim.csr, str(record.device_id), policy, now_at)

    def _begin(self, claim: Claim, payload: Json | None, now_at: float) -> Operation:
        """Settle the registration, or ask the webhook; raise Refusal for a full quota."""
        operation = Operation(
            operation_id(self._random_bytes), claim.id, self.rules.polls_before_assigned
        )
        if claim.enrollment.allocation_policy == "custom":
            if len(self._waiting) >= _MAX_WAITING:
                why, wait_s = (
                    "Too many registrations wait for a webhook.",
                    self.rules.retry_after_s,
                )
                raise Refusal(429, 429001, why, retry_after_s=wait_s)
            self._settler.begin(claim, now_at)
            operation.group_id, operation.spelling = claim.group_id, claim.spelling
            operation.certificate, operation.csr = claim.certificate, claim.csr
            operation.api_version, operation.payload = claim.api_version, payload
            self.store.add_operation(operation)
            self._waiting.add(operation.id)
            self._ask(claim, operation, now_at)
            return operation
        operation.record = self._assign(claim, now_at)
        operation.issued = self._issued(claim, operation.record, now_at)
        self.store.add_operation(operation)
        return operation

    def _assign(self, claim: Claim, now_at: float) -> Registration:
        policy = claim.enrollment.allocation_policy
        try:
            choice = allocate(policy, self._settler.hubs_for(claim), claim.id, self.rules)
        except NotAllocated as why:
            return self._settler.fail(claim, why, now_at)
        return self._settler.settle(claim, choice, now_at)

    def _follow(self, claim: Claim, status: int, body: bytes, now_at: float) -> Registration:
        """Do what a webhook said; raise Refusal for a full quota."""
        try:
            if not claim.enrollment.enabled:
                raise NotAllocated(400209, "The enrollment is disabled.")
            choice = read_choice(status, body, self._settler.answerable(claim))
        except NotAllocated as why:
            return self._settler.fail(claim, why, now_at)
        return self._settler.settle(claim, choice, now_at)

    def _ask(self, claim: Claim, operation: Operation, now_at: float) -> None:
        if self.ask is None:
            self.webhook_answered(operation.id, 502, b"", now_at)
            return
        body = webhook_body(
            claim.enrollment,
            claim.id,
            self.store.registration(claim.id),
            operation.payload,
            self._settler.hubs_for(claim),
            claim.certificate,
        )
        self.ask(WebhookCall(operation.id, claim.enrollment.webhook_url, body))

    def _claim_of(self, operation: Operation) -> Claim | None:
        """Whose operation it is; None if its enrollment has been deleted."""
        shelf, id = self.store.individuals, operation.registration_id
        if operation.group_id is not None:
            shelf, id = self.store.groups, operation.group_id
        enrollment = shelf.get(id)
        if enrollment is None or (operation.group_id is None) != (operation.spelling is None):
            return None
        claim = Claim(
            enrollment,
            operation.registration_id,
            operation.spelling,
            operation.api_version,
            operation.certificate,
        )
        if operation.csr is None or self._issuer is None:
            return claim
        return replace(claim, csr=operation.csr, at_hub=self._issuer.at_hub())


def _disabled_state(id: str) -> Json:
    return {"registrationId": id, "status": "disabled"}


def _disabled(id: str) -> Answer:
    state = _disabled_state(id)
    document = {"operationId": "", "status": "disabled", "registrationState": state}
    return Answer(200, document, "disabled")


def _assigning(operation: Operation, retry_after_s: int) -> Answer:
    state = {"registrationId": operation.registration_id, "status": "assigning"}
    document = {"operationId": operation.id, "status": "assigning", "registrationState": state}
    return Answer(202, document, "assigning", retry_after_s)


def _finished(operation: Operation, record: Registration) -> Answer:
    state = record.document()
    if operation.issued:
        state["issuedCertificateChain"] = operation.issued
    document = {
        "operationId": operation.id,
        "status": record.status,
        "registrationState": state,
    }
    return Answer(200, document, _note(record))


def _note(record: Registration) -> str:
    if record.status == "assigned":
        return f"registered -> {record.hub}"
    return f"failed {record.error_code} {record.error_message}"
