"""MQTT over WebSocket: the same conversations, in frames of any cut."""

import errno
import queue
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import paho.mqtt.client as mqtt  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.emulator.http import websocket
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.http.framing import PATH, PING, PONG, TEXT, Framed, frame
from tests.emulator.peers import PATIENCE_S, Peer, connect, packet, publish, subscribe, token

EVENTS = "devices/dev-1/messages/events/"
DEVICEBOUND = "devices/dev-1/messages/devicebound/#"
CONNACK, PUBACK = b"\x20\2\0\0", b"\x40\2\0\7"


def hello(azure: RunningAzure) -> bytes:
    """CONNECT of the device dev-1 at its hub."""
    key = azure.create_device("dev-1").primary_b64
    word = token("localhost/devices/dev-1", key, skn=None)
    return connect("dev-1", "localhost/dev-1/?api-version=2021-04-12", word)


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_a_device_sends_whatever_its_frames_hold(azure: RunningAzure, size: int) -> None:
    data = hello(azure) + publish(EVENTS, b"21") + publish(EVENTS, b"22", qos=0)
    with Framed(azure) as peer:
        assert (peer.status, peer.headers["sec-websocket-protocol"]) == (101, "mqtt")
        for start in range(0, len(data), size):
            peer.send(data[start : start + size])
        assert peer.read(8) == CONNACK + PUBACK
        assert [m.body for m in azure.wait_for_telemetry(2, "dev-1")] == [b"21", b"22"]


def test_a_message_may_come_in_fragments_with_a_ping_between(azure: RunningAzure) -> None:
    data = hello(azure)
    with Framed(azure) as peer:
        peer.socket.sendall(frame(data[:9], is_last=False) + frame(b"?", PING))
        peer.socket.sendall(frame(data[9:], opcode=0))
        assert peer.read_frame() == (PONG, b"?")
        assert peer.read(4) == CONNACK


def test_it_is_listed_as_a_connection_and_can_be_kicked(azure: RunningAzure) -> None:
    with Framed(azure) as peer:
        peer.send(hello(azure))
        assert peer.read(4) == CONNACK
        (shown,) = azure.call(lambda local: local.connections())
        assert (shown["device"], shown["hub"], shown["over"]) == (
            "dev-1",
            "localhost",
            "websocket",
        )
        assert azure.call(lambda local: local.info()["connections"]) == 1
        assert azure.device("dev-1").kick()
        assert peer.until_closed() == (b"", 1000)
    assert azure.wait_for(lambda local: not local.connections(), PATIENCE_S)


def test_a_newer_connection_over_tls_alone_ends_it(azure: RunningAzure) -> None:
    data = hello(azure)
    with Framed(azure) as older, Peer(azure) as newer:
        older.send(data)
        assert older.read(4) == CONNACK
        newer.send(data)
        assert older.until_closed() == (b"", 1000)


@pytest.mark.parametrize("protocols", ["", "AMQPWSB10", "mqttv5"])
def test_another_subprotocol_is_refused(azure: RunningAzure, protocols: str) -> None:
    with Framed(azure, protocols) as peer:
        assert peer.status == 400


def test_one_subprotocol_of_several_is_enough(azure: RunningAzure) -> None:
    with Framed(azure, "AMQPWSB10, mqtt") as peer:
        assert (peer.status, peer.headers["sec-websocket-protocol"]) == (101, "mqtt")


def test_a_text_frame_ends_it(azure: RunningAzure) -> None:
    with Framed(azure) as peer:
        peer.send(hello(azure), TEXT)
        assert peer.until_closed() == (b"", 1000)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b"a", 3), 1002),
        (frame(b"a", 0), 1002),
        (frame(b"a" * 126, PING), 1002),
        (frame(struct.pack("!H", 1000) + b"\xff", 8), 1007),
    ],
)
def test_what_is_no_websocket_ends_it_and_is_told(
    azure: RunningAzure, data: bytes, code: int
) -> None:
    with Framed(azure) as peer:
        peer.send(hello(azure))
        assert peer.read(4) == CONNACK
        peer.socket.sendall(data)
        assert peer.until_closed() == (b"", code)
    told = [event["what"] for event in azure.log if event["what"].startswith("closed")]
    assert told == [f"closed: WebSocket error {code}"]


