"""The MQTT server over real TLS sockets: what it says, whom it drops, and whom it leaves alone."""

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.peers import (
    PATIENCE_S,
    POLL,
    REGISTER,
    Peer,
    connect,
    join_dps,
    join_hub,
    packet,
    publish,
    sign,
    subscribe,
    text,
    token,
)

EVENTS = "devices/dev-1/messages/events/"


def assigned(azure: RunningAzure, id: str = "dev-1") -> str:
    """Register a device through MQTT; its key."""
    key = azure.enroll_device(id).keys.primary_b64
    with join_dps(azure, id, key) as peer:
        peer.send(publish(REGISTER + "r1", b"{}"))
        topic, payload = peer.read_message()
        assert topic == "$dps/registrations/res/202/?$rid=r1&retry-after=0"
        operation = json.loads(payload)["operationId"]
        peer.send(publish(POLL + f"r2&operationId={operation}", b" "))
        assert peer.read_message()[0].startswith("$dps/registrations/res/202/?$rid=r2")
        peer.send(publish(POLL + f"r3&operationId={operation}"))
        topic, payload = peer.read_message()
        assert topic == "$dps/registrations/res/200/?$rid=r3"
        assert json.loads(payload)["registrationState"]["assignedHub"] == "localhost"
    return key


def logged(azure: RunningAzure, part: str) -> bool:
    """Whether an event says so, within a bound."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if any(part in event["what"] for event in azure.log):
            return True
    return False


def test_a_device_registers_and_its_telemetry_is_read_back(azure: RunningAzure) -> None:
    key = assigned(azure)
    with join_hub(azure, "dev-1", key) as peer:
        peer.send(publish(EVENTS + "$.ct=text", b"hello", qos=1))
        assert peer.read() == (0x40, b"\0\x07")
        peer.send(publish(EVENTS, b"world", qos=0))
        found = azure.wait_for_telemetry(2, "dev-1")
    assert [m.body for m in found] == [b"hello", b"world"]
    assert found[0].system_properties == {"content-type": "text"}


def test_a_wrong_key_passes_connect_and_is_refused_at_register(azure: RunningAzure) -> None:
    azure.enroll_device("dev-1")
    with join_dps(azure, "dev-1", "AAAA") as peer:
        peer.send(publish(REGISTER + "1"))
        topic, payload = peer.read_message()
    assert topic == "$dps/registrations/res/401/?$rid=1"
    assert json.loads(payload)["errorCode"] == 401000


def test_a_wrong_key_is_refused_at_connect_when_the_service_is_told_so() -> None:
    with running_azure(Settings(mqtt_port=0, https_port=0, auth_at="connect")) as azure:
        azure.enroll_device("dev-1")
        resource = f"{azure.id_scope}/registrations/dev-1"
        with Peer(azure) as peer:
            user = f"{resource}/api-version=2019-03-31"
            peer.send(connect("dev-1", user, token(resource, "AAAA")))
            assert peer.read() == (0x20, b"\0\5")
            assert peer.is_closed_by_server()


def test_an_answer_goes_only_to_a_device_that_subscribed(azure: RunningAzure) -> None:
    key = azure.enroll_device("dev-1").keys.primary_b64
    with join_dps(azure, "dev-1", key) as peer:
        peer.send(packet(0xA2, b"\0\x09" + text("$dps/registrations/res/#")))
        assert peer.read() == (0xB0, b"\0\x09")
        peer.send(publish(REGISTER + "1", qos=0) + packet(0xC0, b""))
        assert peer.read() == (0xD0, b"")
    assert logged(azure, "did not subscribe")


def test_a_missing_rid_is_echoed_empty(azure: RunningAzure) -> None:
    key = azure.enroll_device("dev-1").keys.primary_b64
    with join_dps(azure, "dev-1", key) as peer:
        peer.send(publish(REGISTER.replace("$rid", "rid") + "1"))
        assert peer.read_message()[0] == "$dps/registrations/res/202/?$rid=&retry-after=0"


@pytest.mark.parametrize(
    ("client_id", "user", "code"),
    [
        ("dev-1", "nonsense", 4),
        ("dev-1", "{scope}/registrations/dev-1/?api-version=2019-03-31", 4),
        ("dev-2", "{scope}/registrations/dev-1/api-version=2019-03-31", 2),
        ("dev-1", "{scope}/registrations/dev-1/api-version=1999-01-01", 5),
        ("dev-1", "elsewhere/dev-1/?api-version=2021-04-12", 5),
        ("dev-1", "localhost/dev-1/?api-version=2021-04-12", 5),
        ("dev-1", "localhost/dev-1/api-version=2021-04-12", 5),
        ("dev-1", "LOCALHOST/dev-1", 5),
        ("dev-1", "localhost", 5),
    ],
)
def test_a_connect_that_is_not_right_gets_its_code_and_is_closed(
    azure: RunningAzure, client_id: str, user: str, code: int
) -> None:
    with Peer(azure) as peer:
        peer.send(connect(client_id, user.format(scope=azure.id_scope), "x"))
        assert peer.read() == (0x20, bytes([0, code]))
        assert peer.is_closed_by_server()


def test_another_protocol_level_gets_code_1(azure: RunningAzure) -> None:
    with Peer(azure) as peer:
        peer.send(packet(0x10, text("MQTT") + b"\5\2\0\0" + text("a")))
        assert peer.read() == (0x20, b"\0\1")
        assert peer.is_closed_by_server()


def test_ping_and_unsubscribe_are_answered_and_disconnect_ends(azure: RunningAzure) -> None:
    with join_hub(azure, "dev-1", assigned(azure)) as peer:
        peer.send(packet(0xC0, b""))
        assert peer.read() == (0xD0, b"")
        peer.send(subscribe("devices/dev-1/messages/devicebound/#", qos=2))
        assert peer.read() == (0x90, b"\0\1\1")
        peer.send(packet(0xA2, b"\0\x09" + text("devices/dev-1/messages/devicebound/#")))
        assert peer.read() == (0xB0, b"\0\x09")
        peer.send(packet(0xE0, b""))
        assert peer.is_closed_by_server()


@pytest.mark.parametrize(
    "raw",
    [
        publish(EVENTS, b"x", qos=2),
        publish("devices/other/messages/events/"),
        publish(EVENTS, b"x" * 262_145),
        subscribe("#"),
        subscribe("$dps/registrations/res/#"),
        connect("dev-1", "u", "p"),
        packet(0x30, b"\0\7a"),
        b"\x30\xff\xff\xff\x7f",
        b"\xf0\0",
    ],
)
def test_what_a_hub_does_not_take_closes_that_connection_alone(
    azure: RunningAzure, raw: bytes
) -> None:
    key, other_key = assigned(azure), assigned(azure, "dev-2")
    with join_hub(azure, "dev-2", other_key) as other, join_hub(azure, "dev-1", key) as peer:
        peer.send(raw)
        assert peer.is_closed_by_server()
        other.send(publish("devices/dev-2/messages/events/", b"still here"))
        assert other.read() == (0x40, b"\0\x07")
    assert azure.telemetry("dev-1") == []
    own = [event["what"] for event in azure.log if event["id"] == "dev-1"]
    assert own[-1].startswith("closed: ")


@pytest.mark.parametrize(
    "raw",
    [
        publish("$dps/registrations/DELETE/all/?$rid=1"),
        publish(REGISTER + "1", qos=2),
        publish(REGISTER + "1", b" " * (96 * 1024 + 1)),
        publish(REGISTER + "1" * 200),
        subscribe("$iothub/twin/res/#"),
    ],
)
def test_what_dps_does_not_take_closes_the_connection(azure: RunningAzure, raw: bytes) -> None:
    key = azure.enroll_device("dev-1").keys.primary_b64
    with join_dps(azure, "dev-1", key) as peer:
        peer.send(raw)
        assert peer.is_closed_by_server()


def test_the_newer_connection_of_a_device_wins(azure: RunningAzure) -> None:
    key = assigned(azure)
    with join_hub(azure, "dev-1", key) as older, join_hub(azure, "dev-1", key) as newer:
        assert older.is_closed_by_server()
        newer.send(publish(EVENTS, b"mine"))
        assert newer.read() == (0x40, b"\0\x07")


def test_a_connection_ends_when_its_token_does(azure: RunningAzure) -> None:
    key = assigned(azure)
    with join_hub(azure, "dev-1", key, se=int(time.time()) + 2) as peer:
        peer.send(publish(EVENTS, b"in time"))
        assert peer.read() == (0x40, b"\0\x07")
        assert peer.is_closed_by_server()
    assert logged(azure, "closed: the token has expired")


def test_silence_beyond_the_keepalive_ends_a_connection(azure: RunningAzure) -> None:
    azure.enroll_device("dev-1")
    with Peer(azure) as peer:
        user = f"{azure.id_scope}/registrations/dev-1/api-version=2019-03-31"
        peer.send(connect("dev-1", user, "x", keepalive_s=1))
        assert peer.read() == (0x20, b"\0\0")
        began = time.monotonic()
        assert peer.is_closed_by_server()
        assert time.monotonic() - began > 1.3
    assert logged(azure, "closed: silent for 1.5 x keepalive")


def silent(azure: RunningAzure) -> bytes:
    return b""


def half_a_connect(azure: RunningAzure) -> bytes:
    return connect("dev-1", "user", "password")[:-3]


@pytest.mark.parametrize("start", [silent, half_a_connect])
def test_a_peer_that_never_finishes_connect_is_dropped(
    start: Callable[[RunningAzure], bytes],
) -> None:
    with (
        running_azure(Settings(mqtt_port=0, https_port=0, connect_timeout_s=0.3)) as azure,
        Peer(azure) as peer,
    ):
        peer.send(start(azure))
        assert peer.is_closed_by_server()
        assert logged(azure, "closed: no CONNECT came in time")


def test_half_a_packet_is_not_waited_for_for_ever() -> None:
    with running_azure(Settings(mqtt_port=0, https_port=0, packet_timeout_s=0.3)) as azure:
        key = azure.enroll_device("dev-1").keys.primary_b64
        with join_dps(azure, "dev-1", key) as peer:
            peer.send(publish(REGISTER + "1", b"{}" * 50)[:-3])
            assert peer.is_closed_by_server()
            assert logged(azure, "closed: half a packet came")


def test_a_peer_that_never_speaks_tls_is_dropped_and_others_are_served() -> None:
    with running_azure(Settings(mqtt_port=0, https_port=0, connect_timeout_s=0.5)) as azure:
        address = (azure.host, azure.mqtt_port)
        with socket.create_connection(address, PATIENCE_S) as dumb:
            azure.enroll_device("dev-1")
            with join_dps(azure, "dev-1", "AAAA"):
                assert dumb.recv(1) == b""
        with socket.create_connection(address, PATIENCE_S) as rude:
            rude.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while rude.recv(100):
                pass


def is_turned_away(azure: RunningAzure) -> bool:
    """Whether the server ends the connection, be it in the last step of TLS's handshake."""
    try:
        with Peer(azure) as peer:
            return peer.is_closed_by_server()
    except (ssl.SSLError, ConnectionError):
        return True


