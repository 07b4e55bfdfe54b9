"""Devices that prove themselves by certificates: whom DPS takes, and what it says to the others.

The words are those that were seen of Azure: see presented.py.
"""

from collections.abc import Sequence

import pytest

from firstlight.emulator.dps.service import Request
from tests.certificates import Issued, make_ca, make_leaf, make_root
from tests.emulator.dps.fleet import (
    ALONE,
    BATCH,
    INVALID,
    LEAF,
    LINE,
    NO_CA,
    NO_MATCH,
    OTHER_BATCH,
    ROOT,
    START,
    STRANGER,
    UNAUTHORIZED,
    fleet,
    said,
)
from tests.emulator.dps.provisioning import SCOPE, Service, refused

# Individual enrollments.


def test_a_device_with_the_enrolled_certificate_is_assigned() -> None:
    service = Service()
    service.certified("dev-1", ALONE)
    state = service.state(service.show("dev-1", ALONE))
    assert (state["status"], state["deviceId"], state["x509"]) == ("assigned", "dev-1", {})
    assert "symmetricKey" not in state


def test_the_secondary_certificate_counts_as_the_primary() -> None:
    service = Service()
    spare = make_leaf(None, "dev-1", start=START)
    service.certified("dev-1", ALONE, spare)
    assert service.state(service.show("dev-1", spare))["status"] == "assigned"
    (device,) = service.devices()
    assert (device.auth, device.thumbprints) == ("selfSigned", (ALONE.sha256, spare.sha256))


def test_the_leaf_alone_proves_an_individual_device() -> None:
    service = Service()
    service.certified("dev-1", LEAF)
    assert service.register(service.show("dev-1", [LEAF])).status == 202


def test_a_signed_leaf_must_lead_to_a_verified_ca_if_the_rule_says_so() -> None:
    service = Service(individual_chain="verified")
    service.certified("dev-1", LEAF)
    service.certified("dev-2", own := make_leaf(None, "dev-2", start=START))
    assert service.register(service.show("dev-2", own)).status == 202
    assert said(service, service.show("dev-1", LEAF))[:2] == (401002, NO_CA)
    service.ca("root", ROOT)
    assert said(service, service.show("dev-1", [LEAF]))[:2] == (401002, NO_CA)
    assert service.register(service.show("dev-1", LEAF)).status == 202


def test_another_certificate_is_refused() -> None:
    service = Service()
    service.certified("dev-1", ALONE)
    again = make_leaf(None, "dev-1", start=START, key=ALONE.key)
    for other in (make_leaf(None, "dev-1", start=START), LEAF, again):
        code, message, why = said(service, service.show("dev-1", other))
        assert (code, message) == (401002, INVALID)
        assert "not the enrolled certificate" in why


@pytest.mark.parametrize(
    ("since_days", "days", "word"), [(-9, -1, "expired"), (1, 9, "not valid")]
)
def test_an_enrolled_certificate_counts_in_its_time_alone(
    since_days: float, days: float, word: str
) -> None:
    service = Service()
    leaf = make_leaf(None, "dev-1", start=START, since_days=since_days, days=days)
    service.certified("dev-1", leaf)
    code, message, why = said(service, service.show("dev-1", leaf))
    assert (code, message) == (401002, INVALID)
    assert word in why


def test_a_device_that_shows_nothing_is_refused() -> None:
    service = Service()
    service.certified("dev-1", ALONE)
    code, message, why = said(service, Request(SCOPE, "dev-1", ""))
    assert (code, message) == (401002, UNAUTHORIZED)
    assert "no certificate was presented" in why
    key = service.device("dev-2").keys.primary_b64
    assert said(service, service.ask("dev-1", key))[:2] == (401002, UNAUTHORIZED)


def test_a_common_name_is_the_registration_id_in_any_case() -> None:
    service = fleet()
    loud = make_leaf(BATCH, "DEV-9", start=START)
    assert service.state(service.show("dev-9", loud))["deviceId"] == "dev-9"
    assert service.state(service.show("Dev-9", loud))["deviceId"] == "dev-9"


@pytest.mark.parametrize("name", ["dev-2", "", None])
def test_another_common_name_is_refused(name: str | None) -> None:
    service = fleet()
    leaf = make_leaf(BATCH, name or None, start=START)
    service.certified("dev-3", leaf)
    for id in ("dev-1", "dev-3"):
        code, message, why = said(service, service.show(id, leaf))
        assert (code, message) == (401002, UNAUTHORIZED)
        assert "another common name" in why


def test_a_key_does_not_prove_a_certificate_nor_a_certificate_a_key() -> None:
    service = Service()
    keyed = service.device("dev-1")
    service.certified("dev-2", own := make_leaf(None, "dev-2", start=START))
    assert refused(service.register(service.show("dev-1", ALONE))) == (401, 401000)
    with_both = Request(SCOPE, "dev-1", service.own(keyed).token, chain=ALONE.chain_ders)
    assert service.register(with_both).status == 202
    wrong = Request(SCOPE, "dev-2", service.own(keyed).token)
    assert refused(service.register(wrong)) == (401, 401002)
    beside = Request(SCOPE, "dev-2", "nonsense", chain=own.chain_ders)
    assert service.register(beside).status == 202


