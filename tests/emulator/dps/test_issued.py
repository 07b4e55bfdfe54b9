"""A registration that asks for a certificate, from the CSR to the device at its hub."""

import base64
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from firstlight.emulator import chains
from firstlight.emulator.answers import Answer
from firstlight.emulator.dps.issuing import Issuer, new_issuer
from firstlight.emulator.dps.records import Enrollment
from firstlight.emulator.dps.service import ProvisioningService, Request, Rules
from firstlight.emulator.hub.hub import NotAdmitted
from firstlight.emulator.hub.proving import Trust
from firstlight.emulator.journal import remember
from firstlight.emulator.services import Services, Surroundings
from tests.certificates import Issued, make_ca, make_csr, make_key, make_leaf, make_root
from tests.emulator.dps.provisioning import NOW, SCOPE, Service
from tests.emulator.hubs import Book
from tests.emulator.memory import Paper
from tests.emulator.peers import sign, token
from tests.emulator.world import HUBS, SETTINGS

VERSION = "2025-07-01-preview"
ID = "dev-1"
KEY = make_key()
CSR = base64.b64encode(make_csr(KEY, ID).public_bytes(Encoding.DER)).decode()
ASKED = json.dumps({"registrationId": ID, "csr": CSR}).encode()
DAY_S = 86_400


class Issuing(Service):
    """With an issuing CA, which the hubs know."""

    def __init__(self, *hubs: str, journal: Book | None = None, **rules: Any) -> None:
        super().__init__(*hubs, journal=journal, **rules)
        book = journal or Book()
        papers = remember(book, "service", "issuer", lambda: new_issuer(self.random, self.now_at))
        own = Rules(SCOPE, **rules)
        self.issuer = Issuer(own, papers, self.random)
        for hub in self.hubs.values():
            hub.believe(Trust(issuers=lambda: self.issuer.anchors))
        self.dps = ProvisioningService(
            own, self.store, self.hubs, self.random, self.calls.append, self.issuer
        )

    def asking(self, group: Enrollment, **changes: Any) -> Request:
        """A request of a group's device with a CSR."""
        return self.member(ID, group, **{"body": ASKED, "api_version": VERSION} | changes)

    def chain(self, request: Request) -> list[str]:
        """What the registration ends with."""
        found: list[str] = self.state(request)["issuedCertificateChain"]
        return found

    def admits(self, *chain: bytes, password: str = "", hub: str = "hub-a") -> bool:
        user = f"{hub}/{ID}/?api-version=2021-04-12"
        try:
            return bool(self.hubs[hub].admit(user, password, ID, self.now_at, chain))
        except NotAdmitted:
            return False


def ders(chain: list[str]) -> tuple[bytes, ...]:
    return tuple(map(base64.b64decode, chain))


def at_hub(key: str, hub: str = "hub-a") -> str:
    return token(f"{hub}/devices/{ID}", key, skn=None)


def a_group(service: Service, **document: Any) -> Enrollment:
    return service.group(**{"credentialPolicyName": "default"} | document)


def a_certified_group(service: Service) -> Issued:
    """A group by its CA, with a policy; a device's certificate of it."""
    root = make_root(start=service_day())
    batch = make_ca(root, "Batch 1", start=service_day())
    service.ca("root", root)
    service.signed("fleet", batch, credentialPolicyName="default")
    return make_leaf(batch, ID, start=service_day())


def service_day() -> datetime:

    return datetime.fromtimestamp(NOW, UTC)


def test_a_device_with_a_key_is_issued_a_certificate_that_its_hub_takes_beside_the_key() -> None:
    service = Issuing()
    group = a_group(service)
    request = service.asking(group)
    answer = service.finish(request, service.register(request))
    found = answer.document["registrationState"]["issuedCertificateChain"]
    chain = chains.read(ders(found))
    assert (chain.common_name, len(found)) == (ID, 3)
    assert chain.leaf.public_key() == KEY.public_key()
    assert chain.leaf.not_valid_after_utc.timestamp() == int(NOW) + 30 * DAY_S
    assert service.admits(*ders(found))
    assert service.admits(password=at_hub(sign(group.keys.primary_b64, ID)))
    assert not service.admits(*ders(found)[:1])
    service.now_at += 31 * DAY_S
    assert not service.admits(*ders(found))