def test_too_many_connections_are_turned_away() -> None:
    with running_azure(Settings(mqtt_port=0, https_port=0, max_connections=1)) as azure:
        azure.enroll_device("dev-1")
        with join_dps(azure, "dev-1", "AAAA") as first:
            assert is_turned_away(azure)
            first.send(publish(REGISTER + "1"))
            assert first.read_message()[0].startswith("$dps/registrations/res/401/")
        assert logged(azure, "too many connections")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_disturb_another_connection(
    azure: RunningAzure, witness: Peer, raw: bytes, connected: bool
) -> None:
    user = f"{azure.id_scope}/registrations/dev-1/api-version=2019-03-31"
    with Peer(azure) as peer:
        peer.send((connect("dev-1", user, "x") if connected else b"") + raw)
    witness.send(packet(0xC0, b""))
    assert witness.read() == (0xD0, b"")


@pytest.fixture
def witness(azure: RunningAzure) -> Iterator[Peer]:
    azure.enroll_device("dev-2")
    with join_dps(azure, "dev-2", "AAAA") as peer:
        yield peer
    assert [event for event in azure.log if "unexpected" in event["what"]] == []


def test_no_event_holds_a_key_or_a_token(azure: RunningAzure) -> None:
    key = assigned(azure)
    join_hub(azure, "dev-1", key).__exit__()
    with Peer(azure) as peer:
        peer.send(connect(sign(key, "x"), "u", token("a", key)))
        assert peer.is_closed_by_server()
    shown = json.dumps(azure.log)
    assert key not in shown
    assert "SharedAccessSignature" not in shown
