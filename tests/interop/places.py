"""Where a judge finds the local Azure: an address of its own, at the ports that Azure has.

The official SDKs fix port 8883 and port 443, so every test process takes addresses of its own in
127.0.0.0/8, which needs no root; nothing of an SDK is patched. An address is also a name: of DPS,
and of the hub that listens there. Port 443 needs root or a system that lets everybody have it.
"""

import base64
import hashlib
import hmac
import itertools
import json
import os
import socket
import ssl
import urllib.request
from pathlib import Path
from typing import Any

from firstlight.emulator.running import RunningAzure
from firstlight.emulator.settings import Settings
from tests.emulator.peers import token

PATIENCE_S = 20.0
_numbers = itertools.count(1)


def own_address() -> str:
    """A loopback address that no other test process uses at the same time."""
    return f"127.{os.getpid() >> 8 & 0x7F | 0x40}.{os.getpid() & 0xFF}.{next(_numbers)}"


def may_have_443() -> bool:
    """Whether this process may listen at port 443."""
    with socket.socket() as probe:
        try:
            probe.bind((own_address(), 443))
        except PermissionError:
            return False
    return True


def settings_at(address: str, **more: object) -> Settings:
    """A local Azure at Azure's own ports of an address; 443 only if it may be had."""
    usual: dict[str, object] = {
        "host": address,
        "mqtt_port": 8883,
        "https_port": 443 if may_have_443() else 0,
        "hubs": (address,),
        "retry_after_s": 0,
    }
    return Settings(**(usual | more))  # type: ignore[arg-type]  # pytest shows which it is


def derived(group_key_b64: str, registration_id: str) -> str:
    """A device's key from its group's, as protocol.md section 4 has it."""
    raw = hmac.new(base64.b64decode(group_key_b64), registration_id.encode(), hashlib.sha256)
    return base64.b64encode(raw.digest()).decode()


def hub_connection_string(azure: RunningAzure, hub: str = "", policy: str = "iothubowner") -> str:
    """A secret: what a service SDK of a hub is given, by default of the hub at DPS's address."""
    return azure.hub_connection_string(hub or azure.host, policy)


def request(
    azure: RunningAzure, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> Any:
    """A plain HTTPS call, for what no SDK does over HTTPS; its document, {} if it has none."""
    url = f"https://{azure.host}:{azure.https_port}{path}"
    return fetch(urllib.request.Request(url, body, headers, method=method), azure.root_pem)


def fetch(request: urllib.request.Request, root_pem: Path) -> Any:
    """What a server that the root vouches for answers; {} if it has no document."""
    context = ssl.create_default_context(cafile=str(root_pem))
    with urllib.request.urlopen(request, timeout=PATIENCE_S, context=context) as answer:
        return json.loads(answer.read() or b"{}")


def c2d_request(
    base_url: str, connection_string: str, device_id: str, body: str, **more: str
) -> urllib.request.Request:
    """A message to a device, by Azure's REST: the service SDKs do this by AMQP alone.

    more: further headers, `_` for `-`: iothub_messageid, iothub_app_colour...
    """
    parts = dict(part.split("=", 1) for part in connection_string.split(";"))
    host, key, policy = (
        parts[name] for name in ("HostName", "SharedAccessKey", "SharedAccessKeyName")
    )
    headers = {
        "Authorization": token(host, key, skn=policy),
        "iothub-to": f"/devices/{device_id}/messages/deviceBound",
        "Content-Type": "application/octet-stream",
    } | {name.replace("_", "-"): value for name, value in more.items()}
    url = f"{base_url}/messages/deviceBound?api-version=2021-04-12"
    return urllib.request.Request(url, body.encode(), headers, method="POST")


def send_c2d(
    azure: RunningAzure,
    device_id: str,
    body: str,
    properties: dict[str, str] | None = None,
    message_id: str | None = None,
    correlation_id: str | None = None,
    ack: str | None = None,
) -> None:
    """Send a message to a device of the hub at DPS's address."""
    named = {
        "iothub_messageid": message_id,
        "iothub_correlationid": correlation_id,
        "iothub_ack": ack,
    }
    more = {name: value for name, value in named.items() if value is not None}
    more |= {f"iothub_app_{name}": value for name, value in (properties or {}).items()}
    base_url = f"https://{azure.host}:{azure.https_port}"
    text = hub_connection_string(azure)
    fetch(c2d_request(base_url, text, device_id, body, **more), azure.root_pem)


def register_by_https(azure: RunningAzure, registration_id: str, key_b64: str) -> Any:
    """Register a device with plain calls; its registration state."""
    resource = f"{azure.id_scope}/registrations/{registration_id}"
    headers = {"Authorization": token(resource, key_b64), "Content-Type": "application/json"}
    version = "api-version=2021-06-01"
    body = json.dumps({"registrationId": registration_id}).encode()
    found = request(azure, "PUT", f"/{resource}/register?{version}", headers, body)
    while found["status"] == "assigning":
        path = f"/{resource}/operations/{found['operationId']}?{version}"
        found = request(azure, "GET", path, headers)
    return found["registrationState"]
