"""Microsoft's Node service SDKs: azure-iot-provisioning-service and azure-iothub, over HTTPS.

Every call of theirs that is not AMQP (messages and files are) and not a job over blobs: etags,
bulk, queries page by page, the attestation mechanism, registration records, direct methods.
"""

import json
from typing import Any

import pytest

from firstlight.emulator.running import RunningAzure
from tests.interop.conftest import StartNode
from tests.interop.nodes import NodeError, NodeScript
from tests.interop.places import (
    derived,
    hub_connection_string,
    register_by_https,
)

PAIR = {
    "primaryKey": "cHJpbWFyeS1rZXktb2YtYS1kZXZpY2U=",
    "secondaryKey": "c2Vjb25kYXJ5LWtleS1vZi1hLWRldmljZQ==",
}
SYMMETRIC = {"type": "symmetricKey", "symmetricKey": PAIR}


@pytest.fixture(scope="module")
def shared(azure: RunningAzure, port_443: None, node_program: str) -> Any:
    """One process with all three clients, for the whole module."""
    script = NodeScript(node_program, "service.js", azure.root_pem)
    script.do("dps", connectionString=azure.connection_string)
    script.do("hub", connectionString=hub_connection_string(azure))
    yield script
    script.end()


class Part:
    """A client of the SDK's; its methods, called by their own names."""

    def __init__(self, script: NodeScript, part: str) -> None:
        self._script = script
        self._part = part

    def __getattr__(self, method: str) -> Any:
        return lambda *args: self._script.do(
            "call", part=self._part, method=method, args=list(args)
        )

    def pages(self, method: str, *args: Any) -> list[list[Any]]:
        """Every page of a query."""
        found: list[list[Any]] = self._script.do(
            "pages", part=self._part, method=method, args=list(args)
        )
        return found


@pytest.fixture
def dps(shared: NodeScript) -> Part:
    return Part(shared, "dps")


@pytest.fixture
def registry(shared: NodeScript) -> Part:
    return Part(shared, "registry")


def refused(call: Any, *args: Any) -> NodeError:
    with pytest.raises(NodeError) as caught:
        call(*args)
    return caught.value


def individual(id: str, **more: Any) -> dict[str, Any]:
    return {"registrationId": id, "attestation": SYMMETRIC} | more


def test_an_individual_enrollment_lives_under_its_etag(dps: Part, azure: RunningAzure) -> None:
    twin = {"tags": {"a": 1}, "properties": {"desired": {"b": 2}}}
    wish = individual("one", deviceId="device-one", initialTwin=twin, iotHubs=[azure.host])
    made = dps.createOrUpdateIndividualEnrollment(wish)
    assert (made["registrationId"], made["deviceId"]) == ("one", "device-one")
    assert made["attestation"]["type"] == "symmetricKey"
    assert made["provisioningStatus"] == "enabled"
    assert made["initialTwin"]["tags"] == {"a": 1}
    assert made["createdDateTimeUtc"]
    assert made["etag"]
    assert dps.getIndividualEnrollment("one")["etag"] == made["etag"]
    changed = dps.createOrUpdateIndividualEnrollment(made | {"provisioningStatus": "disabled"})
    assert changed["provisioningStatus"] == "disabled"
    stale = refused(dps.createOrUpdateIndividualEnrollment, made)
    assert (stale.name, stale.status) == ("InvalidEtagError", 412)
    assert refused(dps.deleteIndividualEnrollment, "one", made["etag"]).status == 412
    dps.deleteIndividualEnrollment("one", changed["etag"])
    assert refused(dps.getIndividualEnrollment, "one").status == 404


def test_keys_come_from_the_attestation_mechanism_alone(dps: Part) -> None:
    dps.createOrUpdateIndividualEnrollment(individual("keys"))
    found = dps.getIndividualEnrollmentAttestationMechanism("keys")
    assert (found["type"], found["symmetricKey"]) == ("symmetricKey", PAIR)
    dps.createOrUpdateEnrollmentGroup(
        {"enrollmentGroupId": "keys-made", "attestation": {"type": "symmetricKey"}}
    )
    made = dps.getEnrollmentGroupAttestationMechanism("keys-made")["symmetricKey"]
    assert len(made["primaryKey"]) == len(made["secondaryKey"]) == 88  # 64 bytes


