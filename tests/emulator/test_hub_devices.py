"""A hub's device API over HTTPS, and the service's side of the same messages."""

import base64
import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.answers import Answer, Refusal
from firstlight.emulator.hub import headers
from firstlight.emulator.hub.messages import C2D
from tests.emulator.hubs import NOW
from tests.emulator.peers import token
from tests.emulator.rest_calls import HOST, KEYS, Bench, error

EVENTS = "/devices/dev/messages/events"
BOUND = "/devices/dev/messages/deviceBound"
BATCH = "application/vnd.microsoft.iothub.json"


def a_bench() -> Bench:
    bench = Bench()
    bench.create()
    return bench


def test_telemetry_keeps_its_body_and_its_properties() -> None:
    bench = a_bench()
    sent = {
        "iothub_app_colour": "50% red",
        "iothub_messageid": "7",
        "iothub_contenttype": "application/json",
        "dt_subject": "thermostat",
        "user_agent": "x",
    }
    answer = bench.ask_as("dev", "POST", EVENTS, b"\xff", **sent)
    assert (answer.status, answer.body) == (204, b"")
    (message,) = bench.heard
    assert message.body == b"\xff"
    assert message.properties == {"colour": "50% red"}
    assert message.system_properties == {
        "message-id": "7",
        "content-type": "application/json",
        "dt-subject": "thermostat",
    }


def test_a_batch_is_as_many_messages() -> None:
    bench = a_bench()
    batch = [
        {"body": base64.b64encode(b"one").decode(), "properties": {"iothub-app-Colour": "red"}},
        {"body": "two", "base64Encoded": False, "properties": {"IoTHub-MessageId": "2"}},
        {"body": ""},
    ]
    assert bench.ask_as("dev", "POST", EVENTS, batch, content_type=BATCH).status == 204
    assert [m.body for m in bench.heard] == [b"one", b"two", b""]
    assert bench.heard[0].properties == {"Colour": "red"}
    assert bench.heard[1].system_properties == {"message-id": "2"}


@pytest.mark.parametrize(
    "batch",
    [
        b"",
        b"{}",
        [],
        ["text"],
        [{"body": "!"}],
        [{"body": 1}],
        [{"body": "", "properties": []}],
        [{"body": "", "properties": {"iothub-app-a": 1}}],
        [{"body": ""}] * 501,
        [{"body": ""}, {}],
    ],
)
def test_a_batch_that_is_wrong_is_refused_whole(batch: Any) -> None:
    bench = a_bench()
    assert error(bench.ask_as("dev", "POST", EVENTS, batch, content_type=BATCH))[0] == 400
    assert not bench.heard


def test_256_kb_are_taken_and_one_byte_more_is_not() -> None:
    bench = a_bench()
    assert bench.ask_as("dev", "POST", EVENTS, b"x" * 262_144).status == 204
    refused = bench.ask_as("dev", "POST", EVENTS, b"x" * 262_144, iothub_app_a="")
    assert error(refused) == (413, "MessageTooLarge")
    many = {f"iothub_app_{i}": "" for i in range(101)}
    assert error(bench.ask_as("dev", "POST", EVENTS, b"", **many))[0] == 400
    assert len(bench.heard) == 1


def send(bench: Bench, body: bytes = b"hello", **sent: str) -> None:
    assert bench.ask("POST", BOUND, body, policy="service", **sent).status == 204


def receive(bench: Bench) -> Answer:
    return bench.ask_as("dev", "GET", BOUND)


def test_a_message_goes_from_the_service_to_the_device() -> None:
    bench = a_bench()
    send(
        bench,
        b"\0hello",
        iothub_app_colour="red",
        iothub_messageid="7",
        iothub_correlationid="c",
        iothub_contenttype="text/plain; charset=utf-8",
        iothub_expiry="2027-01-01T00:00:00.1234567Z",
        iothub_ack="Full",
    )
    assert bench.ask("GET", "/devices/dev").document["cloudToDeviceMessageCount"] == 1
    answer = receive(bench)
    assert (answer.status, answer.body) == (200, b"\0hello")
    lock = answer.headers.pop("ETag")
    assert answer.headers == {
        "iothub-to": "/devices/dev/messages/deviceBound",
        "iothub-sequencenumber": "1",
        "iothub-enqueuedtime": "2026-11-18T11:06:40.0000000Z",
        "iothub-deliverycount": "0",
        "iothub-messageid": "7",
        "iothub-correlationid": "c",
        "iothub-contenttype": "text/plain; charset=utf-8",
        "iothub-expiry": "2027-01-01T00:00:00.1234560Z",
        "iothub-ack": "full",
        "iothub-app-colour": "red",
    }
    assert receive(bench).status == 204
    assert bench.ask_as("dev", "DELETE", f"{BOUND}/{lock[1:-1]}").status == 204
    assert bench.ask("GET", "/twins/dev").document["cloudToDeviceMessageCount"] == 0


