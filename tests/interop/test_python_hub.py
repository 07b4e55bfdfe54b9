"""Microsoft's Python SDKs at a hub: azure-iot-device as the device, azure-iot-hub as the service.

Two programs that we did not write talk to one another through the local Azure: C2D, direct
methods, twins, over MQTT and over WebSocket. The device SDK fixes ports 8883 and 443, the service
SDK 443: places.py gives them an address where these are ours.
"""

import json
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from azure.iot.device import (
    IoTHubDeviceClient,
    Message,
    MethodRequest,
    MethodResponse,
)
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, Twin, TwinProperties

from firstlight.emulator.running import RunningAzure
from tests.emulator.peers import token
from tests.interop.places import PATIENCE_S, hub_connection_string, send_c2d

# What the SDK and its paho do at each connection; nothing of ours is let off.
pytestmark = [
    pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
TRANSPORTS = pytest.mark.parametrize("websockets", [False, True], ids=["mqtt", "ws"])


class Device:
    """A device of the SDK's, connected; what comes to it goes into queues."""

    def __init__(self, client: Any) -> None:  # IoTHubDeviceClient, whose types are too narrow
        self.client = client
        self.messages: queue.Queue[Message] = queue.Queue()
        self.calls: queue.Queue[MethodRequest] = queue.Queue()
        self.desired: queue.Queue[dict[str, Any]] = queue.Queue()
        self.states: queue.Queue[bool] = queue.Queue()
        client.on_connection_state_change = lambda: self.states.put(client.connected)

    def listen(self) -> None:
        """Take C2D, direct methods and desired properties from here on."""
        self.client.on_message_received = self.messages.put
        self.client.on_method_request_received = self._answer
        self.client.on_twin_desired_properties_patch_received = self.desired.put

    def _answer(self, request: MethodRequest) -> None:
        self.calls.put(request)
        status = 200 if request.name == "add" else 404
        numbers: Any = request.payload
        total = sum(numbers) if status == 200 else "no such method"
        self.client.send_method_response(
            MethodResponse.create_from_method_request(request, status, {"is": total})
        )


@contextmanager
def device(azure: RunningAzure, id: str, **more: Any) -> Iterator[Device]:
    """A connected device, registered at the hub with a key of its own."""
    key, listens = more.pop("key", None) or add(azure, id), more.pop("listens", False)
    client = IoTHubDeviceClient.create_from_symmetric_key(
        key, azure.host, id, server_verification_cert=azure.root_pem.read_text(), **more
    )
    made = Device(client)
    try:
        if listens:
            # Before CONNECT: what a kept session holds comes right after CONNACK, as at Azure,
            # and the SDK keeps what came before its first handler from every handler.
            made.listen()
        client.connect()
        assert made.states.get(timeout=PATIENCE_S)
        yield made
    finally:
        client.shutdown()


def add(azure: RunningAzure, id: str) -> str:
    """Put a device into the hub's registry; its key."""
    key = "c2VjcmV0LW9mLWEtanVkZ2VzLWRldmljZQ=="
    with_service(azure).create_device_with_sas(id, key, key, "enabled")
    return key


def with_service(azure: RunningAzure) -> IoTHubRegistryManager:
    return IoTHubRegistryManager.from_connection_string(hub_connection_string(azure))


@pytest.fixture(autouse=True)
def _trust(azure: RunningAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(azure.root_pem))


@TRANSPORTS
def test_telemetry_arrives(azure: RunningAzure, websockets: bool) -> None:
    id = f"py-telemetry-{websockets}"
    body = json.dumps({"t": "é" * 40_000})  # more than one frame of a WebSocket
    with device(azure, id, websockets=websockets) as made:
        made.client.send_message(body)
        found = azure.wait_for_telemetry(1, id)
    assert [message.body for message in found] == [body.encode()]


@TRANSPORTS
def test_a_message_to_the_device_arrives(azure: RunningAzure, websockets: bool) -> None:
    id = f"py-c2d-{websockets}"
    with device(azure, id, websockets=websockets) as made:
        made.listen()
        send_c2d(
            azure,
            id,
            "go on",
            properties={"colour": "red & blue"},
            message_id="m-1",
            correlation_id="c-1",
        )
        found = made.messages.get(timeout=PATIENCE_S)
    assert found.data == b"go on"
    assert found.custom_properties == {"colour": "red & blue"}
    assert (found.message_id, found.correlation_id) == ("m-1", "c-1")


def test_messages_wait_for_a_device_that_is_away(azure: RunningAzure) -> None:
    key = add(azure, "py-away")
    with device(azure, "py-away", key=key, listens=True):
        pass  # the SDK asks for a session that outlives the connection
    for number in range(3):
        send_c2d(azure, "py-away", f"message {number}")
    with device(azure, "py-away", key=key, listens=True) as made:
        send_c2d(azure, "py-away", "the last")
        found = [made.messages.get(timeout=PATIENCE_S).data for _ in range(4)]
    assert found == [b"message 0", b"message 1", b"message 2", b"the last"]
    with device(azure, "py-away", key=key, listens=True) as made:
        send_c2d(azure, "py-away", "another")
        assert made.messages.get(timeout=PATIENCE_S).data == b"another"  # none comes twice


@TRANSPORTS
def test_a_direct_method_is_called_and_answers(azure: RunningAzure, websockets: bool) -> None:
    id = f"py-method-{websockets}"
    with device(azure, id, websockets=websockets) as made:
        made.listen()
        call = CloudToDeviceMethod(method_name="add", payload=[1, 2, 39])
        answer = with_service(azure).invoke_device_method(id, call)
        assert (answer.status, answer.payload) == (200, {"is": 42})
        assert made.calls.get(timeout=PATIENCE_S).payload == [1, 2, 39]
        call = CloudToDeviceMethod(method_name="divide", payload={})
        answer = with_service(azure).invoke_device_method(id, call)
        assert (answer.status, answer.payload) == (404, {"is": "no such method"})


@TRANSPORTS
def test_a_twin_goes_both_ways(azure: RunningAzure, websockets: bool) -> None:
    id = f"py-twin-{websockets}"
    service = with_service(azure)
    with device(azure, id, websockets=websockets) as made:
        made.listen()
        empty = made.client.get_twin()
        assert empty == {"desired": {"$version": 1}, "reported": {"$version": 1}}
        made.client.patch_twin_reported_properties({"fan": {"rpm": 1200, "on": True}, "t": None})
        seen = service.get_twin(id)
        assert seen.properties.reported["fan"] == {"rpm": 1200, "on": True}
        assert "t" not in seen.properties.reported
        assert seen.connection_state == "Connected"

        wish = Twin(properties=TwinProperties(desired={"fan": {"rpm": 900}, "mode": "eco"}))
        changed = service.update_twin(id, wish, seen.etag)
        told = made.desired.get(timeout=PATIENCE_S)
        assert told == {"fan": {"rpm": 900}, "mode": "eco", "$version": 2}
        assert changed.properties.desired["$version"] == 2

        made.client.patch_twin_reported_properties({"fan": {"on": None}})
        wish = Twin(properties=TwinProperties(desired={"mode": None}))
        service.update_twin(id, wish, "*")
        assert made.desired.get(timeout=PATIENCE_S) == {"mode": None, "$version": 3}
        twin = made.client.get_twin()
    assert twin["desired"] == {"fan": {"rpm": 900}, "$version": 3}
    assert twin["reported"] == {"fan": {"rpm": 1200}, "$version": 3}


def test_the_sdk_renews_its_token_and_stays(azure: RunningAzure) -> None:
    # The SDK renews two minutes before the end: a token of 121 s is renewed after one.
    with device(azure, "py-renew", sastoken_ttl=121) as made:
        made.listen()
        assert not made.states.get(timeout=PATIENCE_S)
        assert made.states.get(timeout=PATIENCE_S)
        send_c2d(azure, "py-renew", "still there")
        assert made.messages.get(timeout=PATIENCE_S).data == b"still there"


def test_the_hub_ends_a_connection_whose_token_expired_and_takes_a_new_one(
    azure: RunningAzure,
) -> None:
    key = add(azure, "py-expiry")
    resource = f"{azure.host}/devices/py-expiry"
    options: dict[str, Any] = {
        "server_verification_cert": azure.root_pem.read_text(),
        "connection_retry": False,
    }
    first = token(resource, key, int(time.time()) + 2, None)
    client = IoTHubDeviceClient.create_from_sastoken(first, **options)
    made = Device(client)
    try:
        client.connect()
        assert made.states.get(timeout=PATIENCE_S)
        assert not made.states.get(timeout=PATIENCE_S)  # two seconds later, by the hub
        assert any("expired" in event["what"] for event in azure.log)
        client.update_sastoken(token(resource, key, int(time.time()) + 600, None))
        client.connect()
        client.send_message("back")
        assert azure.wait_for_telemetry(1, "py-expiry")[0].body == b"back"
    finally:
        client.shutdown()


def test_a_newer_connection_of_the_same_device_wins(azure: RunningAzure) -> None:
    key = add(azure, "py-twice")
    with (
        device(azure, "py-twice", key=key, connection_retry=False) as older,
        device(azure, "py-twice", key=key, connection_retry=False) as newer,
    ):
        assert not older.states.get(timeout=PATIENCE_S)
        newer.client.send_message("it is me")
        assert azure.wait_for_telemetry(1, "py-twice")[0].body == b"it is me"
