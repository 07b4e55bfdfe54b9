"""A provisioning service with real hubs and a clock that stands still until a test moves it."""

import itertools
from collections.abc import Sequence
from typing import Any

from firstlight.emulator.answers import Answer
from firstlight.emulator.authorities import DPS
from firstlight.emulator.dps.allocation import WebhookCall
from firstlight.emulator.dps.reading import Fresh, read_enrollment
from firstlight.emulator.dps.records import Enrollment, EnrollmentGroup, IndividualEnrollment
from firstlight.emulator.dps.service import ProvisioningService, Request, Rules
from firstlight.emulator.dps.store import Store
from firstlight.emulator.hub.hub import Hub
from firstlight.emulator.hub.registry import Device, Registry
from firstlight.emulator.hub.telemetry import Telemetry
from firstlight.emulator.journal import Journal
from tests.certificates import Issued
from tests.emulator.peers import sign, token

NOW = 1_795_000_000.1234567
SCOPE = "0ne00111111"
HOOK = "http://localhost/hook?code=secret-code"


class Service:
    """journal: what is kept and was kept; calls: what was asked of webhooks."""

    def __init__(self, *hubs: str, journal: Journal | None = None, **rules: Any) -> None:
        self.now_at = NOW
        counter = itertools.count(1)
        self.random = lambda count: next(counter).to_bytes(count, "big")
        self.store = Store(journal)
        telemetry = Telemetry()
        self.hubs = {
            name: Hub(name, Registry(name, self.random, journal), telemetry, self.random, journal)
            for name in hubs or ("hub-a",)
        }
        self.calls: list[WebhookCall] = []
        self.dps = ProvisioningService(
            Rules(SCOPE, **rules), self.store, self.hubs, self.random, self.calls.append
        )

    def group(self, id: str = "fleet", **document: Any) -> Enrollment:
        return self._enroll(EnrollmentGroup, id, document)

    def device(self, id: str, **document: Any) -> Enrollment:
        return self._enroll(IndividualEnrollment, id, document)

    def custom(self, id: str = "dev-1", url: str = HOOK, **document: Any) -> Enrollment:
        custom = {"webhookUrl": url, "apiVersion": "2021-10-01"}
        return self.device(
            id, allocationPolicy="custom", customAllocationDefinition=custom, **document
        )

    def _enroll(self, kind: type[Enrollment], id: str, document: dict[str, Any]) -> Enrollment:
        shelf = self.store.groups if kind is EnrollmentGroup else self.store.individuals
        fresh = Fresh(self.now_at, self.random)
        item = read_enrollment(kind, id, document, shelf.get(id), fresh)
        shelf.put(item)
        return item

    def ask(self, id: str, key: str, body: bytes = b"", **changes: Any) -> Request:
        scope = changes.get("scope", SCOPE)
        resource = changes.get("resource", f"{scope}/registrations/{id}")
        se, skn = changes.get("se", int(NOW) + 3600), changes.get("skn", "registration")
        more = {name: changes[name] for name in ("over", "api_version") if name in changes}
        return Request(scope, id, token(resource, key, se, skn), body, **more)

    def member(self, id: str, group: Enrollment, **changes: Any) -> Request:
        """A request of a group's device."""
        return self.ask(id, sign(group.keys.primary_b64, id), **changes)

    def own(self, enrollment: Enrollment, **changes: Any) -> Request:
        """A request of an individual enrollment's device."""
        return self.ask(enrollment.id, enrollment.keys.primary_b64, **changes)

    def ca(self, name: str, authority: Issued, verified: bool = True) -> None:
        """A CA certificate of the service."""
        put = self.store.authorities.put
        put(DPS, name, authority.certificate, verified, self.now_at, self.random)

    def signed(self, id: str, *signers: Issued, **document: Any) -> Enrollment:
        """A group of one or two signing certificates."""
        return self.group(id, attestation=certified("signingCertificates", *signers), **document)

    def certified(self, id: str, *leaves: Issued, **document: Any) -> Enrollment:
        """An individual enrollment of one or two certificates."""
        return self.device(id, attestation=certified("clientCertificates", *leaves), **document)

    def show(self, id: str, chain: Issued | Sequence[Issued], **changes: Any) -> Request:
        """A request of a device that shows certificates: its own path, or these."""
        ders = chain.chain_ders if isinstance(chain, Issued) else [one.der for one in chain]
        return Request(SCOPE, id, "", chain=tuple(ders), **changes)

    def register(self, request: Request) -> Answer:
        return self.dps.register(request, self.now_at)

    def finish(self, request: Request, answer: Answer) -> Answer:
        """Poll as often as it takes, at a pace that the metering allows."""
        while answer.status == 202:
            self.now_at += 3
            answer = self.dps.poll(request, answer.document["operationId"], self.now_at)
        return answer

    def complete(self, request: Request) -> dict[str, Any]:
        answer = self.finish(request, self.register(request))
        assert answer.status == 200
        document: dict[str, Any] = answer.document
        return document

    def state(self, request: Request) -> dict[str, Any]:
        """The registrationState in which a registration ends."""
        found: dict[str, Any] = self.complete(request)["registrationState"]
        return found

    def devices(self, hub: str = "hub-a") -> list[Device]:
        return self.hubs[hub].registry.all()

    def answer_webhook(self, body: bytes, status: int = 200) -> None:
        """Answer the oldest call that has not been answered."""
        call = self.calls.pop(0)
        self.dps.webhook_answered(call.operation_id, status, body, self.now_at)


def certified(form: str, *certificates: Issued) -> dict[str, Any]:
    """An attestation, as a service client sends it."""
    pair = dict(zip(("primary", "secondary"), certificates, strict=False))
    return {
        "type": "x509",
        "x509": {form: {name: {"certificate": one.pem} for name, one in pair.items()}},
    }


def refused(answer: Answer) -> tuple[int, int]:
    assert set(answer.document) == {"errorCode", "trackingId", "message", "timestampUtc"}
    return answer.status, answer.document["errorCode"]
