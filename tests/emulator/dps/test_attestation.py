"""X.509 and TPM: their enrollments are checked, kept and shown; their devices are refused."""

import base64
import json
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.emulator.dps.calls import Api
from tests.emulator.dps.provisioning import Service, refused
from tests.emulator.peers import sign

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
    api = Api()
    references = {"type": "x509", "x509": {"caReferences": {"primary": "root", "secondary": "b"}}}
    shown = api.call("PUT", "/enrollmentGroups/a", {"attestation": references}).document
    assert shown["attestation"] == references
    signing = certified(PEM, "signingCertificates")
    shown = api.call("PUT", "/enrollmentGroups/b", {"attestation": signing}).document
    assert set(shown["attestation"]["x509"]) == {"signingCertificates"}
    mechanism = api.call("POST", "/enrollmentGroups/b/attestationmechanism").document
    assert mechanism == shown["attestation"]


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


@pytest.mark.parametrize(("attestation", "word"), [(certified(PEM), "X.509"), (TPM, "TPM")])
def test_a_device_that_needs_what_is_not_served_is_told_so(attestation: Any, word: str) -> None:
    service = Service()
    service.device("dev-1", attestation=attestation)
    answer = service.register(service.ask("dev-1", base64.b64encode(b"k" * 32).decode()))
    assert refused(answer) == (401, 401002)
    assert word in answer.document["message"]
    with pytest.raises(LookupError):
        _ = service.device("dev-1", attestation=attestation).keys


def test_groups_with_certificates_do_not_hide_those_with_keys() -> None:
    service = Service()
    service.group("a", attestation=certified(PEM, "signingCertificates"))
    key = base64.b64encode(b"k" * 32).decode()
    answer = service.register(service.ask("dev-1", key))
    assert "X.509" in answer.document["message"]
    group = service.group("b")
    assert service.register(service.member("dev-1", group)).status == 202
    assert refused(service.register(service.ask("dev-1", key))) == (401, 401000)
    assert sign(group.keys.primary_b64, "dev-1") == service.devices()[0].keys.primary_b64
