"""Microsoft's Node device and provisioning SDKs against the local Azure, over each transport.

Each script runs in a process of its own with NODE_EXTRA_CA_CERTS, and unchanged SDKs: they find
the local Azure at an address of its own, at ports 8883 (MQTT) and 443 (WebSocket, HTTPS).
"""

import pytest

from firstlight.emulator.running import RunningAzure
from tests.interop.conftest import StartNode
from tests.interop.nodes import NodeError, NodeScript
from tests.interop.places import derived

TRANSPORTS = pytest.mark.parametrize("transport", ["mqtt", "ws", "http"])


@pytest.fixture
def device(start_node: StartNode, azure: RunningAzure) -> NodeScript:
    return start_node("device.js", azure)


def register(
    device: NodeScript, azure: RunningAzure, transport: str, id: str, key: str
) -> dict[str, str]:
    found: dict[str, str] = device.do(
        "register",
        transport=transport,
        host=azure.host,
        idScope=azure.id_scope,
        registrationId=id,
        key=key,
    )
    return found


def connection_string(azure: RunningAzure, device_id: str, key: str) -> str:
    return f"HostName={azure.host};DeviceId={device_id};SharedAccessKey={key}"


@TRANSPORTS
def test_it_registers_and_sends_telemetry(
    device: NodeScript, azure: RunningAzure, transport: str
) -> None:
    id = f"node-{transport}"
    key = derived(azure.enroll_group(f"fleet-{transport}").keys.primary_b64, id)
    state = register(device, azure, transport, id, key)
    assert (state["status"], state["substatus"]) == ("assigned", "initialAssignment")
    assert (state["assignedHub"], state["deviceId"]) == (azure.host, id)
    device.do("connect", transport=transport, connectionString=connection_string(azure, id, key))
    device.do(
        "send",
        body='{"t": 21}',
        properties={"alarm": "yes & no"},
        messageId="m-1",
        correlationId="c-1",
        contentType="application/json",
        contentEncoding="utf-8",
    )
    found = azure.wait_for_telemetry(1, id)[0]
    device.do("close")
    assert found.body == b'{"t": 21}'
    assert found.properties == {"alarm": "yes & no"}
    expected = {
        "message-id": "m-1",
        "correlation-id": "c-1",
        "content-type": "application/json",
        "content-encoding": "utf-8",
    }
    assert expected.items() <= found.system_properties.items()


@TRANSPORTS
def test_a_wrong_key_is_unauthorized_at_dps(
    device: NodeScript, azure: RunningAzure, transport: str
) -> None:
    id = f"node-wrong-{transport}"
    azure.enroll_device(id)
    with pytest.raises(NodeError, match="nauthorized"):
        register(device, azure, transport, id, derived("a" * 44, id))


@TRANSPORTS
def test_a_wrong_key_is_unauthorized_at_the_hub(
    device: NodeScript, azure: RunningAzure, transport: str
) -> None:
    id = f"node-stranger-{transport}"
    wrong = connection_string(azure, id, derived("a" * 44, id))
    if transport == "http":  # it says so at the first request
        device.do("connect", transport=transport, connectionString=wrong)
        found = refused(device, "send", body="who am I")
    else:
        found = refused(device, "connect", transport=transport, connectionString=wrong)
    assert found.name in ("UnauthorizedError", "DeviceNotFoundError")


def refused(device: NodeScript, what: str, **args: object) -> NodeError:
    with pytest.raises(NodeError) as caught:
        device.do(what, **args)
    return caught.value
