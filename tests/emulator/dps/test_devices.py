"""DPS's REST API for devices without HTTP: protocol.md 5.1, and whatever else is sent to it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.answers import Answer
from firstlight.emulator.dps.devices import RegistrationApi
from firstlight.emulator.dps.service import Request
from firstlight.emulator.faults.faults import Faults
from firstlight.emulator.faults.specs import parse, parse_text
from firstlight.emulator.rest import Call
from tests.emulator.dps.provisioning import NOW, SCOPE, Service

# As the articles on this API print it: two spaces, and a coding that is none.
HEADERS = {
    "host": "dps.example:8443",
    "content-type": "application/json",
    "content-encoding": "utf-8",
}
PATH = f"/{SCOPE}/registrations/dev-1"


class Devices:
    """The API and one device that it may talk to."""

    def __init__(self, **rules: Any) -> None:
        self.service = Service(**rules)
        self.api = RegistrationApi(self.service.dps, self.service.random)
        self.request: Request = self.service.own(self.service.device("dev-1"))

    def call(self, method: str, path: str, body: bytes = b"", **changes: Any) -> Answer:
        headers = HEADERS | {"authorization": self.request.token} | changes.get("headers", {})
        query = changes.get("query", {"api-version": "2019-03-31"})
        answer = self.api.handle(Call(method, path, query, headers, body), self.service.now_at)
        assert len(answer.headers["x-ms-request-id"]) == 36
        return answer

    def error(self, *args: Any, **changes: Any) -> tuple[int, int]:
        answer = self.call(*args, **changes)
        assert answer.headers["x-ms-error-code"] == str(answer.document["errorCode"])
        return answer.status, answer.document["errorCode"]


def test_a_device_registers_polls_and_looks_itself_up() -> None:
    devices = Devices(retry_after_s=7)
    body = b'{"registrationId": "dev-1"}'
    first = devices.call("PUT", f"{PATH}/register", body)
    assert (first.status, first.retry_after_s) == (202, 7)
    assert first.headers["Location"] == f"https://dps.example:8443{PATH}/register"
    operation = f"{PATH}/operations/{first.document['operationId']}"
    second = devices.call("GET", operation)
    assert (second.status, second.document["status"]) == (202, "assigning")
    last = devices.call("GET", operation, b"{}")
    assert (last.status, last.document["status"]) == (200, "assigned")
    assert "Location" not in last.headers
    found = devices.call("POST", PATH, body)
    assert (found.status, found.document) == (200, last.document["registrationState"])


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/json; charset=utf-8"},
        {"content-type": "Application/JSON", "content-encoding": ""},
        {"content-encoding": " UTF-8 "},
        {"content-encoding": "identity"},
    ],
)
def test_every_way_to_say_json_is_taken(headers: dict[str, str]) -> None:
    assert Devices().call("PUT", f"{PATH}/register", b"{}", headers=headers).status == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": ""},
        {"content-type": "application/json-patch+json"},
        {"content-encoding": "gzip"},
        {"content-encoding": "br"},
    ],
)
def test_a_body_in_another_form_is_415(headers: dict[str, str]) -> None:
    devices = Devices()
    assert devices.error("PUT", f"{PATH}/register", b"{}", headers=headers) == (415, 415000)
    assert devices.call("PUT", f"{PATH}/register", headers=headers).status == 202


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{PATH}/register", 405),
        ("POST", f"{PATH}/register", 405),
        ("PUT", f"{PATH}/operations/5.a", 405),
        ("GET", PATH, 405),
        ("DELETE", PATH, 405),
        ("GET", f"{PATH}/operations", 404),
        ("GET", f"{PATH}/operations/", 404),
        ("PUT", f"{PATH}/register/more", 404),
        ("POST", f"/{SCOPE}/registrations", 404),
        ("PUT", f"/{SCOPE}/registrations//register", 404),
        ("GET", f"{PATH}/operations/5.none", 404),
        ("PUT", "/0ne99999999/registrations/dev-1/register", 404),
        ("PUT", f"/{SCOPE}/registrations/dev 1/register", 400),
    ],
)
def test_other_methods_and_paths_are_errors_in_the_services_form(
    method: str, path: str, status: int
) -> None:
    assert Devices().error(method, path)[0] == status


def test_a_wrong_and_a_missing_token_are_401002() -> None:
    devices = Devices()
    for wrong in ("", "Bearer x", "SharedAccessSignature sr=a&sig=b&se=1"):
        headers = {"authorization": wrong}
        assert devices.error("PUT", f"{PATH}/register", headers=headers) == (401, 401002)


def test_an_api_version_is_needed_and_must_be_known_unless_any_will_do() -> None:
    devices = Devices()
    assert devices.error("PUT", f"{PATH}/register", query={}) == (400, 400000)
    new: dict[str, Any] = {"query": {"api-version": "2031-01-01"}}
    assert devices.error("PUT", f"{PATH}/register", **new) == (400, 400000)
    assert Devices(unknown_version=True).call("PUT", f"{PATH}/register", **new).status == 202


def test_more_than_96_kb_is_413() -> None:
    devices = Devices()
    fits = json.dumps({"payload": {"a": "x" * (96 * 1024 - 25)}}).encode()
    assert devices.call("PUT", f"{PATH}/register", fits).status == 202
    assert devices.error("PUT", f"{PATH}/register", fits + b" " * 99) == (413, 413000)


def test_a_429_says_when_to_come_back() -> None:
    devices = Devices()
    operation = devices.call("PUT", f"{PATH}/register").document["operationId"]
    polls = [devices.call("GET", f"{PATH}/operations/{operation}") for _ in range(6)]
    assert polls[-1].status == 429
    assert polls[-1].retry_after_s == 11
    assert devices.service.now_at == NOW


def test_faults_change_what_is_told_over_https_too() -> None:
    devices = Devices()
    faults = Faults(lambda _: None, lambda: NOW, devices.service.random)
    devices.api = RegistrationApi(devices.service.dps, devices.service.random, faults)
    faults.add(parse_text("poll refuse status=503 times=1"))
    spelled = {"name": "RETRY-AFTER", "seconds": 9}
    faults.add(parse({"at": "register-answer", "do": "retry-after", **spelled}))
    first = devices.call("PUT", f"{PATH}/register")
    assert (first.retry_after_s, first.headers.get("Retry-After")) == (9, None)
    operation = f"{PATH}/operations/{first.document['operationId']}"
    assert devices.error("GET", operation) == (503, 503000)
    assert devices.call("GET", operation).status == 202


def test_force_registration_and_other_parameters_are_taken() -> None:
    query = {"api-version": "2019-03-31", "forceRegistration": "true", "more": ""}
    assert Devices().call("PUT", f"{PATH}/register", query=query).status == 202


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH", ""]),
    path=st.text(max_size=60) | st.text(max_size=20).map(lambda end: f"{PATH}/{end}"),
    body=st.binary(max_size=60) | st.text(max_size=40).map(lambda text: json.dumps(text).encode()),
    version=st.text(max_size=12) | st.just("2019-03-31"),
    authorization=st.text(max_size=60),
)
def test_whatever_is_sent_gets_an_answer(
    method: str, path: str, body: bytes, version: str, authorization: str
) -> None:
    devices = Devices()
    headers = {"authorization": authorization} if authorization else {}
    answer = devices.call(method, path, body, headers=headers, query={"api-version": version})
    assert 200 <= answer.status < 500
    assert json.loads(answer.body)
    assert devices.call("PUT", f"{PATH}/register", b"{}").status == 202