@pytest.mark.parametrize("cut", [1, 2, 50, 1000])
def test_a_frame_without_a_mask_ends_it(
    azure: RunningAzure, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    monkeypatch.setattr(websocket, "_CLOSE_S", 0.1)
    data = frame(publish(EVENTS, b"21" * 10, qos=0)) + b"\x82\x01a"
    with Framed(azure) as peer:
        peer.send(hello(azure))
        assert peer.read(4) == CONNACK
        with suppress(ConnectionError):
            for start in range(0, len(data), cut):
                peer.socket.sendall(data[start : start + cut])
        assert peer.until_closed() == (b"", 1000)
    told = [event["what"] for event in azure.log if event["what"].startswith("closed")]
    assert told == ["closed: a WebSocket frame without a mask"]


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (frame(b"a" * 1000)[:20], b"a"),
        (frame(b"", is_last=False), frame(b"", 0, is_last=False)),
        (frame(b"", is_last=False), frame(b"", PING)),
    ],
)
def test_a_message_that_does_not_end_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, begun: bytes, more: bytes
) -> None:
    monkeypatch.setattr(websocket, "_CLOSE_S", 0.1)
    with (
        running_azure(Settings(mqtt_port=0, https_port=0, packet_timeout_s=0.2)) as azure,
        Framed(azure) as peer,
    ):
        peer.send(hello(azure))
        assert peer.read(4) == CONNACK
        peer.socket.sendall(begun)
        with suppress(OSError):
            while not azure.wait_for(lambda local: not local.connections(), 0.05):
                peer.socket.sendall(more)
        assert [event for event in azure.log if "closed: half a message" in event["what"]]


def test_each_message_has_its_own_time_to_end(azure: RunningAzure) -> None:
    def timer(local: Any) -> Any:
        (connection,) = local.servers.http._tls.connections
        return connection._inside._timer

    with Framed(azure) as peer:
        peer.send(hello(azure))
        assert peer.read(4) == CONNACK
        one = frame(publish(EVENTS, b"21", qos=0))
        peer.socket.sendall(one[:9])
        first = azure.wait_for(timer, PATIENCE_S)
        peer.socket.sendall(one[9:] + one[:9])
        azure.wait_for_telemetry(1, "dev-1")
        assert first.cancelled()
        assert azure.call(timer) not in (None, first)
        peer.socket.sendall(one[9:])
        azure.wait_for_telemetry(2, "dev-1")
        assert azure.call(timer) is None


def test_a_frame_beyond_a_megabyte_ends_it(azure: RunningAzure) -> None:
    with Framed(azure) as peer:
        with suppress(ConnectionError):
            peer.send(b"\x30" * (1024 * 1024 + 1))
        assert peer.until_closed()[1] in (1009, None)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [({"connect_timeout_s": 0.2}, "no CONNECT"), ({"packet_timeout_s": 0.2}, "half a packet")],
)
def test_a_silent_peer_is_not_waited_for_for_ever(bounds: dict[str, Any], words: str) -> None:
    with (
        running_azure(Settings(mqtt_port=0, https_port=0, **bounds)) as azure,
        Framed(azure) as peer,
    ):
        if "packet_timeout_s" in bounds:
            peer.send(hello(azure) + publish(EVENTS)[:5])
        assert peer.until_closed()[0] in (b"", CONNACK)
        assert [event for event in azure.log if words in event["what"]]


def test_a_refused_device_gets_its_connack(azure: RunningAzure) -> None:
    with Framed(azure) as peer:
        peer.send(connect("dev-1", "localhost/dev-1/?api-version=2021-04-12", "nonsense"))
        assert peer.until_closed() == (b"\x20\2\0\5", 1000)


def test_a_peer_that_reads_nothing_is_read_no_more(
    azure: RunningAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "_CLOSE_S", 0.2)
    ask = frame(publish("$iothub/twin/GET/?$rid=" + "1" * 100, qos=0) * 1000)
    with Framed(azure) as peer:
        peer.send(hello(azure) + subscribe("$iothub/twin/res/#", qos=0))
        peer.socket.settimeout(0.5)
        taken = 0
        with suppress(OSError):
            while taken < 1_000_000_000:
                peer.socket.sendall(ask)
                taken += len(ask)
        assert taken < 100_000_000
        assert azure.call(lambda local: len(local.connections())) == 1
    assert azure.wait_for(lambda local: not local.connections(), PATIENCE_S)