def test_a_group_lives_under_its_etag(dps: Part) -> None:
    made = dps.createOrUpdateEnrollmentGroup(
        {
            "enrollmentGroupId": "group-one",
            "attestation": SYMMETRIC,
            "reprovisionPolicy": {"updateHubAssignment": True, "migrateDeviceData": False},
            "allocationPolicy": "static",
        }
    )
    assert made["reprovisionPolicy"]["migrateDeviceData"] is False
    assert made["allocationPolicy"] == "static"
    changed = dps.createOrUpdateEnrollmentGroup(made | {"allocationPolicy": "hashed"})
    assert refused(dps.createOrUpdateEnrollmentGroup, made).status == 412
    assert dps.getEnrollmentGroup("group-one")["allocationPolicy"] == "hashed"
    dps.deleteEnrollmentGroup(changed)
    assert refused(dps.getEnrollmentGroup, "group-one").status == 404


def test_enrollments_of_other_attestations_are_kept(dps: Part) -> None:
    tpm = {"type": "tpm", "tpm": {"endorsementKey": "AToAAQALAAMAsgAgg3GXZ0SEs/gAAA=="}}
    made = dps.createOrUpdateIndividualEnrollment({"registrationId": "tpm", "attestation": tpm})
    assert made["attestation"]["type"] == "tpm"


def test_ten_enrollments_at_once(dps: Part) -> None:
    some = [individual(f"bulk-{number}") for number in range(10)]
    done = dps.runBulkEnrollmentOperation({"mode": "create", "enrollments": some})
    assert (done["isSuccessful"], done.get("errors", [])) == (True, [])
    again = dps.runBulkEnrollmentOperation({"mode": "create", "enrollments": some[:2]})
    assert again["isSuccessful"] is False
    assert [error["registrationId"] for error in again["errors"]] == ["bulk-0", "bulk-1"]
    eleven = {"mode": "create", "enrollments": [individual(f"more-{n}") for n in range(11)]}
    assert refused(dps.runBulkEnrollmentOperation, eleven).status == 400
    gone = dps.runBulkEnrollmentOperation({"mode": "delete", "enrollments": some})
    assert gone["isSuccessful"] is True
    assert refused(dps.getIndividualEnrollment, "bulk-3").status == 404


def test_queries_go_page_by_page(dps: Part) -> None:
    for number in range(5):
        dps.createOrUpdateIndividualEnrollment(individual(f"page-{number}"))
        dps.createOrUpdateEnrollmentGroup(
            {"enrollmentGroupId": f"page-{number}", "attestation": SYMMETRIC}
        )
    every = {"query": "SELECT * FROM enrollments"}
    pages = dps.pages("createIndividualEnrollmentQuery", every, 2)
    assert all(len(page) <= 2 for page in pages)
    found = [document["registrationId"] for page in pages for document in page]
    assert {f"page-{number}" for number in range(5)} <= set(found)
    assert len(found) == len(set(found))
    pages = dps.pages("createEnrollmentGroupQuery", {"query": "SELECT * FROM enrollmentGroups"}, 3)
    found = [document["enrollmentGroupId"] for page in pages for document in page]
    assert {f"page-{number}" for number in range(5)} <= set(found)


def test_registration_records_are_read_queried_and_deleted(dps: Part, azure: RunningAzure) -> None:
    key = azure.enroll_group("records").keys.primary_b64
    for number in range(3):
        id = f"record-{number}"
        state = register_by_https(azure, id, derived(key, id))
        assert state["status"] == "assigned"
    found = dps.getDeviceRegistrationState("record-1")
    assert (found["registrationId"], found["assignedHub"]) == ("record-1", azure.host)
    every = {"query": "*"}
    pages = dps.pages("createEnrollmentGroupDeviceRegistrationStateQuery", every, "records", 2)
    assert [[state["registrationId"] for state in page] for page in pages] == [
        ["record-0", "record-1"],
        ["record-2"],
    ]
    assert refused(dps.deleteDeviceRegistrationState, "record-1", "AAAA").status == 412
    dps.deleteDeviceRegistrationState(found)
    assert refused(dps.getDeviceRegistrationState, "record-1").status == 404


