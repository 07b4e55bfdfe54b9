"""Microsoft's Python service SDK of IoT Hub against a hub: every call of it that speaks HTTPS.

Devices, bulk, statistics, queries page by page, twins with their etags, a method for a device
that is away, refusals. `send_c2d_message` is AMQP, which no part of this machine speaks.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import (
    AuthenticationMechanism,
    CloudToDeviceMethod,
    Device,
    ExportImportDevice,
    QuerySpecification,
    SymmetricKey,
    Twin,
    TwinProperties,
)
from azure.iot.hub.protocol.models import X509Thumbprint
from msrest.exceptions import HttpOperationError

from firstlight.emulator.running import RunningAzure, running_azure
from tests.interop.places import hub_connection_string, own_address, send_c2d, settings_at

KEYS = ("cHJpbWFyeS1rZXktb2YtYS1kZXZpY2U=", "c2Vjb25kYXJ5LWtleS1vZi1hLWRldmljZQ==")
_numbers = itertools.count(1)


@pytest.fixture
def manager(azure: RunningAzure, monkeypatch: pytest.MonkeyPatch) -> IoTHubRegistryManager:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(azure.root_pem))
    return IoTHubRegistryManager.from_connection_string(hub_connection_string(azure))


@pytest.fixture
def id(manager: IoTHubRegistryManager) -> str:
    """A device of the hub."""
    name = f"service:{next(_numbers)}"
    manager.create_device_with_sas(name, *KEYS, "enabled")
    return name


def refused(call: Any, *args: Any) -> int:
    """The status that a call of the SDK fails with."""
    with pytest.raises(HttpOperationError) as caught:
        call(*args)
    return int(caught.value.response.status_code)


def test_a_device_is_created_read_updated_and_deleted(manager: IoTHubRegistryManager) -> None:
    made = manager.create_device_with_sas("svc-1", *KEYS, "disabled", status_reason="in stock")
    assert made.authentication.type == "sas"
    assert made.authentication.symmetric_key.primary_key == KEYS[0]
    assert (made.status, made.status_reason) == ("disabled", "in stock")
    assert (made.connection_state, made.cloud_to_device_message_count) == ("Disconnected", 0)
    assert made.generation_id
    assert made.etag
    found = manager.get_device("svc-1")
    assert found.as_dict() == made.as_dict()
    other = KEYS[1], KEYS[0]
    changed = manager.update_device_with_sas("svc-1", made.etag, *other, "enabled")
    assert changed.authentication.symmetric_key.primary_key == KEYS[1]
    assert (changed.status, changed.generation_id) == ("enabled", made.generation_id)
    assert changed.etag != made.etag
    assert refused(manager.update_device_with_sas, "svc-1", made.etag, *KEYS, "enabled") == 412
    assert refused(manager.delete_device, "svc-1", made.etag) == 412
    manager.delete_device("svc-1", changed.etag)
    assert refused(manager.get_device, "svc-1") == 404


def test_keys_that_are_not_given_are_made(manager: IoTHubRegistryManager) -> None:
    made = manager.create_device_with_sas("svc-no-keys", None, None, "enabled")
    pair = made.authentication.symmetric_key
    assert pair.primary_key
    assert pair.secondary_key
    assert pair.primary_key != pair.secondary_key


def test_a_device_is_not_created_twice(manager: IoTHubRegistryManager, id: str) -> None:
    assert refused(manager.create_device_with_sas, id, *KEYS, "enabled") == 409


def test_a_device_of_another_attestation_is_kept_and_shown(manager: IoTHubRegistryManager) -> None:
    prints = ("a" * 40, "b" * 40)
    made = manager.create_device_with_x509("svc-x509", *prints, "enabled")
    assert made.authentication.type == "selfSigned"
    found: X509Thumbprint = manager.get_device("svc-x509").authentication.x509_thumbprint
    assert (found.primary_thumbprint.lower(), found.secondary_thumbprint.lower()) == prints
    made = manager.create_device_with_certificate_authority("svc-ca", "enabled")
    assert made.authentication.type == "certificateAuthority"


def test_a_wrong_key_of_a_device_is_refused(manager: IoTHubRegistryManager) -> None:
    assert refused(manager.create_device_with_sas, "svc-bad", "no key", KEYS[1], "enabled") == 400
    assert refused(manager.get_device, "svc-bad") == 404


def test_devices_are_listed(manager: IoTHubRegistryManager, id: str) -> None:
    everybody = [device.device_id for device in manager.get_devices()]
    assert id in everybody
    assert len(manager.get_devices(1)) == 1


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[IoTHubRegistryManager]:
    """A hub where nobody else has devices."""
    with running_azure(settings_at(own_address())) as azure:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(azure.root_pem))
        yield IoTHubRegistryManager.from_connection_string(hub_connection_string(azure))


def test_many_devices_come_at_once_and_are_queried_by_pages(alone: IoTHubRegistryManager) -> None:
    pair = AuthenticationMechanism(symmetric_key=SymmetricKey(), type="sas")
    devices = [
        ExportImportDevice(
            id=f"bulk-{number:03}",
            status="disabled" if number % 3 else "enabled",
            import_mode="create",
            authentication=pair,
            tags={"floor": number % 4},
        )
        for number in range(25)
    ]
    done = alone.bulk_create_or_update_devices(devices)
    assert (done.is_successful, done.errors) == (True, [])
    counts = alone.get_device_registry_statistics()
    assert (counts.total_device_count, counts.enabled_device_count) == (25, 9)
    assert counts.disabled_device_count == 16
    assert alone.get_service_statistics().connected_device_count == 0

    query = QuerySpecification(query="SELECT * FROM devices WHERE status = 'disabled'")
    pages: list[list[str]] = []
    token = None
    while token is not None or not pages:
        result = alone.query_iot_hub(query, token, 10)
        pages.append([twin.device_id for twin in result.items])
        token = result.continuation_token
        assert result.type.lower() == "twin"
    assert [len(page) for page in pages] == [10, 6]
    found = sorted(itertools.chain(*pages))
    assert found == [f"bulk-{number:03}" for number in range(25) if number % 3]

    query.query = "SELECT * FROM devices WHERE tags.floor = 2 AND status = 'enabled'"
    found = [twin.device_id for twin in alone.query_iot_hub(query).items]
    assert found == ["bulk-006", "bulk-018"]
    again = alone.bulk_create_or_update_devices(devices[:1])
    assert not again.is_successful
    assert again.errors[0].device_id == "bulk-000"


def test_a_query_that_is_none_is_refused(manager: IoTHubRegistryManager) -> None:
    assert refused(manager.query_iot_hub, QuerySpecification(query="DROP TABLE devices")) == 400


def test_a_twin_is_changed_and_replaced_under_its_etag(
    manager: IoTHubRegistryManager, id: str
) -> None:
    first = manager.get_twin(id)
    assert (first.device_id, first.status) == (id, "enabled")
    assert first.properties.desired["$version"] == 1
    patch = Twin(tags={"floor": 3}, properties=TwinProperties(desired={"a": {"b": 1, "c": 2}}))
    second = manager.update_twin(id, patch, first.etag)
    assert (second.tags, second.etag == first.etag) == ({"floor": 3}, False)
    assert second.properties.desired["a"] == {"b": 1, "c": 2}
    assert "$lastUpdated" in second.properties.desired["$metadata"]["a"]["b"]
    assert refused(manager.update_twin, id, patch, first.etag) == 412
    patch = Twin(tags={"floor": None}, properties=TwinProperties(desired={"a": {"b": None}}))
    third = manager.update_twin(id, patch, second.etag)
    # msrest leaves nulls of a patch out of nothing: they reach the hub, and delete.
    assert third.properties.desired["a"] == {"c": 2}
    whole = Twin(tags={"room": "12"}, properties=TwinProperties(desired={"z": True}))
    fourth = manager.replace_twin(id, whole, third.etag)
    assert fourth.tags == {"room": "12"}
    desired = fourth.properties.desired
    assert {key: desired[key] for key in desired if not key.startswith("$")} == {"z": True}
    assert desired["$version"] == 4
    assert refused(manager.get_twin, "nobody") == 404


@pytest.mark.parametrize(
    "desired",
    [{"a.b": 1}, {"$x": 1}, {"deep": {str(n): "x" * 3000 for n in range(12)}}],
    ids=["a dot", "a dollar", "too large"],
)
def test_a_twin_that_azure_would_not_take_is_refused(
    manager: IoTHubRegistryManager, id: str, desired: dict[str, Any]
) -> None:
    patch = Twin(properties=TwinProperties(desired=desired))
    assert refused(manager.update_twin, id, patch) in (400, 413)
    assert manager.get_twin(id).properties.desired["$version"] == 1


def test_a_method_of_a_device_that_is_away_is_refused(
    manager: IoTHubRegistryManager, id: str
) -> None:
    call = CloudToDeviceMethod(method_name="reboot", payload=None)
    with pytest.raises(HttpOperationError) as caught:
        manager.invoke_device_method(id, call)
    assert caught.value.response.status_code == 404
    assert "404103" in caught.value.response.text
    assert refused(manager.invoke_device_method, "nobody", call) == 404


def test_pending_messages_are_counted_and_purged(
    manager: IoTHubRegistryManager, azure: RunningAzure, id: str
) -> None:
    send_c2d(azure, id, "one")
    send_c2d(azure, id, "two")
    assert manager.get_device(id).cloud_to_device_message_count == 2
    gone = manager.protocol.cloud_to_device_messages.purge_cloud_to_device_message_queue(id)
    assert (gone.total_messages_purged, gone.device_id) == (2, id)


def test_feedback_says_what_became_of_a_message(
    manager: IoTHubRegistryManager, azure: RunningAzure, id: str
) -> None:
    send_c2d(azure, id, "lost", message_id="m-7", ack="full")
    calls = manager.protocol.cloud_to_device_messages
    assert calls.receive_feedback_notification(raw=True).response.status_code == 204
    calls.purge_cloud_to_device_message_queue(id)
    found = calls.receive_feedback_notification(raw=True).response
    (record,) = found.json()
    assert (record["originalMessageId"], record["deviceId"]) == ("m-7", id)
    assert record["statusCode"] == "Purged"
    lock = found.headers["ETag"].strip('"')
    calls.abandon_feedback_notification(lock)
    again = calls.receive_feedback_notification(raw=True).response
    assert again.json() == [record]
    calls.complete_feedback_notification(again.headers["ETag"].strip('"'))
    assert calls.receive_feedback_notification(raw=True).response.status_code == 204


def test_what_is_not_served_is_refused(manager: IoTHubRegistryManager, id: str) -> None:
    assert refused(manager.get_modules, id) >= 400
    assert refused(manager.create_module_with_sas, id, "module", "", *KEYS) >= 400


@pytest.mark.parametrize(
    ("policy", "may"),
    [
        ("iothubowner", {"read", "write", "connect"}),
        ("service", {"connect"}),
        ("registryRead", {"read"}),
        ("registryReadWrite", {"read", "write"}),
        ("device", set()),
    ],
)
def test_each_policy_may_do_what_azure_lets_it(
    azure: RunningAzure, manager: IoTHubRegistryManager, id: str, policy: str, may: set[str]
) -> None:
    text = hub_connection_string(azure, policy=policy)
    other = IoTHubRegistryManager.from_connection_string(text)
    device: Device = manager.get_device(id)
    tries: dict[str, tuple[Any, ...]] = {
        "read": (other.get_device, id),
        "write": (other.update_device_with_sas, id, device.etag, *KEYS, "enabled"),
        "connect": (other.get_twin, id),
    }
    for right, (call, *args) in tries.items():
        if right in may:
            call(*args)
        else:
            assert refused(call, *args) in (401, 403), right


def test_a_wrong_policy_key_is_unauthorized(azure: RunningAzure) -> None:
    text = hub_connection_string(azure).rpartition("SharedAccessKey=")[0]
    other = IoTHubRegistryManager.from_connection_string(f"{text}SharedAccessKey={KEYS[0]}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(azure.root_pem))
        assert refused(other.get_device, "any") == 401
