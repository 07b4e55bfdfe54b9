"""What DPS can be told to say (protocol.md 9.6), alike over MQTT and over HTTPS."""

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import pytest

from firstlight.emulator.answers import Answer
from firstlight.emulator.faults.answers import Exchange, through
from firstlight.emulator.faults.faults import Faults, Whom
from firstlight.emulator.faults.specs import parse_text
from firstlight.emulator.running import RunningAzure
from tests.emulator.broken import at_dps
from tests.emulator.peers import PATIENCE_S, POLL, REGISTER, publish, token

SOON_S = 0.3
PAYLOAD = {"model": {"n": [1, None]}}


class Said(NamedTuple):
    """status; body; retry_after: what a tolerant client reads."""

    status: int
    body: bytes
    retry_after: str | None

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Device(Protocol):
    """A device that registers, over some transport."""

    def register(self) -> Said: ...

    def poll(self, operation_id: str) -> Said: ...


class Mqtt:
    def __init__(self, azure: RunningAzure) -> None:
        self.peer = at_dps(azure)
        self.topic = ""

    def register(self) -> Said:
        body = json.dumps({"registrationId": "dev-1", "payload": PAYLOAD}).encode()
        return self._ask(REGISTER + "r1", body)

    def poll(self, operation_id: str) -> Said:
        return self._ask(POLL + f"r2&operationId={operation_id}", b" ")

    def _ask(self, topic: str, body: bytes) -> Said:
        self.peer.send(publish(topic, body))
        self.topic, said = self.peer.read_message()
        path, _, query = self.topic.partition("?")
        fields = dict(part.split("=", 1) for part in query.lower().split("&"))
        return Said(int(path.split("/")[3]), said, fields.get("retry-after"))


class Https:
    def __init__(self, azure: RunningAzure) -> None:
        key = azure.enroll_device("dev-1").keys.primary_b64
        self._path = f"/{azure.id_scope}/registrations/dev-1"
        self._token = token(self._path[1:], key)
        context = ssl.create_default_context(cafile=str(azure.root_pem))
        self._wire = http.client.HTTPSConnection(
            azure.host, azure.https_port, timeout=PATIENCE_S, context=context
        )
        self.topic = ""

    def register(self) -> Said:
        return self._ask("PUT", "/register", {"registrationId": "dev-1", "payload": PAYLOAD})

    def poll(self, operation_id: str) -> Said:
        return self._ask("GET", f"/operations/{operation_id}", None)

    def lookup(self) -> Said:
        return self._ask("POST", "", {"registrationId": "dev-1"})

    def close(self) -> None:
        self._wire.close()

    def _ask(self, method: str, path: str, body: Any) -> Said:
        headers = {"Authorization": self._token, "Content-Type": "application/json"}
        raw = None if body is None else json.dumps(body)
        self._wire.request(method, f"{self._path}{path}?api-version=2021-06-01", raw, headers)
        answer = self._wire.getresponse()
        return Said(answer.status, answer.read(), answer.headers.get("Retry-After"))


