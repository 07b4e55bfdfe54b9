"""A hub's two REST APIs over real HTTPS: messages, ids, and tokens for this hub and another."""

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.hubs import KEYS
from tests.emulator.peers import PATIENCE_S, join_hub, token

HUBS = ("localhost", "127.0.0.1")
VERSION = "?api-version=2021-04-12"


@pytest.fixture(scope="module")
def azure() -> Iterator[RunningAzure]:
    with running_azure(Settings(mqtt_port=0, https_port=0, hubs=HUBS)) as running:
        yield running


def ask(
    azure: RunningAzure,
    method: str,
    path: str,
    body: Any = None,
    sas: str | None = None,
    hub: str = "localhost",
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    """One call of a hub, with its owner's token unless another is given."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    sent["Authorization"] = sas or owner(azure, hub)
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    context = ssl.create_default_context(cafile=str(azure.root_pem))
    to = http.client.HTTPSConnection(hub, azure.https_port, timeout=PATIENCE_S, context=context)
    try:
        to.request(method, path + VERSION, raw, sent)
        answer = to.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        to.close()


def owner(azure: RunningAzure, hub: str) -> str:
    text: str = azure.call(lambda local: local.hub_connection_string(hub))
    fields = dict(part.split("=", 1) for part in text.split(";"))
    return token(fields["HostName"], fields["SharedAccessKey"], skn=fields["SharedAccessKeyName"])


def create(azure: RunningAzure, device_id: str, hub: str = "localhost") -> str:
    """A device whose keys are KEYS; its token, which is for this hub alone."""
    pair = {"primaryKey": KEYS.primary_b64, "secondaryKey": KEYS.secondary_b64}
    document = {"authentication": {"type": "sas", "symmetricKey": pair}}
    path = f"/devices/{quote(device_id, safe='')}"
    assert ask(azure, "PUT", path, document, hub=hub)[0] == 200
    return token(f"{hub}/devices/{device_id}", KEYS.primary_b64, skn=None)


def test_telemetry_over_https_is_read_back(azure: RunningAzure) -> None:
    sas = create(azure, "plain")
    path = "/devices/plain/messages/events"
    status, _, body = ask(azure, "POST", path, b"\x00hot", sas, iothub_app_colour="red")
    assert (status, body) == (204, b"")
    (message,) = azure.wait_for_telemetry(1, "plain")
    assert (message.body, message.properties, message.hub) == (
        b"\x00hot",
        {"colour": "red"},
        "localhost",
    )


def test_a_header_that_is_not_utf_8_is_text_all_the_same(azure: RunningAzure) -> None:
    sas = create(azure, "latin")
    sent = {"iothub_app_a": "\xff", "iothub_app_b": "\u00e9".encode().decode("latin-1")}
    assert ask(azure, "POST", "/devices/latin/messages/events", b"", sas, **sent)[0] == 204
    (message,) = azure.wait_for_telemetry(1, "latin")
    assert message.properties == {"a": "?", "b": "\u00e9"}


def test_a_message_waits_for_its_device(azure: RunningAzure) -> None:
    sas = create(azure, "waits")
    path = "/devices/waits/messages/deviceBound"
    sent = ask(azure, "POST", path, b"\x00\xff", iothub_app_k="\u00e9".encode().decode("latin-1"))
    assert sent[0] == 204
    status, headers, body = ask(azure, "GET", path, sas=sas)
    assert (status, body, headers["iothub-deliverycount"]) == (200, b"\x00\xff", "0")
    lock = headers["etag"].strip('"')
    assert ask(azure, "DELETE", f"{path}/{lock}", sas=sas)[0] == 204
    assert ask(azure, "GET", path, sas=sas)[0] == 204


def test_a_token_is_for_one_hub_only(azure: RunningAzure) -> None:
    sas = create(azure, "two-homes")
    create(azure, "two-homes", "127.0.0.1")
    path = "/devices/two-homes/messages/events"
    assert ask(azure, "POST", path, b"x", sas)[0] == 204
    status, headers, _ = ask(azure, "POST", path, b"x", sas, "127.0.0.1")
    assert (status, headers["iothub-errorcode"]) == (401, "IotHubUnauthorizedAccess")
    for theirs in (owner(azure, "localhost"), owner(azure, "127.0.0.1")):
        statuses = [ask(azure, "GET", "/devices", sas=theirs, hub=hub)[0] for hub in HUBS]
        assert sorted(statuses) == [200, 401]


def test_ids_with_every_sign_that_azure_takes_go_through(azure: RunningAzure) -> None:
    device_id = "a-:.+%_#*?!(),=@;$'Z9"
    sas = create(azure, device_id)
    path = f"/devices/{quote(device_id, safe='')}"
    status, _, body = ask(azure, "GET", path)
    assert (status, json.loads(body)["deviceId"]) == (200, device_id)
    assert ask(azure, "POST", f"{path}/messages/events", b"x", sas)[0] == 204
    twice = token(f"localhost/devices/{quote(device_id, safe='')}", KEYS.primary_b64, skn=None)
    assert ask(azure, "POST", f"{path}/messages/events", b"x", twice)[0] == 204
    assert ask(azure, "DELETE", path)[0] == 204


def test_disabling_a_device_over_https_ends_its_mqtt_connection(azure: RunningAzure) -> None:
    create(azure, "online")
    with join_hub(azure, "online", KEYS.primary_b64) as peer:
        status, _, body = ask(azure, "GET", "/twins/online")
        assert (status, json.loads(body)["connectionState"]) == (200, "Connected")
        ask(azure, "PUT", "/devices/online", {"status": "disabled"}, if_match="*")
        assert peer.is_closed_by_server()


def test_a_method_needs_service_connect(azure: RunningAzure) -> None:
    sas = create(azure, "callee")
    path, body = "/twins/callee/methods", {"methodName": "reboot"}
    status, headers, _ = ask(azure, "POST", path, body, sas)
    assert (status, headers["iothub-errorcode"]) == (401, "IotHubUnauthorizedAccess")
    status, headers, _ = ask(azure, "POST", path, body)
    assert (status, headers["iothub-errorcode"]) == (404, "DeviceNotOnline")
