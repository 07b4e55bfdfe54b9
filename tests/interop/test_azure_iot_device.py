"""Microsoft's own Python device SDK against the local Azure: it cannot tell the difference.

The SDK knows only port 8883, so each test binds an address of its own in 127.0.0.0/8, which needs
no root; the address is also the name of DPS and of the hub, and the certificate names it.
"""

import base64
import hashlib
import hmac
import itertools
import os
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
from firstlight.emulator.settings import Settings

# What the SDK itself does (its own ssl.PROTOCOL_TLSv1_2); nothing of ours is let off.
pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning"
)
PATIENCE_S = 10.0
_numbers = itertools.count(1)


def own_address() -> str:
    """A loopback address that no other test process uses at the same time."""
    return f"127.{os.getpid() >> 8 & 0x7F | 0x40}.{os.getpid() & 0xFF}.{next(_numbers)}"


@pytest.fixture
def azure() -> Iterator[RunningAzure]:
    address = own_address()
    with running_azure(
        Settings(host=address, mqtt_port=8883, https_port=0, hubs=(address,), retry_after_s=1)
    ) as running:
        yield running


def register(azure: RunningAzure, registration_id: str, key: str) -> Any:
    client = ProvisioningDeviceClient.create_from_symmetric_key(
        azure.host,
        registration_id,
        azure.id_scope,
        key,
        server_verification_cert=azure.root_pem.read_text(),
    )
    client.provisioning_payload = {"model": "test"}
    try:
        return client.register()
    except sdk_errors.ClientError:
        end(client)
        raise


def end(client: ProvisioningDeviceClient) -> None:
    """End a client whose registration failed: the SDK does so only after a success."""
    done = threading.Event()
    client._pipeline.shutdown(callback=lambda **_: done.set())  # type: ignore[no-untyped-call]
    assert done.wait(PATIENCE_S)


def derived(group_key: str, registration_id: str) -> str:
    raw = hmac.new(base64.b64decode(group_key), registration_id.encode(), hashlib.sha256)
    return base64.b64encode(raw.digest()).decode()


def test_it_registers_with_an_individual_key_and_sends_a_message(azure: RunningAzure) -> None:
    key = azure.enroll_device("sdk-one").keys.primary_b64
    result = register(azure, "sdk-one", key)
    assert (result.status, result.registration_state.sub_status) == (
        "assigned",
        "initialAssignment",
    )
    state = result.registration_state
    hub = IoTHubDeviceClient.create_from_symmetric_key(
        key,
        state.assigned_hub,
        state.device_id,
        server_verification_cert=azure.root_pem.read_text(),
    )
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
