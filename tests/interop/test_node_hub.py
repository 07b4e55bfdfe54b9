"""Microsoft's Node device SDK at a hub: C2D, direct methods, twins, renewal, another hub.

Over MQTT, MQTT over WebSocket, and HTTPS where the SDK offers it (telemetry and C2D alone).
"""

import itertools
import json
import queue

import pytest
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, Twin, TwinProperties

from firstlight.emulator.azure import LocalAzure
from firstlight.emulator.events import Event
from firstlight.emulator.running import RunningAzure, running_azure
from tests.interop.conftest import StartNode
from tests.interop.nodes import NodeScript
from tests.interop.places import (
    PATIENCE_S,
    hub_connection_string,
    own_address,
    send_c2d,
    settings_at,
)

KEY = "c2VjcmV0LW9mLWEtanVkZ2VzLWRldmljZQ=="
MQTT = pytest.mark.parametrize("transport", ["mqtt", "ws"])
ANY = pytest.mark.parametrize("transport", ["mqtt", "ws", "http"])
_ids = (f"node-device-{number}" for number in itertools.count(1))


@pytest.fixture
def service(azure: RunningAzure, monkeypatch: pytest.MonkeyPatch) -> IoTHubRegistryManager:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(azure.root_pem))
    return IoTHubRegistryManager.from_connection_string(hub_connection_string(azure))


@pytest.fixture
def id(service: IoTHubRegistryManager) -> str:
    """A device that the hub knows."""
    name = next(_ids)
    service.create_device_with_sas(name, KEY, KEY, "enabled")
    return name


@pytest.fixture
def device(start_node: StartNode, azure: RunningAzure) -> NodeScript:
    return start_node("device.js", azure)


def connect(
    device: NodeScript, azure: RunningAzure, id: str, transport: str, **more: object
) -> None:
    text = f"HostName={azure.host};DeviceId={id};SharedAccessKey={KEY}"
    device.do("connect", transport=transport, connectionString=text, **more)


def wait_until_subscribed(azure: RunningAzure, id: str) -> None:
    """Until the SDK has subscribed to messages, which it does behind its user's back."""

    def has(local: LocalAzure) -> bool:
        found = local.hubs[azure.host].registry.get(id)
        line = found.line if found else None
        return line is not None and line.has(f"devices/{id}/messages/devicebound/#")

    assert azure.wait_for(has, PATIENCE_S)


@ANY
def test_a_message_to_the_device_arrives_and_is_completed(
    device: NodeScript,
    azure: RunningAzure,
    service: IoTHubRegistryManager,
    id: str,
    transport: str,
) -> None:
    connect(device, azure, id, transport)
    device.do("listen", settle="complete", everyS=1)
    if transport != "http":
        wait_until_subscribed(azure, id)
    send_c2d(azure, id, "go on", {"colour": "red"}, message_id="m-1", correlation_id="c-1")
    found = device.event("message")
    assert (found["body"], found["messageId"], found["correlationId"]) == ("go on", "m-1", "c-1")
    properties = {name.removeprefix("iothub-app-"): v for name, v in found["properties"].items()}
    assert properties["colour"] == "red"
    assert device.event("settled") is None
    device.do("close")
    assert service.get_device(id).cloud_to_device_message_count == 0


def test_over_https_an_abandoned_message_comes_again(
    port_443: None,
    device: NodeScript,
    azure: RunningAzure,
    service: IoTHubRegistryManager,
    id: str,
) -> None:
    connect(device, azure, id, "http")
    device.do("listen", settle="abandon", everyS=1)
    send_c2d(azure, id, "again and again", ack="full")
    assert [device.event("message")["body"] for _ in range(2)] == ["again and again"] * 2
    device.do("close")
    assert service.get_device(id).cloud_to_device_message_count == 1


def test_a_batch_over_https_is_many_messages(
    port_443: None, device: NodeScript, azure: RunningAzure, id: str
) -> None:
    connect(device, azure, id, "http")
    messages = [{"body": f"é {number}", "properties": {"n": str(number)}} for number in range(5)]
    device.do("batch", messages=messages)
    found = azure.wait_for_telemetry(5, id)
    assert [message.body.decode() for message in found] == [f"é {n}" for n in range(5)]
    assert [message.properties for message in found] == [{"n": str(n)} for n in range(5)]