class Paho:
    """paho-mqtt over WebSocket, which writes its own frames."""

    def __init__(self, azure: RunningAzure, key: str) -> None:
        self.codes: queue.Queue[int] = queue.Queue()
        self.messages: queue.Queue[bytes] = queue.Queue()
        self.granted: queue.Queue[Any] = queue.Queue()
        self.port = azure.https_port
        client = self.client = mqtt.Client("dev-1", transport="websockets", protocol=mqtt.MQTTv311)
        client.ws_set_options(path=PATH)
        client.username_pw_set(
            "localhost/dev-1/?api-version=2021-04-12",
            token("localhost/devices/dev-1", key, skn=None),
        )
        client.tls_set_context(ssl.create_default_context(cafile=str(azure.root_pem)))
        client.on_connect = lambda _client, _data, _flags, code: self.codes.put(code)
        client.on_message = lambda _client, _data, message: self.messages.put(message.payload)
        client.on_subscribe = lambda _client, _data, _mid, granted: self.granted.put(granted)

    def __enter__(self) -> "Paho":
        self.client.connect("localhost", self.port)
        self.client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_paho_sends_and_receives_large_messages(azure: RunningAzure) -> None:
    with Paho(azure, azure.create_device("dev-1").primary_b64) as peer:
        assert peer.codes.get(timeout=PATIENCE_S) == 0
        peer.client.subscribe(DEVICEBOUND, 1)
        assert peer.granted.get(timeout=PATIENCE_S) == (1,)
        peer.client.publish(EVENTS, b"x" * 250_000, qos=1)
        assert len(azure.wait_for_telemetry(1, "dev-1")[0].body) == 250_000
        for number in range(20):
            azure.device("dev-1").send(b"%d" % number + b"y" * 60_000)
        for number in range(20):
            assert peer.messages.get(timeout=PATIENCE_S).startswith(b"%d" % number + b"y")


def test_a_last_will_is_told_when_the_socket_is_lost(azure: RunningAzure) -> None:
    key = azure.create_device("dev-1").primary_b64
    word = token("localhost/devices/dev-1", key, skn=None)
    with Framed(azure) as peer:
        peer.send(connect_with_will(word))
        assert peer.read(4) == CONNACK
    assert [m.body for m in azure.wait_for_telemetry(1, "dev-1")] == [b"gone"]


def connect_with_will(word: str) -> bytes:
    """CONNECT of dev-1 with the last will `gone` (MQTT 3.1.1, section 3.1)."""
    plain = connect("dev-1", "localhost/dev-1/?api-version=2021-04-12", word)
    start = 1 + next(i for i in range(1, 5) if not plain[i] & 0x80)
    body = bytearray(plain[start:])
    body[7] |= 0x04
    fields = b"\0" + bytes([len(EVENTS)]) + EVENTS.encode() + b"\0\4gone"
    after_client_id = 10 + 2 + len("dev-1")
    return packet(0x10, bytes(body[:after_client_id]) + fields + bytes(body[after_client_id:]))


@pytest.fixture
def watched(azure: RunningAzure) -> Iterator[RunningAzure]:
    yield azure
    assert [event for event in azure.log if "unexpected" in event["what"]] == []
    assert [event for event in azure.log if event.get("status", 0) >= 500] == []


PACKETS = (
    st.binary(max_size=60)
    | st.builds(packet, st.integers(0, 255), st.binary(max_size=30))
    | st.just(publish(EVENTS, b"x"))
)
FRAMES = st.builds(frame, PACKETS, st.integers(0, 15), st.booleans()) | st.binary(max_size=20)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(PACKETS.map(frame) | FRAMES, max_size=6), st.booleans())
def test_no_frames_disturb_another_connection(
    watched: RunningAzure, frames: list[bytes], first_connects: bool
) -> None:
    data = hello(watched)
    with Framed(watched) as other, suppress(ConnectionError):
        if first_connects:
            other.send(data)
        for one in frames:
            other.socket.sendall(one)
    with Framed(watched) as peer:
        peer.send(data + publish(EVENTS, b"still"))
        assert peer.read(8) == CONNACK + PUBACK


def test_what_cannot_be_kept_is_not_acknowledged(azure: RunningAzure) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "azure.db")

    with Framed(azure) as peer:
        peer.send(hello(azure))
        assert peer.read(4) == CONNACK
        azure.call(lambda local: setattr(local.servers.gate, "_commit", full))
        with Framed(azure) as late:
            late.send(hello(azure) + publish(EVENTS, b"lost"))
            assert late.until_closed()[0] == b""
    told = [event for event in azure.log if "nothing can be kept" in event["what"]]
    assert len(told) == 1


def test_a_token_that_expires_ends_it(azure: RunningAzure) -> None:
    key = azure.create_device("dev-1").primary_b64
    word = token("localhost/devices/dev-1", key, int(time.time()) + 2, None)
    with Framed(azure) as peer:
        peer.send(connect("dev-1", "localhost/dev-1/?api-version=2021-04-12", word))
        assert peer.until_closed() == (CONNACK, 1000)
    assert [event for event in azure.log if "token has expired" in event["what"]]
