"""Microsoft's Python SDK by Azure's own names, on free ports: the in-process redirection.

The SDK fixes ports 8883 and 443; `redirected_azure` leads this process to the emulator's.
"""

from typing import Any

import pytest
from azure.iot.device import IoTHubDeviceClient, ProvisioningDeviceClient

from firstlight.emulator.running import RunningAzure
from firstlight.emulator.settings import DPS_NAME
from firstlight.testing import local_azure, redirected_azure

# What the SDK itself does (its own ssl.PROTOCOL_TLSv1_2); nothing of ours is let off.
pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning"
)
__all__ = ["local_azure", "redirected_azure"]
HUB = "one.azure-devices.net"


@pytest.fixture
def local_azure_settings() -> dict[str, Any]:
    return {"hubs": (HUB,), "retry_after_s": 1}


@pytest.mark.parametrize("websockets", [False, True])
def test_the_global_name_and_a_hubs_own_lead_to_the_emulator(
    request: pytest.FixtureRequest, websockets: bool
) -> None:
    azure: RunningAzure = request.getfixturevalue("redirected_azure")
    root, key = azure.root_pem.read_text(), azure.device_key("dev-1")
    dps = ProvisioningDeviceClient.create_from_symmetric_key(
        DPS_NAME,
        "dev-1",
        azure.id_scope,
        key,
        server_verification_cert=root,
        websockets=websockets,
    )
    state: Any = dps.register().registration_state
    assert state.assigned_hub == HUB
    hub = IoTHubDeviceClient.create_from_symmetric_key(
        key,
        state.assigned_hub,
        state.device_id,
        server_verification_cert=root,
        websockets=websockets,
    )
    try:
        hub.send_message("hello")
        assert azure.device("dev-1").wait_for_telemetry()[0].body == b"hello"
        (shown,) = azure.call(lambda local: local.connections())
        over = "websocket" if websockets else "mqtt"
        assert (shown["device"], shown["hub"], shown["over"]) == ("dev-1", HUB, over)
    finally:
        hub.shutdown()
