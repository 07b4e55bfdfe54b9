"""`firstlight enroll` beside Microsoft's own SDKs: what one writes the other reads, and obeys."""

from pathlib import Path
from typing import Any

import pytest
from azure.iot.device import exceptions as sdk_errors

from firstlight import access, attesting, batch, keys
from firstlight.azure import Service, individual, parse_connection
from firstlight.emulator.running import RunningAzure
from firstlight.errors import ServiceError
from tests.certificates import make_ca, make_leaf, make_root
from tests.interop.nodes import NodeScript
from tests.interop.papers import written
from tests.interop.test_azure_iot_device import register
from tests.interop.test_x509_sdks import register as register_by_certificate

pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning"
)
GROUP_B64 = "YSBrZXkgZnJvbSB3aGljaCB0byBkZXJpdmUgb3RoZXJz"


@pytest.fixture
def service(azure: RunningAzure) -> Service:
    return Service(parse_connection(azure.connection_string), azure.root_pem)


def test_a_revoked_unit_is_refused_while_the_others_of_its_group_register(
    azure: RunningAzure, service: Service
) -> None:
    group = azure.enroll_group("line-1", {"attestation": {"type": "symmetricKey"}})
    first, second = (azure.device_key(name, group) for name in ("unit-1", "unit-2"))
    access.revoke(service, "unit-1")
    with pytest.raises(sdk_errors.ClientError):
        register(azure, "unit-1", first)
    assert register(azure, "unit-2", second).status == "assigned"
    access.switch(service, "enrollments", "unit-1", True)
    assert register(azure, "unit-1", first).status == "assigned"


def test_a_unit_of_a_group_by_certificate_is_revoked_without_its_certificate(
    azure: RunningAzure, service: Service, tmp_path: Path
) -> None:
    root = make_root("Enrolling Root")
    batch = make_ca(root, "Enrolling Batch")
    (tmp_path / "batch.pem").write_text(batch.pem)
    azure.add_ca("enrolling", root.pem)
    by = attesting.of_group(tmp_path / "batch.pem", None)
    service.create("enrollmentGroups", "by-ca", {"enrollmentGroupId": "by-ca", "attestation": by})
    papers = written(tmp_path, make_leaf(batch, "unit-x"))
    access.revoke(service, "unit-x")
    with pytest.raises(sdk_errors.ClientError):
        register_by_certificate(azure, "unit-x", papers, "mqtt")
    access.switch(service, "enrollments", "unit-x", True)
    assert register_by_certificate(azure, "unit-x", papers, "mqtt").status == "assigned"


def test_the_service_sdk_changes_an_enrollment_by_certificate_and_it_is_kept(
    azure: RunningAzure, service: Service, port_443: None, node_program: str, tmp_path: Path
) -> None:
    leaf = make_leaf(None, "by-leaf")
    (tmp_path / "leaf.pem").write_text(leaf.pem)
    by = attesting.of_device("by-leaf", tmp_path / "leaf.pem", None)
    service.create("enrollments", "by-leaf", {"registrationId": "by-leaf", "attestation": by})
    sdk = NodeScript(node_program, "service.js", azure.root_pem)
    try:
        sdk.do("dps", connectionString=azure.connection_string)

        def call(method: str, *args: Any) -> Any:
            return sdk.do("call", part="dps", method=method, args=list(args))

        found = call("getIndividualEnrollment", "by-leaf")
        call("createOrUpdateIndividualEnrollment", found | {"deviceId": "pump-8"})
        access.switch(service, "enrollments", "by-leaf", False)
        after = call("getIndividualEnrollment", "by-leaf")
    finally:
        sdk.end()
    assert (after["deviceId"], after["provisioningStatus"]) == ("pump-8", "disabled")
    assert attesting.facts(after["attestation"])[:2] == ("CN=by-leaf", leaf.sha256)


def test_the_service_sdk_reads_a_batch_and_its_changes_are_not_lost(
    azure: RunningAzure, service: Service, port_443: None, node_program: str
) -> None:
    names = [f"batch-{n}" for n in range(11)]
    documents = (individual(name, keys.derive(GROUP_B64, name), {}) for name in names)
    batch.enroll(service, documents, lambda *_: None, lambda _: None)
    mine = service.find("enrollments", "batch-7")
    assert mine is not None
    sdk = NodeScript(node_program, "service.js", azure.root_pem)
    try:
        sdk.do("dps", connectionString=azure.connection_string)

        def call(method: str, *args: Any) -> Any:
            return sdk.do("call", part="dps", method=method, args=list(args))

        found = call("getIndividualEnrollment", "batch-7")
        pair = call("getIndividualEnrollmentAttestationMechanism", "batch-7")["symmetricKey"]
        assert pair["primaryKey"] == keys.derive(GROUP_B64, "batch-7")
        call("createOrUpdateIndividualEnrollment", found | {"deviceId": "pump-7"})
        with pytest.raises(ServiceError, match="changed by somebody else"):
            service.replace("enrollments", "batch-7", mine)
        access.switch(service, "enrollments", "batch-7", False)
        after = call("getIndividualEnrollment", "batch-7")
        assert (after["deviceId"], after["provisioningStatus"]) == ("pump-7", "disabled")
        assert (
            pair == call("getIndividualEnrollmentAttestationMechanism", "batch-7")["symmetricKey"]
        )
    finally:
        sdk.end()
