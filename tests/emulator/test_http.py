"""The HTTPS server: the service API over the wire, and reading telemetry back."""

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.peers import PATIENCE_S, join_hub, publish, token

API = "?api-version=2021-10-01"


class Client:
    """HTTPS to the emulator with Python's own client."""

    def __init__(self, azure: RunningAzure) -> None:
        self._context = ssl.create_default_context(cafile=str(azure.root_pem))
        fields = dict(part.split("=", 1) for part in azure.connection_string.split(";"))
        self.host, _, port = fields["HostName"].partition(":")
        assert int(port) == azure.https_port
        self.port = azure.https_port
        self.name = fields["SharedAccessKeyName"]
        self.token = token(fields["HostName"], fields["SharedAccessKey"], skn=self.name)
        self.tokens: dict[str, str] = {}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=PATIENCE_S, context=self._context
        )
        try:
            sent = json.dumps(body) if isinstance(body, (dict, list)) else body
            connection.request(method, path, sent, {"Authorization": self.token} | headers)
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw) if raw else None
        finally:
            connection.close()


@pytest.fixture
def client(azure: RunningAzure) -> Client:
    return Client(azure)


def a_device(azure: RunningAzure) -> str:
    return azure.create_device("dev-1").primary_b64


def test_an_enrollment_group_is_made_and_its_key_read_over_https(client: Client) -> None:
    status, made = client.ask(
        "PUT", f"/enrollmentGroups/fleet{API}", {"enrollmentGroupId": "fleet"}
    )
    assert (status, made["enrollmentGroupId"]) == (200, "fleet")
    status, keys = client.ask("POST", f"/enrollmentGroups/fleet/attestationmechanism{API}")
    assert status == 200
    assert len(base64.b64decode(keys["symmetricKey"]["primaryKey"])) == 64
    assert client.ask("DELETE", f"/enrollmentGroups/fleet{API}", **{"If-Match": "*"}) == (
        204,
        None,
    )


def test_a_wrong_service_token_is_401_in_the_services_form(client: Client) -> None:
    status, error = client.ask("GET", f"/enrollments/a{API}", Authorization="nonsense")
    assert (status, error["errorCode"]) == (401, 401002)
    assert set(error) == {"errorCode", "trackingId", "message", "timestampUtc"}


def test_a_body_that_is_too_large_is_413(client: Client) -> None:
    status, error = client.ask("PUT", f"/enrollments/a{API}", b" " * (1024 * 1024 + 1))
    assert (status, error["errorCode"]) == (413, 413000)


def test_telemetry_is_read_back_from_a_number_on(azure: RunningAzure, client: Client) -> None:
    with join_hub(azure, "dev-1", a_device(azure)) as peer:
        for body in (b"one", b"two"):
            peer.send(publish("devices/dev-1/messages/events/k=v", body))
            peer.read()
    status, found = client.ask("GET", "/emulator/telemetry?device=dev-1&after=1")
    assert status == 200
    assert [(m["sequence"], m["body"], m["properties"]) for m in found] == [(2, "two", {"k": "v"})]
    assert client.ask("GET", "/emulator/telemetry?hub=elsewhere") == (200, [])


def test_reading_waits_for_the_next_message(azure: RunningAzure, client: Client) -> None:
    answers: list[Any] = []
    path = "/emulator/telemetry?device=dev-1&wait_s=10"
    reader = threading.Thread(target=lambda: answers.append(client.ask("GET", path)))
    with join_hub(azure, "dev-1", a_device(azure)) as peer:
        reader.start()
        peer.send(publish("devices/dev-1/messages/events/", b"late"))
        reader.join(PATIENCE_S)
    assert [m["body"] for m in answers[0][1]] == ["late"]


def test_reading_gives_up_after_its_wait(client: Client) -> None:
    assert client.ask("GET", "/emulator/telemetry?wait_s=0.05") == (200, [])


@pytest.mark.parametrize("query", ["after=x", "wait_s=-1", "after=1e9", "wait_s=²", "after=1.2.3"])
def test_a_bad_number_is_400(client: Client, query: str) -> None:
    status, error = client.ask("GET", f"/emulator/telemetry?{quote(query, '=')}")
    assert (status, error["errorCode"]) == (400, 400000)