def test_a_disabled_device_is_told_so_if_it_is_the_one() -> None:
    service = Service()
    service.certified("dev-1", ALONE, provisioningStatus="disabled")
    answer = service.register(service.show("dev-1", ALONE))
    assert (answer.status, answer.document["status"]) == (200, "disabled")
    assert refused(service.register(service.show("dev-1", LEAF))) == (401, 401002)


# Groups.


def test_a_batchs_device_is_assigned_by_the_chain_that_it_sends() -> None:
    service = fleet()
    state = service.state(service.show("dev-1", LEAF))
    assert (state["status"], state["x509"]) == ("assigned", {"enrollmentGroupId": "batch-1"})
    (device,) = service.devices()
    assert device.auth == "selfSigned"
    assert device.thumbprints == (LEAF.sha256, LEAF.sha256)


def test_the_root_may_be_sent_and_need_not() -> None:
    service = fleet()
    assert service.register(service.show("dev-1", [LEAF, BATCH])).status == 202
    assert service.register(service.show("dev-1", [LEAF, BATCH, ROOT])).status == 202


def test_a_group_may_be_a_roots_by_certificate_or_by_name() -> None:
    for group in (
        {"x509": {"signingCertificates": {"primary": {"certificate": ROOT.pem}}}},
        {"x509": {"caReferences": {"primary": "Root"}}},
    ):
        service = Service()
        service.ca("root", ROOT)
        service.group("all", attestation=group | {"type": "x509"})
        for leaf in (LEAF, make_leaf(ROOT, "dev-2", start=START)):
            id = str(leaf.certificate.subject.rfc4514_string()).removeprefix("CN=")
            state = service.state(service.show(id, leaf))
            assert state["x509"] == {"enrollmentGroupId": "all"}


def test_a_groups_secondary_certificate_counts_as_the_primary() -> None:
    service = Service()
    service.ca("root", ROOT)
    service.signed("batches", OTHER_BATCH, BATCH)
    assert service.state(service.show("dev-1", LEAF))["status"] == "assigned"


def test_a_verified_intermediate_needs_no_root() -> None:
    service = Service()
    service.ca("batch", BATCH)
    service.signed("batch-1", BATCH)
    assert service.register(service.show("dev-1", [LEAF])).status == 202


def test_a_chain_of_more_intermediates_is_followed() -> None:
    service = fleet()
    deep = make_leaf(LINE, "dev-1", start=START)
    state = service.state(service.show("dev-1", deep))
    assert state["x509"] == {"enrollmentGroupId": "batch-1"}


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ([LEAF], NO_CA),
        ([make_leaf(LINE, "dev-1", start=START), LINE], NO_CA),
        ([make_leaf(LINE, "dev-1", start=START), BATCH], NO_CA),
        ([make_leaf(LINE, "dev-1", start=START), BATCH, LINE], NO_CA),
        ([make_leaf(STRANGER, "dev-1", start=START), STRANGER], NO_CA),
        ([make_leaf(None, "dev-1", start=START)], NO_CA),
        ([make_leaf(make_root(start=START), "dev-1", start=START)], INVALID),
        ([make_leaf(BATCH, "dev-1", start=START, days=-0.5), BATCH], INVALID),
        ([make_leaf(BATCH, "dev-1", start=START, since_days=1), BATCH], INVALID),
        ([make_leaf(OTHER_BATCH, "dev-1", start=START), OTHER_BATCH], NO_MATCH),
        ([make_leaf(ROOT, "dev-1", start=START)], NO_MATCH),
        ([LEAF, make_leaf(BATCH, "dev-2", start=START)], NO_CA),
    ],
    ids=[
        "the leaf alone", "cut", "with a gap", "out of order", "an unknown root", "self-signed",
        "a root's name", "expired", "not valid yet", "another batch", "the root's own leaf",
        "a leaf behind",
    ],
)  # fmt: skip
def test_a_chain_that_proves_nothing_is_401002(sent: Sequence[Issued], message: str) -> None:
    code, told, why = said(fleet(), fleet().show("dev-1", sent))
    assert (code, told) == (401002, message)
    assert "CN=" in why


def test_certificates_that_cannot_be_read_are_401002() -> None:
    service = fleet()
    for chain in ((b"no DER",), (LEAF.der, b"no DER"), (LEAF.der,) * 11):
        request = Request(SCOPE, "dev-1", "", chain=chain)
        assert said(service, request)[:2] == (401002, INVALID)


