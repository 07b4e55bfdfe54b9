"""A device at its hub over real TLS sockets: its twin, and its direct methods over HTTPS."""

import json
import threading
from typing import Any

import pytest

from firstlight.emulator.running import RunningAzure
from tests.emulator.peers import join_hub, publish, token
from tests.emulator.talks import answered, subscribed
from tests.emulator.test_http import Client, a_device
from tests.emulator.test_mqtt import logged

METHODS = "/twins/dev-1/methods?api-version=2021-04-12"


@pytest.fixture
def key(azure: RunningAzure) -> str:
    return a_device(azure)


@pytest.fixture
def service(azure: RunningAzure) -> Client:
    """HTTPS to the hub, with a token of the policy `service`."""
    client = Client(azure)

    def policy_key(local: Any) -> str:
        return str(local.hubs["localhost"].policies.get("service").keys.primary_b64)

    client.token = token("localhost", azure.call(policy_key), skn="service")
    return client


def test_twins_are_read_reported_and_notified(
    azure: RunningAzure, key: str, service: Client
) -> None:
    with join_hub(azure, "dev-1", key) as peer:
        subscribed(peer, "$iothub/twin/res/#", 0)
        subscribed(peer, "$iothub/twin/PATCH/properties/desired/#", 0)
        reported = "$iothub/twin/PATCH/properties/reported/?$rid="
        peer.send(publish(reported + "a1", b'{"t": {"x": 1, "y": 2}}', 0))
        topic, body = peer.read_message()
        assert (topic, body) == ("$iothub/twin/res/204/?$rid=a1&$version=2", b"")
        peer.send(publish(reported + "a2", b'{"t": {"x": null}}', 0))
        assert peer.read_message()[0] == "$iothub/twin/res/204/?$rid=a2&$version=3"
        patch = {"properties": {"desired": {"rate": 5}}}
        status, _ = service.ask("PATCH", "/twins/dev-1?api-version=2021-04-12", patch)
        assert status == 200
        topic, body = peer.read_message()
        assert topic == "$iothub/twin/PATCH/properties/desired/?$version=2"
        assert json.loads(body) == {"rate": 5, "$version": 2}
        peer.send(publish("$iothub/twin/GET/?$rid=a3", b"", 0))
        topic, body = peer.read_message()
        assert topic == "$iothub/twin/res/200/?$rid=a3"
        assert json.loads(body) == {
            "desired": {"rate": 5, "$version": 2},
            "reported": {"t": {"y": 2}, "$version": 3},
        }


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"a": NaN}', 400),
        (b'{"a.b": 1}', 400),
        (b'{"a": "%s"}' % (b"x" * 5000), 400),
        (b"{" + b",".join(b'"k%d": "%s"' % (n, b"x" * 4000) for n in range(9)) + b"}", 413),
    ],
)
def test_a_twin_that_cannot_be_is_refused_and_changes_nothing(
    azure: RunningAzure, key: str, body: bytes, status: int
) -> None:
    with subscribed(join_hub(azure, "dev-1", key), "$iothub/twin/res/#", 0) as peer:
        peer.send(publish("$iothub/twin/PATCH/properties/reported/?$rid=1", body, 0))
        topic, answer = peer.read_message()
        assert topic == f"$iothub/twin/res/{status}/?$rid=1"
        assert json.loads(answer)["errorCode"] // 1000 == status
        peer.send(publish("$iothub/twin/GET/?$rid=2", b"", 0))
        assert json.loads(peer.read_message()[1])["reported"] == {"$version": 1}


def test_a_twin_answer_goes_only_to_a_device_that_subscribed(
    azure: RunningAzure, key: str
) -> None:
    with join_hub(azure, "dev-1", key) as peer:
        peer.send(publish("$iothub/twin/GET/?$rid=1", b"", 1))
        assert peer.read() == (0x40, b"\0\7")
        answered(peer)
    assert logged(azure, "did not subscribe")