def test_info_says_where_everything_is_and_no_secret(azure: RunningAzure, client: Client) -> None:
    status, info = client.ask("GET", "/emulator/info")
    assert status == 200
    assert (info["id_scope"], info["mqtt_port"]) == (azure.id_scope, azure.mqtt_port)
    assert azure.connection_string.rpartition("SharedAccessKey=")[2] not in json.dumps(info)


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"GET /emulator/info HT",
        b"PUT /enrollments/a?api-version=1 HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 100\r\n\r\n{",
    ],
)
def test_half_a_request_is_not_waited_for_for_ever(half: bytes) -> None:
    with running_azure(Settings(mqtt_port=0, https_port=0, packet_timeout_s=0.3)) as azure:
        context = ssl.create_default_context(cafile=str(azure.root_pem))
        raw = socket.create_connection((azure.host, azure.https_port), PATIENCE_S)
        with context.wrap_socket(raw, server_hostname="localhost") as peer:
            peer.sendall(half)
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                while peer.recv(1000):
                    pass


@pytest.fixture
def fuzzed(azure: RunningAzure) -> Iterator[Client]:
    client = Client(azure)
    client.ask("PUT", f"/enrollmentGroups/fleet{API}", {})
    key = azure.create_device("dev-1").primary_b64
    hub = azure.call(lambda local: local.services.hub_policies["localhost"].get("iothubowner"))
    assert hub is not None
    client.tokens = {
        "dps": client.token,
        "hub": token("localhost", hub.keys.primary_b64, skn="iothubowner"),
        "device": token("localhost/devices/dev-1", key, skn=None),
    }
    yield client
    client.ask("DELETE", "/emulator/faults")
    assert client.ask("GET", f"/enrollmentGroups/fleet{API}")[0] == 200
    # 501: what Azure has and we have not.
    failed = [event for event in azure.log if event.get("status", 0) >= 500]
    assert [event for event in failed if event["status"] != 501] == []
    assert [event for event in azure.log if "unexpected" in event["what"]] == []


PARTS = st.sampled_from(
    [
        *("enrollments", "enrollmentGroups", "registrations", "query", "attestationmechanism"),
        *("0ne00111111", "register", "operations", "dev-1", "fleet"),
        *("devices", "twins", "messages", "methods", "statistics", "commands", "deviceBound"),
        *("events", "devicebound", "serviceBound", "feedback", "jobs", "service", "abandon"),
        *("emulator", "faults", "info", "connections", "telemetry", "localhost", "table"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("attestation", "symmetricKey", "primaryKey", "iotHubs", "type"),
                    *("registrationId", "payload", "tpm", "csr", "mode", "enrollments"),
                    *("deviceId", "authentication", "tags", "properties", "desired", "query"),
                    *("methodName", "responseTimeoutInSeconds", "at", "do", "times", "seconds"),
                ]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD"]),
    st.lists(PARTS | st.text(max_size=12).map(quote), min_size=1, max_size=4),
    JSON.map(json.dumps) | st.binary(max_size=40),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12),
    st.sampled_from(["dps", "hub", "device", "none"]),
)
def test_no_request_is_a_500(
    fuzzed: Client, method: str, parts: list[str], body: Any, header: str, who: str
) -> None:
    headers = {"If-Match": header, "x-ms-continuation": header, "x-ms-max-item-count": header}
    headers |= {"iothub-to": header, "iothub-app-" + "a": header, "iothub-ack": header}
    headers["Authorization"] = fuzzed.tokens.get(who, header)
    path = "/" + "/".join(part or "x" for part in parts) + API
    if "fleet" in path and method == "DELETE":
        return
    status, document = fuzzed.ask(method, path, body, **headers)
    assert status < 500 or status in (501, 502, 504)
    assert status < 400 or method == "HEAD" or {"errorCode", "Message"} & set(document)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(min_size=1, max_size=100))
def test_no_bytes_disturb_another_request(azure: RunningAzure, fuzzed: Client, raw: bytes) -> None:
    context = ssl.create_default_context(cafile=str(azure.root_pem))
    plain = socket.create_connection((azure.host, azure.https_port), PATIENCE_S)
    with context.wrap_socket(plain, server_hostname="localhost") as peer:
        peer.sendall(raw + b"\r\n\r\n")
    assert fuzzed.ask("GET", "/emulator/info")[0] == 200