def test_a_device_with_a_certificate_is_issued_another_and_may_go_back() -> None:
    service = Issuing()
    leaf = a_certified_group(service)
    request = service.show(ID, leaf, body=ASKED, api_version=VERSION)
    found = service.chain(request)
    assert service.admits(*ders(found))
    assert service.admits(*leaf.chain_ders)
    (device,) = service.devices()
    assert device.thumbprints == (leaf.sha256, leaf.sha256)


def test_a_certificate_names_the_device_as_its_hub_knows_it() -> None:
    service = Issuing()
    device = service.device(ID, credentialPolicyName="default", deviceId="Machine-7")
    found = service.chain(service.own(device, body=ASKED, api_version=VERSION))
    chain = ders(found)
    assert chains.read(chain).common_name == "Machine-7"
    user = "hub-a/Machine-7/?api-version=2021-04-12"
    assert service.hubs["hub-a"].admit(user, "", "Machine-7", NOW, chain)
    assert not service.admits(*chain)


def test_a_hub_that_was_told_to_takes_what_was_issued_alone_until_the_device_starts_again() -> (
    None
):
    service = Issuing(issued_auth="issued")
    group = a_group(service)
    key = sign(group.keys.primary_b64, ID)
    service.state(service.member(ID, group))
    assert service.admits(password=at_hub(key))
    found = service.chain(service.asking(group))
    assert service.devices()[0].auth == "certificateAuthority"
    assert service.admits(*ders(found))
    assert not service.admits(password=at_hub(key))
    service.state(service.member(ID, group))  # without a CSR
    assert service.admits(password=at_hub(key))


def test_a_local_azures_authority_outlives_it_and_is_known_to_its_hubs() -> None:
    paper = Paper()
    first, again, other = (local_services(one) for one in (paper, paper, Paper()))
    assert first.issuer.anchors == again.issuer.anchors != other.issuer.anchors
    for hub in again.hubs.values():
        assert list(hub.trust.issuers()) == list(first.issuer.anchors)
        assert not hub.trust.authorities()
    again.authorities.put(HUBS[1], "root", make_root().certificate, True, NOW, os.urandom)
    assert [len(hub.trust.authorities()) for hub in again.hubs.values()] == [0, 1]


def local_services(journal: Paper) -> Services:
    """All of a local Azure but its servers."""
    names = frozenset(HUBS)
    around = Surroundings(lambda: NOW, os.urandom, lambda _: None, journal, lambda: names)
    return Services(SETTINGS, around)


def test_every_poll_shows_the_same_chain_and_a_lookup_none() -> None:
    book = Book()
    service = Issuing(journal=book)
    request = service.asking(a_group(service))
    begun = service.register(request)
    assert "issuedCertificateChain" not in begun.document
    ended = service.finish(request, begun)
    again = service.finish(request, begun)
    assert again.document == ended.document
    later = Issuing(journal=book)  # after a restart
    assert later.finish(request, begun).document == ended.document
    assert later.admits(*ders(ended.document["registrationState"]["issuedCertificateChain"]))
    plain = service.member(ID, service.store.groups.all()[0], over="https")
    found = service.dps.lookup(plain, service.now_at)
    assert (found.status, found.document["status"]) == (200, "assigned")
    assert "issuedCertificateChain" not in found.document


def test_every_registration_is_issued_a_new_certificate() -> None:
    service = Issuing()
    request = service.asking(a_group(service))
    first, second = service.chain(request), service.chain(request)
    assert first[0] != second[0]
    assert first[1:] == second[1:]
    assert "issuedCertificateChain" not in service.state(
        service.member(ID, service.store.groups.all()[0])
    )


def answered(service: Issuing, request: Request) -> tuple[int, int]:
    answer: Answer = service.register(request)
    return answer.status, answer.document["errorCode"]


def test_a_csr_that_is_not_right_assigns_nothing() -> None:
    service = Issuing()
    group = a_group(service)
    other = base64.b64encode(make_csr(KEY, "dev-2").public_bytes(Encoding.DER)).decode()
    for csr in ("AAAA", other, 7):
        request = service.asking(group, body=json.dumps({"csr": csr}).encode())
        assert answered(service, request) == (400, 400040)
    assert service.devices() == []
    assert service.store.registration(ID) is None


def test_a_csr_in_a_lookup_is_refused() -> None:
    service = Issuing()
    request = service.asking(a_group(service), over="https")
    service.state(request)
    found = service.dps.lookup(request, service.now_at)
    assert (found.status, found.document["errorCode"]) == (400, 400000)