def test_the_general_path_names_the_device_in_a_header() -> None:
    bench = a_bench()
    for to in (
        "/devices/dev/messages/deviceBound",
        "/devices/dev",
        "/devices/dev/messages/devicebound",
    ):
        answer = bench.ask("POST", "/messages/deviceBound", b"x", policy="service", iothub_to=to)
        assert answer.status == 204
    for to in ("", "dev", "/devices//messages/deviceBound", "/devices/dev/messages/events"):
        answer = bench.ask("POST", "/messages/deviceBound", b"x", policy="service", iothub_to=to)
        assert error(answer) == (400, "ArgumentInvalid")
    assert bench.ask("DELETE", "/devices/dev/commands").document == {
        "deviceId": "dev",
        "moduleId": None,
        "totalMessagesPurged": 3,
    }


def test_the_device_path_takes_a_message_with_the_services_token_only() -> None:
    bench = a_bench()
    call = bench.call("POST", BOUND, b"x", bench.signed("service"), {})
    assert bench.devices.handle(call, NOW).status == 204
    assert error(bench.ask_as("dev", "POST", BOUND, b"x")) == (401, "IotHubUnauthorizedAccess")


def test_a_message_is_abandoned_rejected_and_completed_by_its_lock() -> None:
    bench = a_bench()
    send(bench, iothub_messageid="7", iothub_ack="full")
    first = receive(bench).headers["ETag"].strip('"')
    assert bench.ask_as("dev", "POST", f"{BOUND}/{first}/abandon").status == 204
    again = receive(bench)
    assert again.headers["iothub-deliverycount"] == "1"
    for path in (f"{BOUND}/{first}", f"{BOUND}/{first}?reject=", f"{BOUND}/x"):
        assert error(bench.ask_as("dev", "DELETE", path)) == (412, "DeviceMessageLockLost")
    second = again.headers["ETag"]
    assert bench.ask_as("dev", "DELETE", f"{BOUND}/{second}?reject=").status == 204
    feedback = bench.ask("GET", "/messages/serviceBound/feedback", policy="service")
    assert [record["statusCode"] for record in json.loads(feedback.body)] == ["Rejected"]


def test_feedback_is_read_and_completed() -> None:
    bench = a_bench()
    path = "/messages/servicebound/feedback"
    assert bench.ask("GET", path).status == 204
    send(bench, iothub_messageid="7", iothub_ack="positive")
    lock = receive(bench).headers["ETag"].strip('"')
    bench.ask_as("dev", "DELETE", f"{BOUND}/{lock}")
    answer = bench.ask("GET", path)
    (record,) = answer.document
    assert answer.content_type == "application/vnd.microsoft.iothub.feedback.json"
    assert (record["originalMessageId"], record["deviceId"]) == ("7", "dev")
    assert record["statusCode"] == "Success"
    token = answer.headers["ETag"].strip('"')
    assert bench.ask("POST", f"{path}/{token}/abandon").status == 204
    assert error(bench.ask("DELETE", f"{path}/{token}")) == (412, "DeviceMessageLockLost")
    token = bench.ask("GET", path).headers["ETag"].strip('"')
    assert bench.ask("DELETE", f"{path}/{token}").status == 204
    assert bench.ask("GET", path).status == 204


@pytest.mark.parametrize(
    ("sent", "body", "expected"),
    [
        ({"iothub_ack": "maybe"}, b"", 400),
        ({"iothub_expiry": "tomorrow"}, b"", 400),
        ({"iothub_expiry": "99999-01-01T00:00:00Z"}, b"", 400),
        ({}, b"x" * 65_537, 413),
    ],
)
def test_a_message_that_cannot_be_is_refused(
    sent: dict[str, str], body: bytes, expected: int
) -> None:
    bench = a_bench()
    assert error(bench.ask("POST", BOUND, body, **sent))[0] == expected
    assert receive(bench).status == 204