@MQTT
def test_a_direct_method_is_called_and_answers(
    device: NodeScript,
    azure: RunningAzure,
    service: IoTHubRegistryManager,
    id: str,
    transport: str,
) -> None:
    connect(device, azure, id, transport)
    device.do("method", name="reboot", status=202, payload={"in": "10 s"})
    # The SDK subscribes behind its user's back: the hub waits for it, as Azure's does.
    call = CloudToDeviceMethod(
        method_name="reboot", payload={"now": True}, connect_timeout_in_seconds=10
    )
    answer = service.invoke_device_method(id, call)
    assert (answer.status, answer.payload) == (202, {"in": "10 s"})
    assert device.event("method") == {"name": "reboot", "payload": {"now": True}}


@MQTT
def test_a_twin_goes_both_ways(
    device: NodeScript,
    azure: RunningAzure,
    service: IoTHubRegistryManager,
    id: str,
    transport: str,
) -> None:
    connect(device, azure, id, transport)
    twin = device.do("twin")
    assert twin["desired"] == {"$version": 1}
    device.do("report", patch={"fan": {"rpm": 900}, "door": None})
    assert service.get_twin(id).properties.reported["fan"] == {"rpm": 900}
    patch = Twin(properties=TwinProperties(desired={"mode": "eco", "limits": {"t": 30}}))
    service.update_twin(id, patch)
    first, wish = device.event("desired"), device.event("desired")
    assert first["$version"] == 1  # the SDK tells what it had read, and then what is new
    assert wish == {"mode": "eco", "limits": {"t": 30}, "$version": 2}
    twin = device.do("twin")
    assert twin["desired"] == {"mode": "eco", "limits": {"t": 30}, "$version": 2}
    assert twin["reported"]["fan"] == {"rpm": 900}


@MQTT
def test_the_sdk_renews_its_token_and_stays(start_node: StartNode, transport: str) -> None:
    events: queue.Queue[Event] = queue.Queue()
    with running_azure(settings_at(own_address()), events.put) as azure:
        device = start_node("device.js", azure)
        key = azure.enroll_device("renewer").keys.primary_b64
        register(device, azure, "renewer", key)
        text = f"HostName={azure.host};DeviceId=renewer;SharedAccessKey={key}"
        # Valid for 5 s, renewed after one: a connection a second, none of which expires.
        token = {"validS": 5, "marginS": 4}
        device.do("connect", transport=transport, connectionString=text, token=token)
        device.do("listen", settle="complete")
        wait_until_subscribed(azure, "renewer")
        for number in range(3):
            wait_for_event(events, "connected to")
            device.do("send", body=str(number))
        found = azure.wait_for_telemetry(3, "renewer")
        assert [message.body for message in found] == [b"0", b"1", b"2"]
        azure.device("renewer").send("still there")
        assert device.event("message")["body"] == "still there"
        assert not any("expired" in event["what"] for event in azure.log)


def wait_for_event(events: "queue.Queue[Event]", what: str) -> None:
    while not events.get(timeout=PATIENCE_S)["what"].startswith(what):
        pass


def register(device: NodeScript, azure: RunningAzure, id: str, key: str) -> str:
    """Register over MQTT; the name of the hub."""
    state = device.do(
        "register",
        transport="mqtt",
        host=azure.host,
        idScope=azure.id_scope,
        registrationId=id,
        key=key,
    )
    return str(state["assignedHub"])


def test_a_device_follows_its_enrollment_to_another_hub(
    start_node: StartNode, port_443: None
) -> None:
    hubs = own_address(), own_address()
    with running_azure(settings_at(hubs[0], hubs=hubs)) as azure:
        device = start_node("device.js", azure)
        for hub in hubs:
            enrollment = azure.enroll_device("mover", {"iotHubs": [hub]})
            key = enrollment.keys.primary_b64
            assert register(device, azure, "mover", key) == hub
            text = f"HostName={hub};DeviceId=mover;SharedAccessKey={key}"
            device.do("connect", transport="ws", connectionString=text)
            device.do("send", body=json.dumps({"at": hub}))
            device.do("close")
        found = azure.wait_for_telemetry(2, "mover")
        assert [message.hub for message in found] == list(hubs)