def test_a_ca_must_be_verified() -> None:
    service = Service()
    service.ca("root", ROOT, verified=False)
    service.signed("batch-1", BATCH)
    for sent in ([LEAF, BATCH], [LEAF, BATCH, ROOT]):
        code, message, why = said(service, service.show("dev-1", sent))
        assert (code, message) == (401002, NO_CA)
        assert "leads to CN=Test Root, which is not verified here" in why
    service.store.authorities.delete("dps", "root")
    why = said(service, service.show("dev-1", LEAF))[2]
    assert "CN=Batch 1 is not followed by its issuer, CN=Test Root, which is not known" in why
    service.ca("root", ROOT)
    assert service.register(service.show("dev-1", LEAF)).status == 202


def test_a_ca_that_went_away_is_not_found() -> None:
    service = Service()
    service.ca("root", ROOT)
    reference = {"type": "x509", "x509": {"caReferences": {"primary": "root"}}}
    service.group("all", attestation=reference)
    request = service.show("dev-1", LEAF)
    assert service.register(request).status == 202
    service.store.authorities.delete("dps", "root")
    assert said(service, request)[:2] == (401002, NO_CA)


def test_an_expired_ca_signs_for_nobody() -> None:
    service = fleet()
    old = make_ca(ROOT, "Old batch", start=START, since_days=-9, days=-1)
    service.signed("old", old)
    code, message, why = said(service, service.show("dev-1", make_leaf(old, "dev-1", start=START)))
    assert (code, message) == (401002, INVALID)
    assert "CN=Old batch has expired" in why
    service.now_at += 400 * 86_400
    later = make_leaf(BATCH, "dev-1", start=START, days=500)
    assert "CN=Batch 1 has expired" in said(service, service.show("dev-1", later))[2]


def test_a_device_cannot_sign_for_another() -> None:
    service = fleet()
    forged = make_leaf(LEAF, "dev-2", start=START)
    code, message, why = said(service, service.show("dev-2", [forged, LEAF, BATCH]))
    assert (code, message) == (401002, INVALID)
    assert "CN=dev-1 signed a certificate and is no CA" in why


def test_the_cas_own_certificate_proves_no_device() -> None:
    service = fleet()
    service.signed("all", ROOT)
    root = make_root("dev-1", start=START)
    service.ca("own", root)
    assert said(service, service.show("dev-1", [root]))[:2] == (401002, NO_MATCH)


def test_the_nearest_group_counts_enabled_or_not() -> None:
    service = fleet()
    service.signed("all", ROOT)
    state = service.state(service.show("dev-1", LEAF))
    assert state["x509"] == {"enrollmentGroupId": "batch-1"}
    other = make_leaf(OTHER_BATCH, "dev-2", start=START)
    state = service.state(service.show("dev-2", other))
    assert state["x509"] == {"enrollmentGroupId": "all"}
    service.signed("batch-1", BATCH, provisioningStatus="disabled")
    answer = service.register(service.show("dev-1", LEAF))
    assert (answer.status, answer.document["status"]) == (200, "disabled")
    service.store.groups.remove("batch-1")
    state = service.state(service.show("dev-1", LEAF))
    assert state["x509"] == {"enrollmentGroupId": "all"}


def test_a_group_above_the_verified_ca_is_not_reached() -> None:
    service = Service()
    service.ca("batch", BATCH)
    service.signed("all", ROOT)
    assert said(service, service.show("dev-1", [LEAF, BATCH, ROOT]))[:2] == (401002, NO_MATCH)
    service.ca("root", ROOT)
    assert service.register(service.show("dev-1", [LEAF])).status == 202


def test_one_device_of_a_group_is_disallowed_and_enrolled_again() -> None:
    service = fleet()
    one = service.show("dev-1", LEAF)
    other = service.show("dev-2", make_leaf(BATCH, "dev-2", start=START))
    assert service.state(one)["status"] == service.state(other)["status"] == "assigned"
    service.certified("dev-1", LEAF, provisioningStatus="disabled")
    for ask in (service.register, lambda asked: service.dps.lookup(asked, service.now_at)):
        answer = ask(one)
        assert (answer.status, answer.document["status"]) == (200, "disabled")
    assert service.register(other).status == 202
    service.store.individuals.remove("dev-1")
    state = service.state(one)
    assert (state["status"], state["x509"]) == ("assigned", {"enrollmentGroupId": "batch-1"})


def test_an_individual_enrollment_never_falls_through_to_the_group() -> None:
    service = fleet()
    service.certified("dev-1", ALONE)
    assert said(service, service.show("dev-1", LEAF))[:2] == (401002, INVALID)


def test_where_no_group_has_certificates_a_chain_leads_nowhere() -> None:
    service = Service()
    assert refused(service.register(service.show("dev-1", LEAF))) == (404, 404201)
    service.group()
    assert said(service, service.show("dev-1", LEAF))[:2] == (401002, NO_CA)


def test_a_group_of_certificates_alone_wants_a_certificate() -> None:
    service = fleet()
    key = Service().device("dev-1").keys.primary_b64
    for request in (Request(SCOPE, "dev-1", ""), service.ask("dev-1", key)):
        code, message, why = said(service, request)
        assert (code, message) == (401002, UNAUTHORIZED)
        assert "no certificate was presented" in why