def test_without_a_policy_or_with_an_old_version_nothing_is_issued() -> None:
    service = Issuing()
    bare = service.group()
    assert answered(service, service.asking(bare)) == (400, 400000)
    old = service.asking(a_group(service), api_version="2021-06-01")
    assert "issuedCertificateChain" not in service.state(old)
    lax = Issuing(csr_without_policy="ignore")
    assert "issuedCertificateChain" not in lax.state(lax.asking(lax.group()))
    generous = Issuing(csr_without_policy="default")
    assert len(generous.chain(generous.asking(generous.group()))) == 3


def test_a_webhook_is_waited_for_and_then_the_certificate_is_issued_even_after_a_restart() -> None:
    book = Book()
    service = Issuing("hub-a", "hub-b", journal=book)
    device = service.custom(ID, credentialPolicyName="default")
    request = service.own(device, body=ASKED, api_version=VERSION)
    begun = service.register(request)
    later = Issuing("hub-a", "hub-b", journal=book)
    later.dps.resume(later.now_at)
    later.answer_webhook(b'{"iotHubHostName": "hub-b"}')
    state = later.finish(request, begun).document["registrationState"]
    assert state["assignedHub"] == "hub-b"
    assert later.admits(*ders(state["issuedCertificateChain"]), hub="hub-b")
    service.answer_webhook(b"no JSON")
    failed = service.finish(request, begun).document["registrationState"]
    assert failed["status"] == "failed"
    assert "issuedCertificateChain" not in failed


def test_an_enrollment_that_became_another_kind_fails_what_waited_and_hinders_no_start() -> None:
    book = Book()
    service = Issuing("hub-a", journal=book)
    request = service.own(
        service.custom(ID, credentialPolicyName="default"), body=ASKED, api_version=VERSION
    )
    begun = service.register(request)
    tpm = {"type": "tpm", "tpm": {"endorsementKey": "AAAA"}}
    service.custom(ID, attestation=tpm, credentialPolicyName="default")
    later = Issuing("hub-a", journal=book)
    later.dps.resume(later.now_at)
    later.answer_webhook(b'{"iotHubHostName": "hub-a"}')
    operation = later.store.operation(begun.document["operationId"])
    assert operation is not None
    assert operation.record is not None
    assert (operation.record.status, operation.record.error_code) == ("failed", 401002)


def test_a_device_that_moves_is_taken_by_its_new_hub() -> None:
    service = Issuing("hub-a", "hub-b")
    group = a_group(service, iotHubs=["hub-a"])
    found = service.chain(service.asking(group))
    moved = service.group(iotHubs=["hub-b"], credentialPolicyName="default")
    service.state(service.member(ID, moved))
    assert service.admits(*ders(found), hub="hub-b")
    assert not service.admits(*ders(found), hub="hub-a")


@pytest.mark.parametrize("is_told", [False, True])
def test_what_was_issued_is_no_proof_to_dps_unless_told(is_told: bool) -> None:
    service = Issuing(issued_at_dps=is_told)
    leaf = a_certified_group(service)
    found = ders(service.chain(service.show(ID, leaf, body=ASKED, api_version=VERSION)))
    again = Request(SCOPE, ID, "", ASKED, api_version=VERSION, chain=found)
    if not is_told:
        assert answered(service, again) == (401, 401002)
        return
    assert answered(service, replace(again, token="SharedAccessSignature sr=x"))[0] == 401
    renewed = ders(service.chain(again))
    assert service.admits(*renewed)
    stranger = Request(SCOPE, "dev-2", "", chain=found)
    assert answered(service, stranger) == (401, 401002)
    service.now_at += 31 * DAY_S
    assert answered(service, again) == (401, 401002)
    service.now_at = NOW
    service.store.remove_registration(ID)
    assert answered(service, again)[0] in (401, 404)


def test_an_individual_enrollment_is_proved_by_what_was_issued_if_told() -> None:
    service = Issuing(issued_at_dps=True)
    device = service.device(ID, credentialPolicyName="default")
    found = ders(service.chain(service.own(device, body=ASKED, api_version=VERSION)))
    again = Request(SCOPE, ID, "", api_version=VERSION, chain=found)
    assert service.state(again)["status"] == "assigned"
    forged = make_leaf(make_root(), ID).chain_ders
    assert answered(service, Request(SCOPE, ID, "", chain=forged))[0] == 401
