"""Microsoft's Node service SDK for DPS makes, reads and replaces enrollments with certificates."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from firstlight.emulator.running import RunningAzure
from tests.certificates import Issued, make_ca, make_leaf, make_root
from tests.interop.nodes import NodeError, NodeScript

Do = Callable[..., Any]
ROOT = make_root()
BATCH = make_ca(ROOT, "Batch 1")


@pytest.fixture(scope="module")
def dps(azure: RunningAzure, port_443: None, node_program: str) -> Iterator[Do]:
    """The SDK's client; its methods by their own names."""
    script = NodeScript(node_program, "service.js", azure.root_pem)
    script.do("dps", connectionString=azure.connection_string)
    yield lambda method, *args: script.do("call", part="dps", method=method, args=list(args))
    script.end()


def attested(form: str, *certificates: Issued) -> dict[str, Any]:
    pair = dict(zip(("primary", "secondary"), certificates, strict=False))
    shown = {name: {"certificate": one.pem} for name, one in pair.items()}
    return {"type": "x509", "x509": {form: shown}}


def referring(id: str, ca: str) -> dict[str, Any]:
    attestation = {"type": "x509", "x509": {"caReferences": {"primary": ca}}}
    return {"enrollmentGroupId": id, "attestation": attestation}


def test_a_device_is_enrolled_by_its_leaf_which_is_then_replaced(dps: Do) -> None:
    old, new = make_leaf(None, "node-1"), make_leaf(None, "node-1")
    wish = {"registrationId": "node-1", "attestation": attested("clientCertificates", old)}
    made = dps("createOrUpdateIndividualEnrollment", wish)
    pair = made["attestation"]["x509"]["clientCertificates"]
    assert pair["primary"]["info"]["sha256Thumbprint"] == old.sha256
    assert pair["primary"]["info"]["sha1Thumbprint"] == old.sha1
    pair["secondary"] = {"certificate": new.pem}  # beside what the service has shown
    dps("createOrUpdateIndividualEnrollment", made)
    found = dps("getIndividualEnrollment", "node-1")["attestation"]["x509"]["clientCertificates"]
    prints = [found[name]["info"]["sha256Thumbprint"] for name in ("primary", "secondary")]
    assert prints == [old.sha256, new.sha256]
    dps("deleteIndividualEnrollment", "node-1")


def test_a_group_is_enrolled_by_its_ca_and_by_a_cas_name(dps: Do, azure: RunningAzure) -> None:
    azure.add_ca("root", ROOT.pem)
    signing = attested("signingCertificates", BATCH)
    made = dps(
        "createOrUpdateEnrollmentGroup", {"enrollmentGroupId": "batch", "attestation": signing}
    )
    shown = made["attestation"]["x509"]["signingCertificates"]["primary"]
    assert (shown["info"]["subjectName"], shown["info"]["version"]) == ("CN=Batch 1", 3)
    named = dps("createOrUpdateEnrollmentGroup", referring("all", "root"))
    assert named["attestation"]["x509"]["caReferences"]["primary"] == "root"
    with pytest.raises(NodeError) as caught:
        dps("createOrUpdateEnrollmentGroup", referring("none", "nobody"))
    assert caught.value.status == 400


def test_enrollments_are_made_in_bulk(dps: Do) -> None:
    enrollments = [
        {
            "registrationId": id,
            "attestation": attested("clientCertificates", make_leaf(None, id)),
        }
        for id in ("bulk-1", "bulk-2")
    ]
    done = dps("runBulkEnrollmentOperation", {"mode": "create", "enrollments": enrollments})
    assert done["isSuccessful"] is True
    assert dps("getIndividualEnrollment", "bulk-2")["attestation"]["type"] == "x509"
