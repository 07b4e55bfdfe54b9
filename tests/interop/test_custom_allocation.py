"""Custom allocation with the official SDKs: `payload` goes to a team's webhook, and comes back."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from azure.iot.device import ProvisioningDeviceClient

from firstlight.emulator.running import RunningAzure, running_azure
from tests.interop.conftest import StartNode
from tests.interop.nodes import NodeError
from tests.interop.places import own_address, settings_at

pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning"
)


class Webhook(http.server.ThreadingHTTPServer):
    """What a team writes as an Azure Function: it sends the devices of a floor to one hub."""

    def __init__(self, hub: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self.status = 200
        self.asked: list[Any] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/api/allocate?code=a-secret"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        floor = asked["deviceRuntimeContext"]["payload"]["floor"]
        answer = {
            "iotHubHostName": self.server.hub,
            "initialTwin": {"tags": {"floor": floor}, "properties": {"desired": {"rate_s": 60}}},
            "payload": {"welcome": f"floor {floor}"},
        }
        body = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def hubs() -> tuple[str, str]:
    return own_address(), own_address()


@pytest.fixture
def azure(hubs: tuple[str, str]) -> Iterator[RunningAzure]:
    with running_azure(settings_at(hubs[0], hubs=hubs)) as running:
        yield running


@pytest.fixture
def webhook(hubs: tuple[str, str]) -> Iterator[Webhook]:
    with Webhook(hubs[1]) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def enroll(azure: RunningAzure, webhook: Webhook, id: str) -> str:
    definition = {"webhookUrl": webhook.url, "apiVersion": "2021-10-01"}
    enrollment = azure.enroll_device(
        id, {"allocationPolicy": "custom", "customAllocationDefinition": definition}
    )
    return enrollment.keys.primary_b64


def check(azure: RunningAzure, webhook: Webhook, id: str) -> None:
    """What the webhook was asked, and what came of its answer."""
    (asked,) = webhook.asked
    assert asked["deviceRuntimeContext"]["registrationId"] == id
    assert asked["individualEnrollment"]["registrationId"] == id
    assert set(asked["linkedHubs"]) == set(azure.call(lambda local: list(local.hubs)))
    assert "secret" not in json.dumps(asked)
    twin = azure.device(id).twin()
    assert (azure.device(id).hub, twin["tags"]) == (webhook.hub, {"floor": 3})
    assert twin["properties"]["desired"]["rate_s"] == 60
    assert not any("a-secret" in str(event) for event in azure.log)


def test_the_python_sdk_gets_what_the_webhook_says(azure: RunningAzure, webhook: Webhook) -> None:
    key = enroll(azure, webhook, "py-custom")
    client = ProvisioningDeviceClient.create_from_symmetric_key(
        azure.host,
        "py-custom",
        azure.id_scope,
        key,
        server_verification_cert=azure.root_pem.read_text(),
    )
    client.provisioning_payload = {"floor": 3}
    state: Any = client.register().registration_state
    assert state.assigned_hub == webhook.hub
    assert json.loads(str(state.response_payload)) == {"welcome": "floor 3"}
    check(azure, webhook, "py-custom")


@pytest.mark.parametrize("transport", ["mqtt", "http"])
def test_the_node_sdk_gets_what_the_webhook_says(
    azure: RunningAzure, webhook: Webhook, start_node: StartNode, transport: str
) -> None:
    device = start_node("device.js", azure)
    state = device.do("register", **asking(azure, webhook, transport))
    assert (state["status"], state["assignedHub"]) == ("assigned", webhook.hub)
    assert state["payload"] == {"welcome": "floor 3"}
    check(azure, webhook, "node-custom")


def test_a_webhook_that_fails_is_a_registration_that_failed(
    azure: RunningAzure, webhook: Webhook, start_node: StartNode
) -> None:
    webhook.status = 400
    device = start_node("device.js", azure)
    with pytest.raises(NodeError, match="registration failed"):
        device.do("register", **asking(azure, webhook, "mqtt"))
    assert "Custom allocation failed with status code: 400" in str(azure.log)


def asking(azure: RunningAzure, webhook: Webhook, transport: str) -> dict[str, Any]:
    return {
        "transport": transport,
        "host": azure.host,
        "idScope": azure.id_scope,
        "registrationId": "node-custom",
        "key": enroll(azure, webhook, "node-custom"),
        "payload": {"floor": 3},
    }
