"""X.509 and TPM enrollments are checked, kept and shown; devices with a TPM are refused."""

import base64
import json
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from firstlight.emulator.answers import Refusal
from firstlight.emulator.dps.records import EnrollmentGroup, restored_enrollment
from firstlight.emulator.dps.store import MAX_GROUPS
from tests.certificates import make_leaf
from tests.emulator.dps.calls import Api
from tests.emulator.dps.provisioning import Service, refused

PEM = trustme.CA(organization_name="Fleet").cert_pem.bytes().decode()
DER = x509.load_pem_x509_certificate(PEM.encode()).public_bytes(Encoding.DER)
DER_B64 = base64.b64encode(DER).decode()
TPM = {"type": "tpm", "tpm": {"endorsementKey": "AAAA", "storageRootKey": "BBBB"}}


def certified(text: str, form: str = "clientCertificates") -> dict[str, Any]:
    return {"type": "x509", "x509": {form: {"primary": {"certificate": text}}}}


@pytest.mark.parametrize("text", [PEM, DER_B64, base64.b64encode(PEM.encode()).decode()])
def test_a_certificate_is_taken_in_each_form_and_shown_by_its_facts_alone(text: str) -> None:
    api = Api()
    made = api.call("PUT", "/enrollments/one", {"attestation": certified(text)})
    assert made.status == 200
    attestation = made.document["attestation"]
    assert attestation["type"] == "x509"
    primary = attestation["x509"]["clientCertificates"]["primary"]
    assert set(primary) == {"info"}
    certificate = x509.load_pem_x509_certificate(PEM.encode())
    assert int(primary["info"]["serialNumber"], 16) == certificate.serial_number
    assert "O=Fleet" in primary["info"]["subjectName"]
    assert len(primary["info"]["sha1Thumbprint"]) == 40
    assert len(primary["info"]["sha256Thumbprint"]) == 64
    assert primary["info"]["version"] == 3
    assert primary["info"]["notAfterUtc"].endswith("Z")
    again = api.call("PUT", "/enrollments/one", made.document, if_match=made.document["etag"])
    assert again.document["attestation"] == attestation
    kept = api.store.individuals.get("one")
    assert kept is not None
    assert PEM in json.dumps(kept.record()).replace("\\n", "\n")


def test_a_groups_ca_references_and_signing_certificates_are_kept() -> None:
    api = Api(any_reference=True)
    references = {"type": "x509", "x509": {"caReferences": {"primary": "root", "secondary": "b"}}}
    shown = api.call("PUT", "/enrollmentGroups/a", {"attestation": references}).document
    assert shown["attestation"] == references
    signing = certified(PEM, "signingCertificates")
    shown = api.call("PUT", "/enrollmentGroups/b", {"attestation": signing}).document
    assert set(shown["attestation"]["x509"]) == {"signingCertificates"}
    mechanism = api.call("POST", "/enrollmentGroups/b/attestationmechanism").document
    assert mechanism == shown["attestation"]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/enrollments/a", "signingCertificates"),
        ("/enrollments/a", "caReferences"),
        ("/enrollmentGroups/a", "clientCertificates"),
    ],
)
def test_a_group_has_signers_and_a_device_a_certificate_of_its_own(path: str, form: str) -> None:
    api = Api(any_reference=True)
    assert api.error("PUT", path, {"attestation": certified(PEM, form)}) == (400, 400000)


def test_a_certificate_is_in_one_enrollment_alone() -> None:
    api = Api()
    signing = certified(PEM, "signingCertificates")
    document = api.call("PUT", "/enrollmentGroups/a", {"attestation": signing}).document
    refusal = api.call("PUT", "/enrollmentGroups/b", {"attestation": signing})
    assert (refusal.status, "enrollment a already" in refusal.document["message"]) == (400, True)
    assert api.error("PUT", "/enrollments/a", {"attestation": certified(PEM)}) == (400, 400000)
    again = api.call("PUT", "/enrollmentGroups/a", document, if_match=document["etag"])
    assert again.status == 200
    assert api.call("DELETE", "/enrollmentGroups/a").status == 204
    assert api.call("PUT", "/enrollmentGroups/b", {"attestation": signing}).status == 200
    reusing = Api(certificate_reuse=True)
    for id in "ab":
        put = reusing.call("PUT", f"/enrollmentGroups/{id}", {"attestation": signing})
        assert put.status == 200


def test_one_certificate_may_be_primary_and_secondary() -> None:
    api = Api()
    twice = certified(PEM, "signingCertificates")
    pair = twice["x509"]["signingCertificates"]
    pair["secondary"] = pair["primary"]
    assert api.call("PUT", "/enrollmentGroups/a", {"attestation": twice}).status == 200


def test_the_primary_certificate_may_be_taken_out_while_there_is_a_secondary() -> None:
    """As azure-iot-cli-extension does (--remove-certificate), with what it was shown."""
    api = Api()
    both = certified(PEM, "signingCertificates")
    own = trustme.CA().cert_pem.bytes().decode()
    both["x509"]["signingCertificates"]["secondary"] = {"certificate": own}
    document = api.call("PUT", "/enrollmentGroups/a", {"attestation": both}).document
    pair = document["attestation"]["x509"]["signingCertificates"]
    pair["primary"] = None
    changed = api.call("PUT", "/enrollmentGroups/a", document, if_match=document["etag"])
    assert changed.status == 200
    left = changed.document["attestation"]["x509"]["signingCertificates"]
    assert left == {"secondary": pair["secondary"]}
    assert (
        api.call(
            "PUT", "/enrollmentGroups/b", {"attestation": certified(PEM, "signingCertificates")}
        ).status
        == 200
    )
    for nothing in ({}, {"primary": None}, {"secondary": None}):
        both["x509"]["signingCertificates"] = nothing
        assert api.error("PUT", "/enrollmentGroups/c", {"attestation": both}) == (400, 400000)