def test_the_queue_holds_fifty_messages() -> None:
    bench = a_bench()
    for _ in range(50):
        send(bench)
    answer = bench.ask("POST", BOUND, b"x")
    assert error(answer) == (403, "DeviceMaximumQueueDepthExceeded")


def refused(bench: Bench, authorization: str, path: str = EVENTS) -> tuple[int, str]:
    answer = bench.devices.handle(bench.call("POST", path, b"x", authorization, {}), NOW)
    assert not bench.heard
    return error(answer)


UNAUTHORIZED = 401, "IotHubUnauthorizedAccess"


def test_a_device_needs_a_token_of_its_own() -> None:
    bench = a_bench()
    bench.create("other")
    own = f"{HOST}/devices/dev"
    assert refused(bench, "") == UNAUTHORIZED
    assert refused(bench, token(own, "AAAA", skn=None)) == UNAUTHORIZED
    assert refused(bench, token(own, KEYS[0], int(NOW), None)) == UNAUTHORIZED
    assert refused(bench, token(f"{HOST}/devices/other", KEYS[0], skn=None)) == UNAUTHORIZED
    assert refused(bench, token(f"{HOST}/devices/de", KEYS[0], skn=None)) == UNAUTHORIZED
    assert refused(bench, token(HOST, KEYS[0], skn=None)) == UNAUTHORIZED
    assert refused(bench, token("their-hub/devices/dev", KEYS[0], skn=None)) == UNAUTHORIZED
    assert refused(bench, bench.signed("service")) == UNAUTHORIZED
    nobody = token(f"{HOST}/devices/nobody", KEYS[0], skn=None)
    assert refused(bench, nobody, "/devices/nobody/messages/events") == UNAUTHORIZED
    bench.hub.set_enabled("dev", False, NOW)
    assert refused(bench, token(own, KEYS[0], skn=None)) == UNAUTHORIZED
    assert refused(bench, bench.signed("device")) == UNAUTHORIZED


def test_a_key_is_nothing_once_the_device_has_certificates() -> None:
    bench = a_bench()
    change = {"authentication": {"type": "certificateAuthority"}}
    assert bench.ask("PUT", "/devices/dev", change, if_match="*").status == 200
    own = token(f"{HOST}/devices/dev", KEYS[0], skn=None)
    assert refused(bench, own) == UNAUTHORIZED


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("part", ["", "/messages/events"])
def test_a_device_may_use_either_key_and_a_narrower_token(key: str, part: str) -> None:
    bench = a_bench()
    sas = token(f"{HOST.upper()}/devices/dev{part}", key, skn=None)
    assert bench.devices.handle(bench.call("POST", EVENTS, b"", sas, {}), NOW).status == 204


def test_a_policy_with_device_connect_speaks_for_any_device() -> None:
    bench = a_bench()
    call = bench.call("POST", EVENTS, b"x", bench.signed("device"), {})
    assert bench.devices.handle(call, NOW).status == 204
    bench.heard.clear()
    unknown = refused(bench, bench.signed("device"), "/devices/nobody/messages/events")
    assert unknown == (404, "DeviceNotFound")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", EVENTS),
        ("PUT", BOUND),
        ("DELETE", BOUND),
        ("POST", f"{BOUND}/lock"),
        ("POST", f"{BOUND}/lock/defer"),
        ("GET", "/devices/dev/files"),
    ],
)
def test_what_a_device_cannot_call_is_not_found(method: str, path: str) -> None:
    assert error(a_bench().ask_as("dev", method, path)) == (404, "GenericNotFound")


texts = st.text(max_size=20)


@given(st.dictionaries(texts, texts | st.none(), max_size=4), texts, texts)
def test_whatever_a_message_holds_goes_out_as_headers(
    properties: dict[str, str | None], id: str, type: str
) -> None:
    system = {"message-id": id, "content-type": type}
    message = C2D(b"", properties, system, "full", NOW, lock_token="l")
    for name, value in headers.written_c2d(message, "a%b#c").items():
        assert re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name)
        assert re.fullmatch(r"([!-~]([ -~]*[!-~])?)?", value)


@given(st.dictionaries(st.sampled_from([*headers.D2C, "iothub-app-a", "iothub-ack"]), texts))
def test_whatever_headers_hold_is_a_message_or_a_refusal(sent: dict[str, str]) -> None:
    headers.read_properties(sent)
    with suppress(Refusal):
        headers.device_of(sent.get("iothub-to", ""))
    with suppress(Refusal):
        assert headers.read_c2d(sent, b"").size >= 0
