"""What Microsoft's SDKs do when the local Azure is told to misbehave: they cope as with Azure."""

from collections.abc import Iterator
from typing import Any

import pytest
from azure.iot.device import IoTHubDeviceClient

from firstlight.emulator.hub.credential import by_keys
from firstlight.emulator.keys import Keys
from firstlight.emulator.running import RunningAzure, running_azure
from tests.interop.conftest import StartNode
from tests.interop.nodes import NodeError
from tests.interop.places import PATIENCE_S, own_address, settings_at
from tests.interop.test_python_hub import Device

pytestmark = [
    pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.fixture
def azure() -> Iterator[RunningAzure]:
    """One of the test's own, for its faults are for all."""
    with running_azure(settings_at(own_address())) as running:
        yield running


def asking(azure: RunningAzure, transport: str) -> dict[str, Any]:
    return {
        "transport": transport,
        "host": azure.host,
        "idScope": azure.id_scope,
        "registrationId": "dev-1",
        "key": azure.enroll_device("dev-1").keys.primary_b64,
    }


@pytest.mark.parametrize("transport", ["mqtt", "http"])
@pytest.mark.parametrize(
    "fault",
    [
        "poll assigning times=1",
        "register-answer retry-after seconds=-1",
        "register-answer retry-after seconds=1 name=Retry-After first=true",
    ],
)
def test_the_node_sdk_registers_all_the_same(
    azure: RunningAzure, start_node: StartNode, transport: str, fault: str
) -> None:
    azure.add_fault(fault)  # one more wait; no retry-after at all; another case and order
    state = start_node("device.js", azure).do("register", **asking(azure, transport))
    assert state["status"] == "assigned"
    assert azure.faults()[0]["hits"] >= 1


def test_the_node_sdk_registers_after_a_429(azure: RunningAzure, start_node: StartNode) -> None:
    azure.add_fault("poll refuse status=429 retry_after=1 times=1")
    state = start_node("device.js", azure).do("register", **asking(azure, "mqtt"))
    assert state["status"] == "assigned"
    assert azure.faults()[0]["hits"] == 1


@pytest.mark.parametrize("transport", ["mqtt", "ws", "http"])
def test_the_node_sdk_is_told_why_an_assignment_failed(
    azure: RunningAzure, start_node: StartNode, transport: str
) -> None:
    azure.add_fault("poll failed")
    with pytest.raises(NodeError) as caught:
        start_node("device.js", azure).do("register", **asking(azure, transport))
    assert "registration failed" in str(caught.value).lower()


@pytest.mark.parametrize("websockets", [False, True], ids=["mqtt", "ws"])
def test_the_python_sdk_comes_back_after_its_connection_was_cut(
    azure: RunningAzure, websockets: bool
) -> None:
    key = azure.enroll_device("dev-1").keys.primary_b64
    own = by_keys(Keys(key, key))
    azure.call(lambda local: local.hubs[azure.host].put_device("dev-1", own, local.clock()))
    client = IoTHubDeviceClient.create_from_symmetric_key(
        key,
        azure.host,
        "dev-1",
        server_verification_cert=azure.root_pem.read_text(),
        websockets=websockets,
        connection_retry_interval=1,
    )
    device = Device(client)
    try:
        device.listen()
        client.connect()
        assert device.states.get(timeout=PATIENCE_S)
        assert azure.device("dev-1").kick()
        assert not device.states.get(timeout=PATIENCE_S)
        assert device.states.get(timeout=PATIENCE_S)
        azure.device("dev-1").send("welcome back")
        assert device.messages.get(timeout=PATIENCE_S).data == b"welcome back"
        client.send_message("here I am")
        assert azure.wait_for_telemetry(1, "dev-1")[0].body == b"here I am"
    finally:
        client.shutdown()
