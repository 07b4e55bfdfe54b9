"""Direct methods without servers: who waits for whom, and what a call may say."""

import asyncio
import json
from typing import Any

import pytest

from firstlight.emulator.answers import Answer, Refusal
from firstlight.emulator.http.methods import invoke
from firstlight.emulator.hub.hub import Hub
from firstlight.emulator.hub.methods import MethodCall, read_answer, read_call
from tests.emulator.hubs import BY_KEYS, NOW, Line, a_hub

METHODS = "$iothub/methods/POST/#"


def hub_with_device() -> Hub:
    hub = a_hub()
    hub.put_device("dev", BY_KEYS, NOW)
    hub.put_device("other", BY_KEYS, NOW)
    return hub


def there(hub: Hub, topic_filter: str = METHODS) -> Line:
    line = Line()
    hub.attach("dev", line, NOW)
    line.subscribe(hub, topic_filter, 0)
    return line


def ask(hub: Hub, device_id: str = "dev", **call: Any) -> "asyncio.Task[Answer]":
    body = json.dumps({"methodName": "reboot"} | call).encode()
    return asyncio.create_task(invoke(hub, device_id, body, lambda: NOW))


def rid_of(line: Line) -> str:
    return line.sent[-1][0].partition("$rid=")[2]


async def until(true: Any) -> None:
    """Let others go on until it is so."""
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0)
    pytest.fail("it never came")


def test_a_call_waits_for_a_device_that_is_to_come_and_to_subscribe() -> None:
    async def story() -> None:
        hub = hub_with_device()
        calls = [ask(hub, connectTimeoutInSeconds=60) for _ in range(2)]
        await asyncio.sleep(0)
        line = there(hub, "$iothub/methods/POST/other/#")
        await asyncio.sleep(0)
        assert line.sent == []
        line.subscribe(hub, METHODS, 0)
        await until(lambda: len(line.sent) == 2)
        for topic, _ in line.sent:
            assert hub.method_answered("dev", topic.partition("$rid=")[2], 200, b"1")
        assert [(await call).document for call in calls] == [{"status": 200, "payload": 1}] * 2

    asyncio.run(story())


def test_a_call_that_is_given_up_leaves_nothing_behind() -> None:
    async def story() -> None:
        hub = hub_with_device()
        waits = ask(hub, connectTimeoutInSeconds=60)
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.wait([waits])
        assert hub._calls._hopeful == {}
        line = there(hub)
        assert line.sent == []
        called = ask(hub)
        await until(lambda: line.sent)
        called.cancel()
        await asyncio.wait([called])
        assert not hub.method_answered("dev", rid_of(line), 200, b"")

    asyncio.run(story())


def test_a_device_that_comes_too_late_is_not_online(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        clock = asyncio.get_running_loop()
        began = clock.time()
        monkeypatch.setattr(clock, "time", lambda: began)
        call = ask(hub_with_device(), connectTimeoutInSeconds=1)
        await asyncio.sleep(0)
        monkeypatch.setattr(clock, "time", lambda: began + 2)
        answer = await call
        assert (answer.status, answer.headers["iothub-errorcode"]) == (404, "DeviceNotOnline")

    asyncio.run(story())


def test_an_answer_counts_only_from_the_device_that_was_called_and_once() -> None:
    async def story() -> None:
        hub = hub_with_device()
        line = there(hub)
        call = ask(hub, payload=[1, {"a": None}])
        await until(lambda: line.sent)
        assert line.sent[0][1] == b'[1,{"a":null}]'
        rid = rid_of(line)
        assert not hub.method_answered("other", rid, 200, b'"forged"')
        assert not hub.method_answered("dev", rid + "0", 200, b'"forged"')
        assert hub.method_answered("dev", rid, -7, b'"true"')
        assert not hub.method_answered("dev", rid, 200, b'"late"')
        assert (await call).document == {"status": -7, "payload": "true"}

    asyncio.run(story())


@pytest.mark.parametrize("body", [b"no", b"NaN", b"1e999", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_not_json_is_a_bad_gateway(body: bytes) -> None:
    async def story() -> None:
        hub = hub_with_device()
        line = there(hub)
        call = ask(hub)
        await until(lambda: line.sent)
        assert hub.method_answered("dev", rid_of(line), 200, body)
        answer = await call
        assert answer.status == 502
        assert answer.body

    asyncio.run(story())


def test_an_unknown_device_is_404_and_bad_json_400() -> None:
    async def story() -> None:
        hub = hub_with_device()
        assert (await ask(hub, "nobody")).headers["iothub-errorcode"] == "DeviceNotFound"
        for body in (b"{", b"[]", b""):
            assert (await invoke(hub, "dev", body, lambda: NOW)).status == 400

    asyncio.run(story())


def test_too_many_calls_at_once_are_429() -> None:
    hub = hub_with_device()
    there(hub)
    for _ in range(10_000):
        hub.call_method("dev", "m", b"", lambda *_: None)
    with pytest.raises(Refusal) as caught:
        hub.call_method("dev", "m", b"", lambda *_: None)
    assert caught.value.status == 429


def test_a_payload_is_utf_8_and_counts_as_such() -> None:
    assert read_call({"methodName": "m", "payload": {"k": "ü"}}).payload == '{"k":"ü"}'.encode()
    assert read_call({"methodName": "m", "payload": "\ud800"}).payload == b'"\\ud800"'
    assert len(read_call({"methodName": "m", "payload": "ü" * 65_535}).payload) == 131_072
    with pytest.raises(Refusal, match="128 KB"):
        read_call({"methodName": "m", "payload": "ü" * 65_535 + "x"})


def test_time_outs_are_read_with_azures_defaults_and_a_zero_is_none_given() -> None:
    assert read_call({"methodName": "m"}) == MethodCall("m", b"", 30, 0)
    document = {"methodName": "m", "responseTimeoutInSeconds": 0, "connectTimeoutInSeconds": 300}
    assert read_call(document | {"payload": False}) == MethodCall("m", b"false", 30, 300)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("$iothub/methods/res/200/?$rid=1f", (200, "1f")),
        ("$iothub/methods/res/-1/?$rid=&x=y", (-1, "")),
        ("$iothub/methods/res/ok/?$rid=1", None),
        ("$iothub/methods/res/9999999999/?$rid=1", None),
        ("$iothub/methods/res/200/", None),
    ],
)
def test_the_topic_of_an_answer_is_read(topic: str, expected: tuple[int, str] | None) -> None:
    assert read_answer(topic) == expected
