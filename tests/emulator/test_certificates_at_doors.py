"""A client's certificate at each door of the local Azure: MQTT, WebSocket and HTTPS."""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest

from firstlight.emulator.hub.credential import by_thumbprints
from firstlight.emulator.mqtt.rules import ConnectionRules
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from firstlight.errors import UsageError
from tests.certificates import Issued, make_ca, make_leaf, make_root
from tests.emulator.http.framing import Framed
from tests.emulator.peers import (
    PATIENCE_S,
    POLL,
    REGISTER,
    RESULTS,
    Peer,
    connect,
    publish,
    subscribe,
    token,
)
from tests.emulator.tls_ends import client_context

ID = "dev-1"
AT_HUB = f"localhost/{ID}/?api-version=2021-04-12"
EVENTS = f"devices/{ID}/messages/events/"
CONNACK = b"\x20\2\0"


@cache
def device() -> Issued:
    """Signed by a CA, and sent with it."""
    return make_leaf(make_ca(make_root()), ID)


@cache
def own() -> Issued:
    """Self-signed."""
    return make_leaf(None, ID)


@contextmanager
def azure_with(**rules: Any) -> Iterator[RunningAzure]:
    settings = Settings(
        mqtt_port=0,
        https_port=0,
        retry_after_s=0,
        polls_before_assigned=0,
        connection_rules=ConnectionRules(**rules),
    )
    with running_azure(settings) as running:
        yield running


@pytest.fixture(scope="module")
def azure() -> Iterator[RunningAzure]:
    """One whose hub knows the device by its certificate, as DPS does."""
    with azure_with() as running:
        know(running)
        running.enroll_x509(ID, own().pem)
        yield running


def know(azure: RunningAzure) -> None:
    credential = by_thumbprints(own().sha256)
    azure.call(lambda local: local.hubs["localhost"].put_device(ID, credential, time.time()))


def tls(azure: RunningAzure, shown: Issued | None) -> ssl.SSLContext:
    return client_context(shown, root_pem=azure.root_pem.read_text())


def over_mqtt(azure: RunningAzure, context: ssl.SSLContext, data: bytes, count: int) -> bytes:
    with Peer(azure, context) as peer:
        peer.send(data)
        return peer.socket.recv(count)


def over_websocket(azure: RunningAzure, context: ssl.SSLContext, data: bytes, count: int) -> bytes:
    with Framed(azure, tls=context) as peer:
        peer.send(data)
        return peer.read(count)


Carry = Callable[[RunningAzure, ssl.SSLContext, bytes, int], bytes]


@pytest.mark.parametrize("carry", [over_mqtt, over_websocket])
@pytest.mark.parametrize("password", [None, ""])
@pytest.mark.parametrize(("shown", "code"), [(own, 0), (device, 5), (None, 5)])
def test_a_hub_judges_the_certificate_of_whoever_sends_no_password(
    azure: RunningAzure,
    carry: Carry,
    password: str | None,
    shown: Callable[[], Issued] | None,
    code: int,
) -> None:
    context = tls(azure, shown and shown())
    told = carry(azure, context, connect(ID, AT_HUB, password), 4)
    assert told == CONNACK + bytes([code])


@pytest.mark.parametrize("at", [AT_HUB, "{scope}/registrations/dev-1/api-version=2019-03-31"])
def test_an_empty_password_beside_a_certificate_is_refused_if_that_is_set(at: str) -> None:
    with azure_with(empty_password="refuse", token_code=4) as azure:
        know(azure)
        user, context = at.format(scope=azure.id_scope), tls(azure, own())
        assert over_mqtt(azure, context, connect(ID, user, ""), 4) == CONNACK + b"\4"
        assert over_mqtt(azure, context, connect(ID, user, None), 4) == CONNACK + b"\0"


def test_an_empty_password_is_accepted_or_refused_and_nothing_else() -> None:
    with pytest.raises(UsageError, match="empty_password is one of accept, refuse"):
        ConnectionRules(empty_password="perhaps").check()