def test_a_reference_and_the_certificate_itself_are_the_same() -> None:
    api = Api()
    root = x509.load_pem_x509_certificate(PEM.encode())
    api.store.authorities.put("dps", "Root", root, True, api.now_at, api.random)
    reference = {"type": "x509", "x509": {"caReferences": {"primary": "root"}}}
    assert api.call("PUT", "/enrollmentGroups/a", {"attestation": reference}).status == 200
    signing = certified(PEM, "signingCertificates")
    assert api.error("PUT", "/enrollmentGroups/b", {"attestation": signing}) == (400, 400000)


@pytest.mark.parametrize("verified", [None, False])
def test_a_group_refers_to_verified_cas_alone(verified: bool | None) -> None:
    api = Api()
    if verified is not None:
        root = x509.load_pem_x509_certificate(PEM.encode())
        api.store.authorities.put("dps", "root", root, verified, api.now_at, api.random)
    reference = {"type": "x509", "x509": {"caReferences": {"primary": "root"}}}
    assert api.error("PUT", "/enrollmentGroups/a", {"attestation": reference}) == (400, 400000)
    assert api.store.groups.all() == []


def test_a_group_is_signed_for_by_a_ca() -> None:
    leaf = make_leaf(None, "dev-1")
    signing = certified(leaf.pem, "signingCertificates")
    assert Api().error("PUT", "/enrollmentGroups/a", {"attestation": signing}) == (400, 400000)
    lax = Api(any_signer=True)
    assert lax.call("PUT", "/enrollmentGroups/a", {"attestation": signing}).status == 200


def test_groups_with_keys_and_with_certificates_have_a_quota_each() -> None:
    service = Service()
    for number in range(MAX_GROUPS):
        service.group(f"keys-{number}")
        service.group(f"ca-{number}", attestation=reference(f"ca-{number}"))
    for more in ({}, {"attestation": reference("more")}):
        with pytest.raises(Refusal, match="quota"):
            service.group("more", **more)
    service.store.groups.remove("ca-7")
    with pytest.raises(Refusal, match="quota"):
        service.group("more")
    service.group("more", attestation=reference("more"))
    with pytest.raises(Refusal, match="quota"):
        service.group("keys-7", attestation=reference("yet another"))
    service.group("ca-8", attestation=reference("another"))


def test_the_name_of_a_credential_policy_is_kept_and_shown() -> None:
    api = Api()
    for path in ("/enrollments/a", "/enrollmentGroups/a"):
        shown = api.call("PUT", path, {"credentialPolicyName": "year"}).document
        assert shown["credentialPolicyName"] == "year"
        assert api.error("PUT", path + "b", {"credentialPolicyName": 7})[0] == 400
    kept = api.store.groups.get("a")
    assert kept is not None
    assert restored_enrollment(EnrollmentGroup, kept.record()).credential_policy == "year"


def test_a_tpms_keys_are_kept_and_shown() -> None:
    api = Api()
    assert api.call("PUT", "/enrollments/a", {"attestation": TPM}).document["attestation"] == TPM
    assert api.error("PUT", "/enrollmentGroups/a", {"attestation": TPM}) == (400, 400000)


@pytest.mark.parametrize(
    "attestation",
    [
        "x509",
        {"type": "none"},
        {"type": "x509"},
        {"type": "x509", "x509": {}},
        {"type": "x509", "x509": {"clientCertificates": {}}},
        {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": "AAAA"}}}},
        {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": "\u00e4"}}}},
        {"type": "x509", "x509": {"clientCertificates": {"primary": {"info": {}}}}},
        {"type": "x509", "x509": {"clientCertificates": {"primary": PEM}}},
        certified(PEM.replace("M", "N")),
        {"type": "x509", "x509": {"caReferences": {"primary": ""}}},
        {"type": "x509", "x509": {"caReferences": {"primary": "a"}, "signingCertificates": {}}},
        {"type": "tpm"},
        {"type": "tpm", "tpm": {"endorsementKey": "not base64"}},
        {"type": "tpm", "tpm": {"storageRootKey": "AAAA"}},
    ],
)
def test_an_attestation_that_makes_no_sense_is_400(attestation: Any) -> None:
    api = Api()
    assert api.error("PUT", "/enrollments/a", {"attestation": attestation})[0] == 400
    assert api.store.individuals.all() == []


def test_a_device_with_a_tpm_is_told_that_it_is_not_served() -> None:
    service = Service()
    service.device("dev-1", attestation=TPM)
    answer = service.register(service.ask("dev-1", base64.b64encode(b"k" * 32).decode()))
    assert refused(answer) == (401, 401002)
    assert "TPM" in answer.document["message"]
    with pytest.raises(LookupError):
        _ = service.device("dev-1", attestation=TPM).keys


def reference(name: str) -> dict[str, Any]:
    return {"type": "x509", "x509": {"caReferences": {"primary": name}}}
