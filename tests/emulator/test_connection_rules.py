"""What protocol.md leaves open about DPS's connections: each plausible way, and the usual one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from firstlight.emulator.mqtt.rules import ConnectionRules
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from firstlight.errors import UsageError
from tests.emulator.broken import CLOSED, SILENT, Observer, at_dps, greeting
from tests.emulator.peers import REGISTER, RESULTS, connect, packet, publish, subscribe, token

PING, PONG = packet(0xC0, b""), b"\xd0\0"
CONNACK = b"\x20\2\0\0"
SOON_S = 0.3


@contextmanager
def azure_with(auth_at: str = "register", **rules: Any) -> Iterator[RunningAzure]:
    settings = Settings(
        mqtt_port=0, https_port=0, auth_at=auth_at, connection_rules=ConnectionRules(**rules)
    )
    with running_azure(settings) as azure:
        yield azure


def connected(azure: RunningAzure, data: bytes, patience_s: float = 10) -> tuple[bytes, str]:
    """What a fresh connection that sends this is told, and how it ends."""
    with Observer(azure) as peer:
        peer.send(data)
        return peer.rest(patience_s)


@pytest.mark.parametrize(
    ("field", "usual"),
    [("scope_code", 0), ("version_code", 5), ("id_code", 2), ("user_code", 4), ("token_code", 5)],
)
@pytest.mark.parametrize("code", [None, 2, 5])
def test_connack_refuses_with_the_code_that_is_set(
    field: str, usual: int, code: int | None
) -> None:
    rules = {} if code is None else {field: code}
    code = usual if code is None else code
    with azure_with("connect" if field == "token_code" else "register", **rules) as azure:
        azure.enroll_device("dev-1")
        right = f"{azure.id_scope}/registrations/dev-1/api-version=2019-03-31"
        user = {
            "scope_code": "0neFFFFFFFF/registrations/dev-1/api-version=2019-03-31",
            "version_code": right + "-unheard-of",
            "user_code": "nonsense",
        }.get(field, right)
        client_id = "dev-2" if field == "id_code" else "dev-1"
        told, how = connected(azure, connect(client_id, user, "x") + PING, 1 if not code else 10)
    assert told[:4] == b"\x20\2\0" + bytes([code])
    assert (how, told[4:]) == ((CLOSED, b"") if code else (SILENT, PONG))


@pytest.mark.parametrize(
    ("field", "scope", "version", "client_id", "status"),
    [
        ("scope_code", "0neFFFFFFFF", "2019-03-31", "dev-1", b"404"),
        ("version_code", None, "2031-01-01", "dev-1", b"400"),
        ("id_code", None, "2019-03-31", "dev-2", b"202"),
    ],
)
def test_what_connack_let_in_is_answered_at_register(
    field: str, scope: str | None, version: str, client_id: str, status: bytes
) -> None:
    rules: dict[str, Any] = {field: 0}
    with azure_with(**rules) as azure, Observer(azure) as peer:
        key = azure.enroll_device("dev-1").keys.primary_b64
        resource = f"{scope or azure.id_scope}/registrations/dev-1"
        hello = connect(client_id, f"{resource}/api-version={version}", token(resource, key))
        peer.send(hello + subscribe(RESULTS) + publish(REGISTER + "1", b"{}", 0))
        assert [peer.read()[0] for _ in range(2)] == [0x20, 0x90]
        assert b"$dps/registrations/res/" + status + b"/?$rid=1" in peer.read()[1]


@pytest.mark.parametrize(
    ("rules", "data"),
    [
        ({"foreign_topic": "ignore"}, publish("$dps/registrations/OTHER/", b"", 1)),
        ({"qos2": "ignore"}, publish(REGISTER + "1", b"", 2)),
        ({"denied_subscribe": "failure"}, subscribe("$dps/other/#")),
    ],
)
def test_what_dps_does_not_know_is_ignored_if_it_is_told_so(
    rules: dict[str, str], data: bytes
) -> None:
    with azure_with() as azure, at_dps(azure) as peer:
        peer.send(data + PING)
        assert peer.rest() == (b"", CLOSED)
    with azure_with(**rules) as azure, at_dps(azure) as peer:
        peer.send(data + PING)
        answer = {"foreign_topic": b"\x40\2\0\7", "denied_subscribe": b"\x90\3\0\1\x80"}
        assert peer.rest(SOON_S) == (answer.get(next(iter(rules)), b"") + PONG, SILENT)


def test_connections_of_one_registration_id_are_parallel_or_one_wins() -> None:
    for parallel, older, newer in (
        ("allow", (PONG, SILENT), (CONNACK + PONG, SILENT)),
        ("newest", (b"", CLOSED), (CONNACK + PONG, SILENT)),
        ("oldest", (PONG, SILENT), (b"\x20\2\0\2", CLOSED)),
    ):
        with azure_with(parallel=parallel) as azure, at_dps(azure) as first:
            key = azure.enroll_device("dev-1").keys.primary_b64  # it keeps its keys
            assert connected(azure, greeting(azure, "dev-1", key) + PING, SOON_S) == newer
            if older[1] != CLOSED:
                first.send(PING)
            assert first.rest(SOON_S) == older


def test_a_place_that_is_left_can_be_taken() -> None:
    with azure_with(parallel="oldest") as azure:
        for _ in range(3):
            with at_dps(azure) as peer:
                peer.send(packet(0xE0, b""))
                assert peer.rest() == (b"", CLOSED)


@pytest.mark.parametrize(("after_error", "how"), [("keep", SILENT), ("close", CLOSED)])
def test_a_connection_outlives_an_error_or_ends_after_it(after_error: str, how: str) -> None:
    with azure_with(after_error=after_error) as azure:
        azure.enroll_device("dev-1")
        wrong = greeting(azure, "dev-1", "AAAA") + subscribe(RESULTS)
        asked = wrong + publish(REGISTER + "1", b"{}")
        data, seen = connected(azure, asked, SOON_S if how == SILENT else 10)
    assert b"$dps/registrations/res/401/?$rid=1" in data
    assert seen == how


def test_silence_is_bounded_whatever_the_keepalive() -> None:
    began = time.monotonic()
    with azure_with(max_silence_s=1) as azure:
        key = azure.enroll_device("dev-1").keys.primary_b64
        user = f"{azure.id_scope}/registrations/dev-1"
        password = token(user, key)
        hello = connect("dev-1", f"{user}/api-version=2019-03-31", password, 60)
        assert connected(azure, hello) == (CONNACK, CLOSED)
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"qos2": "maybe"},
        {"scope_code": 256},
        {"user_code": 0},
        {"token_code": -1},
        {"max_silence_s": 0},
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Settings(connection_rules=ConnectionRules(**wrong)).check()