def test_the_log_tells_whose_certificate_a_device_came_with(azure: RunningAzure) -> None:
    hello = connect(ID, AT_HUB, None)
    assert over_mqtt(azure, tls(azure, own()), hello, 4) == CONNACK + b"\0"
    told = [event["what"] for event in azure.log if event["part"] == "hub"]
    assert f"connected to localhost with a certificate of {ID!r}" in told


def asked(
    azure: RunningAzure, shown: Issued | None, method: str, path: str, **headers: str
) -> tuple[int, Any]:
    """One HTTPS call, by default without an Authorization header."""
    wire = http.client.HTTPSConnection(
        "localhost", azure.https_port, timeout=PATIENCE_S, context=tls(azure, shown)
    )
    try:
        sent = {"Content-Type": "application/json", **headers}
        wire.request(method, path, "{}" if method != "GET" else None, sent)
        answer = wire.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        wire.close()


def test_a_hub_judges_the_certificate_of_https_calls_without_a_token(
    azure: RunningAzure,
) -> None:
    path = f"/devices/{ID}/messages/events?api-version=2021-04-12"
    assert asked(azure, own(), "POST", path) == (204, None)
    assert asked(azure, device(), "POST", path)[0] == 401
    assert asked(azure, None, "POST", path)[0] == 401


def registered(
    azure: RunningAzure, shown: Issued | None, password: str | None
) -> tuple[str, dict[str, Any]]:
    """The status and the body of a register over MQTT, once it is not assigning any more."""
    user = f"{azure.id_scope}/registrations/{ID}/api-version=2019-03-31"
    with Peer(azure, tls(azure, shown)) as peer:
        peer.send(connect(ID, user, password) + subscribe(RESULTS) + publish(REGISTER + "1"))
        topic, body = peer.read_message()
        answer = json.loads(body)
        while answer.get("status") == "assigning":
            peer.send(publish(f"{POLL}2&operationId={answer['operationId']}"))
            topic, body = peer.read_message()
            answer = json.loads(body)
        return topic.split("/")[3], answer


@pytest.mark.parametrize("password", [None, ""])
def test_dps_judges_the_certificate_of_each_request_over_mqtt(
    azure: RunningAzure, password: str | None
) -> None:
    status, answer = registered(azure, own(), password)
    assert (status, answer["status"]) == ("200", "assigned")
    assert registered(azure, device(), password)[0] == "401"
    assert registered(azure, None, password)[0] == "401"


def test_dps_judges_the_certificate_of_each_call_over_https(azure: RunningAzure) -> None:
    path, version = f"/{azure.id_scope}/registrations/{ID}", "?api-version=2021-06-01"
    status, answer = asked(azure, own(), "PUT", f"{path}/register{version}")
    assert status in (200, 202)
    operation = f"{path}/operations/{answer['operationId']}{version}"
    assert asked(azure, own(), "GET", operation)[0] == 200
    assert asked(azure, own(), "POST", f"{path}{version}")[0] == 200
    for shown in (None, device()):
        assert asked(azure, shown, "PUT", f"{path}/register{version}")[0] == 401
        assert asked(azure, shown, "GET", operation)[0] == 401
        assert asked(azure, shown, "POST", f"{path}{version}")[0] == 401


def test_the_enrollment_says_which_of_a_token_and_a_certificate_counts(
    azure: RunningAzure,
) -> None:
    enrolled = azure.enroll_device("by-key")
    resource = f"{azure.id_scope}/registrations/by-key"
    right = token(resource, enrolled.keys.primary_b64)
    path = f"/{resource}/register?api-version=2021-06-01"
    assert asked(azure, own(), "PUT", path, Authorization=right)[0] in (200, 202)
    assert asked(azure, own(), "PUT", path)[0] == 401
    by_certificate = f"/{azure.id_scope}/registrations/{ID}/register?api-version=2021-06-01"
    assert asked(azure, own(), "PUT", by_certificate, Authorization=right)[0] in (200, 202)
