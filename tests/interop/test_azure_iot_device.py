"""Microsoft's own Python device SDK against the local Azure: it cannot tell the difference.

The SDK knows only ports 8883 and 443: places.py gives each test an address where these are ours.
What a device does at its hub is test_python_hub.py's.
"""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from azure.iot.device import (
    IoTHubDeviceClient,
    Message,
    ProvisioningDeviceClient,
)
from azure.iot.device import exceptions as sdk_errors

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import DPS_NAME, Settings
from tests.interop.places import PATIENCE_S, derived, own_address, settings_at

# What the SDK itself does (its own ssl.PROTOCOL_TLSv1_2); nothing of ours is let off.
pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning"
)
_IDS = (f"sdk-{number}" for number in itertools.count(1))


@pytest.fixture
def id() -> str:
    """A registration id of the test's own."""
    return next(_IDS)


def register(
    azure: RunningAzure,
    registration_id: str,
    key: str,
    websockets: bool = False,
    host: str | None = None,
) -> Any:
    client = ProvisioningDeviceClient.create_from_symmetric_key(
        host or azure.host,
        registration_id,
        azure.id_scope,
        key,
        server_verification_cert=azure.root_pem.read_text(),
        websockets=websockets,
    )
    client.provisioning_payload = {"model": "test"}
    try:
        return client.register()
    except sdk_errors.ClientError:
        end(client)
        raise


def client_of(azure: RunningAzure, result: Any, key: str) -> IoTHubDeviceClient:
    """A client of the hub that DPS named."""
    state = result.registration_state
    return IoTHubDeviceClient.create_from_symmetric_key(
        key,
        state.assigned_hub,
        state.device_id,
        server_verification_cert=azure.root_pem.read_text(),
    )


def end(client: ProvisioningDeviceClient) -> None:
    """End a client whose registration failed: the SDK does so only after a success."""
    done = threading.Event()
    client._pipeline.shutdown(callback=lambda **_: done.set())  # type: ignore[no-untyped-call]
    assert done.wait(PATIENCE_S)


def test_it_registers_with_an_individual_key_and_sends_a_message(azure: RunningAzure) -> None:
    key = azure.enroll_device("sdk-one").keys.primary_b64
    result = register(azure, "sdk-one", key)
    assert (result.status, result.registration_state.sub_status) == (
        "assigned",
        "initialAssignment",
    )
    hub = client_of(azure, result, key)
    try:
        hub.connect()
        message = Message(  # type: ignore[no-untyped-call]
            '{"t": 21}', content_encoding="utf-8", content_type="application/json"
        )
        message.custom_properties["alarm"] = "yes & no"
        hub.send_message(message)
        found = azure.wait_for_telemetry(1, "sdk-one")[0]
    finally:
        hub.shutdown()
    assert found.body == b'{"t": 21}'
    assert found.properties == {"alarm": "yes & no"}
    assert found.system_properties == {
        "content-type": "application/json",
        "content-encoding": "utf-8",
    }


def test_it_registers_with_a_key_derived_from_a_groups_secondary_key(azure: RunningAzure) -> None:
    group = azure.enroll_group("fleet")
    key = derived(group.keys.secondary_b64, "sdk-two")
    result = register(azure, "sdk-two", key)
    assert result.status == "assigned"
    assert result.registration_state.device_id == "sdk-two"
    assert result.registration_state.assigned_hub == azure.host


def refusal(azure: RunningAzure, registration_id: str, key: str) -> str:
    """Why the SDK says that it could not register."""
    with pytest.raises(sdk_errors.ClientError) as caught:
        register(azure, registration_id, key)
    assert isinstance(caught.value.__cause__, sdk_errors.ServiceError)
    return str(caught.value.__cause__)


def test_it_reports_a_wrong_key_as_a_service_error_401(azure: RunningAzure) -> None:
    group = azure.enroll_group("fleet")
    key = derived(group.keys.primary_b64, "another")
    assert "status code 401" in refusal(azure, "sdk-three", key)


def test_it_reports_a_disabled_enrollment(azure: RunningAzure) -> None:
    enrollment = azure.enroll_device("sdk-four", {"provisioningStatus": "disabled"})
    said = refusal(azure, "sdk-four", enrollment.keys.primary_b64)
    assert "registration status disabled with a status code of 200" in said


def test_it_reports_an_assignment_that_failed(azure: RunningAzure) -> None:
    enrollment = azure.enroll_device("sdk-six", {"iotHubs": ["elsewhere"]})
    said = refusal(azure, "sdk-six", enrollment.keys.primary_b64)
    assert "failed registration status" in said


def test_the_hub_refuses_its_wrong_key(azure: RunningAzure) -> None:
    key = azure.enroll_device("sdk-five").keys.primary_b64
    assert register(azure, "sdk-five", key).status == "assigned"
    hub = IoTHubDeviceClient.create_from_symmetric_key(
        derived(key, "wrong"),
        azure.host,
        "sdk-five",
        server_verification_cert=azure.root_pem.read_text(),
        connection_retry=False,
    )
    try:
        with pytest.raises(sdk_errors.CredentialError):
            hub.connect()
    finally:
        hub.shutdown()


def test_it_registers_over_websocket(azure: RunningAzure, port_443: None, id: str) -> None:
    key = azure.enroll_device(id).keys.primary_b64
    result = register(azure, id, key, websockets=True)
    assert (result.status, result.registration_state.device_id) == ("assigned", id)


@pytest.fixture
def two_hubs() -> Iterator[RunningAzure]:
    """DPS and two hubs, each at an address of its own that is its name."""
    host, other = own_address(), own_address()
    with running_azure(settings_at(host, hubs=(host, other))) as running:
        yield running


def send_from(azure: RunningAzure, result: Any, key: str, body: str) -> None:
    """Go where DPS says, and send."""
    hub = client_of(azure, result, key)
    try:
        hub.connect()
        hub.send_message(body)
    finally:
        hub.shutdown()


def test_a_device_follows_its_enrollment_to_another_hub(two_hubs: RunningAzure, id: str) -> None:
    azure = two_hubs
    first, second = azure.call(lambda local: list(local.hubs))
    enrollment = azure.enroll_device(id, {"iotHubs": [first]})
    key = enrollment.keys.primary_b64
    result = register(azure, id, key)
    assert result.registration_state.assigned_hub == first
    send_from(azure, result, key, "from the first")
    azure.enroll_device(id, {"iotHubs": [second]})
    result = register(azure, id, key)
    state = result.registration_state
    assert (state.assigned_hub, state.sub_status) == (second, "deviceDataMigrated")
    send_from(azure, result, key, "from the second")
    found = [(message.hub, message.body) for message in azure.wait_for_telemetry(2, id)]
    assert found == [(first, b"from the first"), (second, b"from the second")]


def test_under_azures_own_names_on_free_ports_it_finds_each_hub(id: str) -> None:
    hubs = ("hub-one.azure-devices.net", "hub-two.azure-devices.net")
    settings = Settings(mqtt_port=0, https_port=0, hubs=hubs, retry_after_s=0)
    with running_azure(settings) as azure, azure.redirected():
        for number, hub in enumerate(hubs):
            enrollment = azure.enroll_device(f"{id}-{number}", {"iotHubs": [hub]})
            key = enrollment.keys.primary_b64
            result = register(azure, f"{id}-{number}", key, bool(number), host=DPS_NAME)
            assert result.registration_state.assigned_hub == hub
            send_from(azure, result, key, hub)
            (found,) = azure.wait_for_telemetry(1, f"{id}-{number}")
            assert (found.hub, found.body.decode()) == (hub, hub)
