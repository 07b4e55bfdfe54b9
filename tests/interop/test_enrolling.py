"""`firstlight enroll` beside Microsoft's own SDKs: what one writes the other reads, and obeys."""

from typing import Any

import pytest
from azure.iot.device import exceptions as sdk_errors

from firstlight import access, batch, keys
from firstlight.azure import Service, individual, parse_connection
from firstlight.emulator.running import RunningAzure
from firstlight.errors import ServiceError
from tests.interop.nodes import NodeScript
from tests.interop.test_azure_iot_device import register

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