class Caller(threading.Thread):
    """Calls a method over HTTPS; result() waits for the answer."""

    def __init__(self, service: Client, document: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._service, self._document = service, document
        self._result: tuple[int, Any] | None = None
        self.start()

    def run(self) -> None:
        self._result = self._service.ask("POST", METHODS, self._document)

    def result(self) -> tuple[int, Any]:
        self.join(20)
        assert self._result is not None
        return self._result


@pytest.mark.parametrize(
    ("answer", "status", "document"),
    [
        (b'{"ok": true}', 200, {"status": 207, "payload": {"ok": True}}),
        (b"", 200, {"status": 207, "payload": None}),
        (b"no json", 502, None),
    ],
)
def test_a_method_is_called_and_answered(
    azure: RunningAzure,
    key: str,
    service: Client,
    answer: bytes,
    status: int,
    document: Any,
) -> None:
    with subscribed(join_hub(azure, "dev-1", key), "$iothub/methods/POST/#", 0) as peer:
        caller = Caller(service, {"methodName": "reboot", "payload": {"in_s": 5}})
        topic, body = peer.read_message()
        path, _, rid = topic.partition("/?$rid=")
        assert (path, json.loads(body)) == ("$iothub/methods/POST/reboot", {"in_s": 5})
        peer.send(publish(f"$iothub/methods/res/1/?$rid={rid}x", b"{}", 1))
        assert peer.read() == (0x40, b"\0\7")
        peer.send(publish(f"$iothub/methods/res/207/?$rid={rid}", answer, 0))
        found = caller.result()
        assert found[0] == status
        if document is not None:
            assert found[1] == document
        peer.send(publish(f"$iothub/methods/res/207/?$rid={rid}", answer, 0))
        answered(peer)
    assert logged(azure, "nobody waits for")


def test_a_method_waits_for_a_device_that_is_to_connect(
    azure: RunningAzure, key: str, service: Client
) -> None:
    caller = Caller(service, {"methodName": "reboot", "connectTimeoutInSeconds": 20})
    with subscribed(join_hub(azure, "dev-1", key), "$iothub/methods/POST/#", 0) as peer:
        rid = peer.read_message()[0].partition("/?$rid=")[2]
        peer.send(publish(f"$iothub/methods/res/200/?$rid={rid}", b"1", 0))
        assert caller.result() == (200, {"status": 200, "payload": 1})


@pytest.mark.parametrize("is_there", [False, True])
def test_a_method_finds_nobody_and_says_so_at_once(
    azure: RunningAzure, key: str, service: Client, is_there: bool
) -> None:
    def ask() -> None:
        status, error = service.ask("POST", METHODS, {"methodName": "reboot"})
        assert status == 404
        assert json.loads(error["Message"])["errorCode"] == 404103

    if not is_there:
        ask()
        return
    with join_hub(azure, "dev-1", key):
        ask()


def test_a_method_that_is_not_answered_times_out(
    azure: RunningAzure, key: str, service: Client
) -> None:
    with subscribed(join_hub(azure, "dev-1", key), "$iothub/methods/POST/reboot/#", 0):
        call = {"methodName": "reboot", "responseTimeoutInSeconds": 5}
        status, error = service.ask("POST", METHODS, call)
    assert status == 504
    assert json.loads(error["Message"])["errorCode"] == 504101


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ({}, 400),
        ({"methodName": "a/b"}, 400),
        ({"methodName": "a", "responseTimeoutInSeconds": 4}, 400),
        ({"methodName": "a", "responseTimeoutInSeconds": 301}, 400),
        ({"methodName": "a", "connectTimeoutInSeconds": 1.5}, 400),
        ({"methodName": "a", "payload": "x" * 131_072}, 413),
    ],
)
def test_a_call_that_cannot_be_is_refused(
    azure: RunningAzure, key: str, service: Client, call: dict[str, Any], status: int
) -> None:
    assert service.ask("POST", METHODS, call)[0] == status