def test_a_devices_record_is_within_its_individual_enrollment(
    dps: Part, azure: RunningAzure
) -> None:
    dps.createOrUpdateIndividualEnrollment(individual("mine"))
    register_by_https(azure, "mine", PAIR["primaryKey"])
    state = dps.getIndividualEnrollment("mine")["registrationState"]
    assert (state["status"], state["assignedHub"]) == ("assigned", azure.host)


def test_a_bad_enrollment_is_refused_with_a_reason(dps: Part) -> None:
    bad = refused(dps.createOrUpdateIndividualEnrollment, individual("not a valid id!"))
    assert bad.status == 400
    assert "errorCode" in bad.body


def test_a_device_of_a_hub_lives(registry: Part) -> None:
    made = registry.create({"deviceId": "node:1", "status": "enabled"})
    pair = made["authentication"]["symmetricKey"]
    assert pair["primaryKey"]
    assert pair["primaryKey"] != pair["secondaryKey"]
    assert refused(registry.create, {"deviceId": "node:1"}).name == "DeviceAlreadyExistsError"
    found = registry.get("node:1")
    assert found["authentication"]["symmetricKey"] == pair
    changed = registry.update(found | {"status": "disabled", "statusReason": "lost"})
    assert (changed["status"], changed["statusReason"]) == ("disabled", "lost")
    assert "node:1" in [device["deviceId"] for device in registry.list()]
    registry.delete("node:1")
    assert refused(registry.get, "node:1").name == "DeviceNotFoundError"


def test_devices_come_change_and_go_in_bulk(registry: Part) -> None:
    some = [{"deviceId": f"many-{number}", "status": "enabled"} for number in range(4)]
    assert registry.addDevices(some)["isSuccessful"] is True
    assert registry.getRegistryStatistics()["totalDeviceCount"] >= 4
    again = json.loads(refused(registry.addDevices, some).body)
    assert again["isSuccessful"] is False
    assert {error["deviceId"] for error in again["errors"]} == {s["deviceId"] for s in some}
    off = [device | {"status": "disabled"} for device in some]
    assert registry.updateDevices(off, True)["isSuccessful"] is True
    assert registry.get("many-2")["status"] == "disabled"
    assert registry.removeDevices(some, True)["isSuccessful"] is True
    assert refused(registry.get, "many-2").status == 404


def test_twins_are_patched_and_queried(registry: Part, shared: NodeScript) -> None:
    for number in range(3):
        registry.create({"deviceId": f"twin-{number}"})
        patch = {"tags": {"set": "node"}, "properties": {"desired": {"n": number}}}
        shared.do("twin", deviceId=f"twin-{number}", method="update", args=[patch])
    twin = registry.getTwin("twin-2")
    assert twin["properties"]["desired"]["n"] == 2
    stale = refused(registry.updateTwin, "twin-2", {"tags": {"x": 1}}, "AAAAAAAAAAA=")
    assert stale.status == 412
    sql = "SELECT * FROM devices WHERE tags.set = 'node' AND properties.desired.n >= 1"
    pages = registry.pages("createQuery", sql, 1)
    assert [twin["deviceId"] for page in pages for twin in page] == ["twin-1", "twin-2"]


def test_a_method_of_a_device_that_is_away_fails(registry: Part, shared: NodeScript) -> None:
    registry.create({"deviceId": "asleep"})
    call = {"methodName": "wake", "payload": {}, "responseTimeoutInSeconds": 5}
    away = refused(Part(shared, "client").invokeDeviceMethod, "asleep", call)
    assert away.status == 404
    assert "404103" in away.body


def test_a_method_of_the_node_device_sdk_is_called(
    registry: Part, shared: NodeScript, azure: RunningAzure, start_node: StartNode
) -> None:
    registry.create({"deviceId": "awake", "authentication": {"symmetricKey": PAIR}})
    device = start_node("device.js", azure)
    text = f"HostName={azure.host};DeviceId=awake;SharedAccessKey={PAIR['secondaryKey']}"
    device.do("connect", transport="mqtt", connectionString=text)
    device.do("method", name="blink", status=200, payload=[1, 2])
    call = {"methodName": "blink", "payload": "fast", "connectTimeoutInSeconds": 10}
    answer = Part(shared, "client").invokeDeviceMethod("awake", call)
    assert answer == {"status": 200, "payload": [1, 2]}
    assert device.event("method") == {"name": "blink", "payload": "fast"}