@pytest.fixture(params=["mqtt", "https"])
def device(azure: RunningAzure, request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "mqtt":
        found = Mqtt(azure)
        with found.peer:
            yield found
    else:
        caller = Https(azure)
        yield caller
        caller.close()


def finished(device: Device) -> Said:
    """The answer to the last poll of a whole registration."""
    operation = device.register().document["operationId"]
    device.poll(operation)
    return device.poll(operation)


def test_assigning_lasts_as_long_as_told(azure: RunningAzure, device: Device) -> None:
    azure.add_fault("poll assigning times=3 retry_after=7")
    operation = device.register().document["operationId"]
    for _ in range(3):
        said = device.poll(operation)
        assert (said.status, said.retry_after) == (202, "7")
        assert said.document == {
            "operationId": operation,
            "status": "assigning",
            "registrationState": {"registrationId": "dev-1", "status": "assigning"},
        }
    device.poll(operation)
    assert device.poll(operation).document["status"] == "assigned"


def test_a_disabled_device_is_told_so_with_200(azure: RunningAzure, device: Device) -> None:
    azure.add_fault("register disabled")
    said = device.register()
    assert said == Said(200, said.body, None)
    assert said.document == {
        "operationId": "",
        "status": "disabled",
        "registrationState": {"registrationId": "dev-1", "status": "disabled"},
    }
    assert azure.call(lambda local: local.store.registration("dev-1")) is None


@pytest.mark.parametrize("nested", [False, True])
def test_a_registration_fails_with_200(azure: RunningAzure, device: Device, nested: bool) -> None:
    azure.add_fault(at="poll-answer", do="failed", code=401002, message="No entry", nested=nested)
    operation = device.register().document["operationId"]
    said = device.poll(operation)
    state = said.document["registrationState"]
    assert (said.status, said.document["status"]) == (200, "failed")
    assert said.document["operationId"] == operation
    assert (state["status"], state["errorCode"]) == ("failed", 401002)
    message = state["errorMessage"]
    if nested:
        message = json.loads(json.loads(message)["Message"])["message"]
    assert message == "No entry"


@pytest.mark.parametrize(
    ("words", "status", "code", "retry_after"),
    [
        ("status=401 code=401000 message=Unauthorized", 401, 401000, None),
        ("status=401 code=401002", 401, 401002, None),
        ("status=404 code=404202", 404, 404202, None),
        ("status=429 retry_after=32", 429, 429001, "32"),
        ("status=500", 500, 500000, None),
        ("status=503 retry_after=1", 503, 503000, "1"),
    ],
)
@pytest.mark.parametrize("at", ["register", "poll-answer"])
def test_an_error_has_the_services_own_body(
    azure: RunningAzure,
    device: Device,
    at: str,
    words: str,
    status: int,
    code: int,
    retry_after: str | None,
) -> None:
    azure.add_fault(f"{at} refuse {words} times=1")
    said = device.register()
    if at != "register":
        said = device.poll(said.document["operationId"])
    assert (said.status, said.retry_after) == (status, retry_after)
    assert said.document["errorCode"] == code
    assert set(said.document) == {"errorCode", "trackingId", "message", "timestampUtc"}
    assert finished(device).document["status"] == "assigned"


def test_retry_after_is_missing_or_another(azure: RunningAzure, device: Device) -> None:
    azure.add_fault("register-answer retry-after seconds=-1 times=1")
    azure.add_fault("register-answer retry-after seconds=120 after=1")
    assert device.register().retry_after is None
    assert device.register().retry_after == "120"


def test_the_result_has_other_values_than_usual(azure: RunningAzure, device: Device) -> None:
    azure.add_fault("poll-answer state device_id=other hub=gone.example substatus=deviceDataReset")
    azure.add_fault(at="poll-answer", do="state", set={"etag": None, "new": {"a": 1}})
    azure.add_fault("answer payload")
    state = finished(device).document["registrationState"]
    assert (state["deviceId"], state["assignedHub"]) == ("other", "gone.example")
    assert (state["substatus"], state["new"]) == ("deviceDataReset", {"a": 1})
    assert "etag" not in state
    assert state["payload"] == PAYLOAD


def test_a_body_is_no_json_or_not_whole_or_absent(azure: RunningAzure, device: Device) -> None:
    for words in ("body text={", "body hex=ff00", "truncate bytes=20", "body"):
        azure.add_fault(f"register-answer {words} times=1 after=0")
        said = device.register()
        azure.clear_faults()
        assert said.status == 202
        with pytest.raises(ValueError, match=r"."):
            json.loads(said.body)


def test_unassigned_is_a_status_like_assigning(azure: RunningAzure, device: Device) -> None:
    azure.add_fault("poll-answer unassigned times=1")
    said = device.poll(device.register().document["operationId"])
    assert (said.status, said.document["status"]) == (202, "unassigned")


def test_a_lookup_can_be_told_what_to_say_too(azure: RunningAzure) -> None:
    caller = Https(azure)
    finished(caller)
    azure.add_fault("lookup refuse status=429 times=1")
    azure.add_fault("lookup-answer state hub=another.example")
    assert caller.lookup().status == 429
    assert caller.lookup().document["assignedHub"] == "another.example"
    caller.close()


@pytest.mark.parametrize(
    ("words", "query"),
    [
        ("retry-after name=Retry-After", "$rid=r1&Retry-After=0"),
        ("retry-after first=true", "retry-after=0&$rid=r1"),
        ("retry-after first=true seconds=120 name=RETRY-AFTER", "RETRY-AFTER=120&$rid=r1"),
        ("rid value=r9", "$rid=r9&retry-after=0"),
        ("rid", "$rid=&retry-after=0"),
        ("rid value=a/b#+", "$rid=a%2Fb%23%2B&retry-after=0"),
    ],
)
def test_the_topic_is_spelled_in_another_way(azure: RunningAzure, words: str, query: str) -> None:
    azure.add_fault(f"register-answer {words}")
    device = Mqtt(azure)
    with device.peer:
        device.register()
    assert device.topic == f"$dps/registrations/res/202/?{query}"


@pytest.mark.parametrize(
    ("what", "over", "status", "code"),
    [
        ("register", "mqtt", 401, 401000),
        ("register", "https", 401, 401002),
        ("poll", "websocket", 401, 401000),
        ("register", "mqtt", 404, 404201),
        ("poll", "mqtt", 404, 404203),
        ("lookup", "https", 404, 404201),
        ("poll", "https", 429, 429001),
        ("poll", "https", 503, 503000),
    ],
)
def test_a_refusal_has_the_code_that_protocol_md_2_6_gives(
    what: str, over: str, status: int, code: int
) -> None:
    faults = Faults(lambda _: None, lambda: 0.0, bytes)
    faults.add(parse_text(f"{what} refuse status={status}"))
    exchange = Exchange(what, Whom("dev-1", "", "dps", over), "dev-1")
    told = through(faults, exchange, lambda: Answer(200))
    assert (told.answer.status, told.answer.document["errorCode"]) == (status, code)


def test_a_payload_comes_back_whatever_case_the_id_was_sent_in() -> None:
    faults = Faults(lambda _: None, lambda: 0.0, bytes)
    faults.add(parse_text("answer payload"))
    assigned = Answer(200, {"registrationState": {}})
    for what, id in (("register", "Dev-1"), ("poll", "dEV-1")):
        exchange = Exchange(what, Whom(id, "", "dps", "mqtt"), id, b'{"payload":[1]}')
        told = through(faults, exchange, lambda: assigned)
        assert told.answer.document == {"registrationState": {"payload": [1]}}


def test_https_spells_its_header_in_another_way(azure: RunningAzure) -> None:
    azure.add_fault("register-answer retry-after name=RETRY-AFTER seconds=9")
    caller = Https(azure)
    caller.register()
    assert caller.register().retry_after == "9"
    caller.close()
