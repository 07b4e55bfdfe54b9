"""What hostile peers may cost: HTTP that is none, floods, silence, and what is said about them."""

import asyncio
import contextlib
import json
import resource
import socket
import ssl
import time
import weakref
from dataclasses import replace

import pytest

from firstlight.emulator.doors import rooms
from firstlight.emulator.mqtt.server import Connection, MqttServer
from firstlight.emulator.mqtt.session import Session
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.peers import PATIENCE_S, Peer, connect, join_hub, packet, publish, text, token
from tests.emulator.test_http import API, Client, a_device
from tests.emulator.test_mqtt import logged

HEAD = b"Host: localhost\r\n"


def https(azure: RunningAzure) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(azure.root_pem))
    raw = socket.create_connection((azure.host, azure.https_port), PATIENCE_S)
    return context.wrap_socket(raw, server_hostname="localhost")


def read_all(peer: ssl.SSLSocket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := peer.recv(65536):
            data += piece
    return data


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /enrollments/a"
        + API.encode()
        + b" HTTP/1.1\r\n"
        + HEAD
        + b"Authorization: %s\x01\r\n",
        b"GET / HTTP/9.9\r\n" + HEAD,
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HEAD,
        b"PUT / HTTP/1.1\r\n" + HEAD + b"Content-Length: -5\r\n",
        b"PUT /a HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PUT /a HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"PUT /a HTTP/1.1\r\n"
        + HEAD
        + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nnogzip",
    ],
)
def test_malformed_http_is_400_in_our_form_and_repeated_nowhere(
    azure: RunningAzure,
    raw: bytes,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    secret = Client(azure).token
    with https(azure) as peer:
        peer.sendall(raw.replace(b"%s", secret.encode()) + b"\r\n")
        answer = read_all(peer)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") or head.startswith(b"HTTP/1.0 400 ")
    assert json.loads(body)["errorCode"] == 400000
    out, err = capfd.readouterr()
    said = out + err + caplog.text + json.dumps(azure.log) + answer.decode()
    assert "sig=" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("half", [b"", b"GET /emulator/info HT"])
def test_a_second_request_is_not_waited_for_for_ever(half: bytes) -> None:
    with (
        running_azure(Settings(mqtt_port=0, https_port=0, packet_timeout_s=0.4)) as azure,
        https(azure) as peer,
    ):
        peer.sendall(b"GET /emulator/info HTTP/1.1\r\n" + HEAD + b"\r\n")
        assert peer.recv(65536).startswith(b"HTTP/1.1 200 ")
        peer.sendall(half)
        began = time.monotonic()
        read_all(peer)
        assert time.monotonic() - began < PATIENCE_S / 2


def test_an_answer_holds_so_much_telemetry_and_the_next_the_rest(azure: RunningAzure) -> None:
    hub_of = "localhost"
    azure.call(
        lambda local: [
            local.hubs[hub_of].receive("d", "devices/d/messages/events/", b"\xff" * size, False, 0)
            for size in [262_144] * 17 + [1] * 1001
        ]
    )
    client = Client(azure)
    sizes, after = [], 0
    while True:
        found = client.ask("GET", f"/emulator/telemetry?after={after}")[1]
        if not found:
            break
        sizes.append(len(found))
        after = found[-1]["sequence"]
    assert sizes == [16, 1000, 2]


def is_let_in(azure: RunningAzure, address: tuple[str, int]) -> bool:
    """Whether there is room for a connection, within a bound."""
    context = ssl.create_default_context(cafile=str(azure.root_pem))
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(ConnectionError, ssl.SSLError),
            socket.create_connection(address, PATIENCE_S) as raw,
        ):
            context.wrap_socket(raw, server_hostname="localhost").close()
            return True
    return False


@pytest.mark.parametrize("port", ["mqtt_port", "https_port"])
def test_connections_count_from_the_first_byte_and_leave_room_when_they_end(port: str) -> None:
    with running_azure(Settings(mqtt_port=0, https_port=0, max_connections=1)) as azure:
        address = (azure.host, getattr(azure, port))
        with socket.create_connection(address, PATIENCE_S):
            for _ in range(3):
                with socket.create_connection(address, PATIENCE_S) as refused:
                    refused.settimeout(PATIENCE_S)
                    with contextlib.suppress(ConnectionResetError):
                        assert refused.recv(1) == b""
        told = [event for event in azure.log if "too many connections" in event["what"]]
        assert len(told) in (1, 2)
        assert is_let_in(azure, address)


def test_the_files_that_the_system_allows_bound_the_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    assert rooms(20_000) == ((4096 - 64) * 7 // 8, (4096 - 64) // 8)
    assert limits[-1] == (4096, 4096)
    limits[:] = [(1024, 4096)]
    assert rooms(100) == (100, 100)
    assert limits == [(1024, 4096)]


def test_trouble_in_the_loop_is_one_event_and_nothing_on_stderr(
    azure: RunningAzure, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    trouble = {
        "message": "socket.accept() out of system resource",
        "exception": OSError(24, "Full"),
    }
    for _ in range(50):
        azure.call(lambda _: asyncio.get_running_loop().call_exception_handler(trouble))
    assert [e["what"] for e in azure.log if e["part"] == "azure"] == ["unexpected OSError Full"]
    assert capfd.readouterr().err + caplog.text == ""


@pytest.mark.parametrize("goodbye", [False, True])
def test_a_will_is_telemetry_unless_the_device_says_goodbye(
    azure: RunningAzure, goodbye: bool
) -> None:
    key = a_device(azure)
    user, password = (
        "localhost/dev-1/?api-version=2021-04-12",
        token("localhost/devices/dev-1", key, skn=None),
    )
    will = text("devices/dev-1/messages/events/k=v") + text("gone")
    head = text("MQTT") + b"\4\xc6\0\x3c" + text("dev-1") + will + text(user) + text(password)
    with Peer(azure) as peer:
        peer.send(packet(0x10, head))
        assert peer.read() == (0x20, b"\0\0")
        if goodbye:
            peer.send(packet(0xE0, b""))
            assert peer.is_closed_by_server()
    if goodbye:
        assert logged(azure, "disconnected")
        assert azure.telemetry() == []
        return
    (message,) = azure.wait_for_telemetry(1, "dev-1")
    assert message.body == b"gone"
    assert message.properties == {"k": "v", "iothub-MessageType": "Will"}


class Wire(asyncio.Transport):
    """A transport that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closing = False
        self.did: list[str] = []

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.did.append("abort")

    def pause_reading(self) -> None:
        self.did.append("pause")

    def resume_reading(self) -> None:
        self.did.append("resume")


def plugged(azure: RunningAzure) -> tuple[Connection, Wire]:
    """A connection over a Wire; call it in the server's own thread only."""
    wire = Wire()

    def plug(local: object) -> Connection:
        server: MqttServer = local.servers.mqtt  # type: ignore[attr-defined]
        connection = Connection(server)
        connection.connection_made(wire)
        return connection

    return azure.call(plug), wire


def hello(azure: RunningAzure, keepalive_s: int = 60) -> bytes:
    user = f"{azure.id_scope}/registrations/dev-1/api-version=2019-03-31"
    return connect("dev-1", user, "x", keepalive_s)


def test_the_answers_to_one_piece_leave_in_one_and_a_dead_peer_gets_none(
    azure: RunningAzure,
) -> None:
    connection, wire = plugged(azure)
    azure.call(lambda _: connection.data_received(hello(azure) + packet(0xC0, b"") * 3))
    assert wire.written == [b"\x20\2\0\0" + b"\xd0\0" * 3]
    wire.closing = True
    azure.call(lambda _: connection.data_received(packet(0xC0, b"") * 3))
    assert len(wire.written) == 1


def test_a_connection_that_is_gone_holds_nothing_that_tls_holds(azure: RunningAzure) -> None:
    connection, wire = plugged(azure)
    azure.call(lambda _: connection.data_received(hello(azure)))
    azure.call(lambda _: connection.connection_lost(None))
    assert connection.session is None
    gone = weakref.ref(wire)
    del wire
    assert gone() is None  # without the garbage collector's help


def test_nothing_leaves_that_could_not_be_kept(azure: RunningAzure) -> None:
    connection, wire = plugged(azure)

    def full() -> None:
        raise OSError(28, "No space left on device")

    def fail(local: object) -> None:
        server: MqttServer = local.servers.mqtt  # type: ignore[attr-defined]
        server.cloud = replace(server.cloud, commit=full)
        connection.data_received(hello(azure))

    azure.call(fail)
    assert (wire.written, wire.did) == ([], ["abort"])
    assert [e["what"] for e in azure.log if "kept" in e["what"]] == [
        "closed: nothing can be kept: No space left on device"
    ]


def test_a_peer_that_does_not_read_is_not_read_from(azure: RunningAzure) -> None:
    connection, wire = plugged(azure)
    azure.call(lambda _: connection.pause_writing())
    azure.call(lambda _: connection.resume_writing())
    assert wire.did == ["pause", "resume"]


def test_a_close_that_does_not_end_is_cut_short(
    azure: RunningAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstlight.emulator.mqtt.server._CLOSE_S", 0.0)
    connection, wire = plugged(azure)
    azure.call(lambda _: connection.close())
    deadline = time.monotonic() + PATIENCE_S
    while not wire.did and time.monotonic() < deadline:
        azure.call(lambda _: None)
    assert wire.did == ["abort"]


def test_a_keepalive_of_none_or_of_hours_is_cut_to_azures(azure: RunningAzure) -> None:
    def limit(local: object) -> list[float | None]:
        found = []
        for keepalive_s in (0, 65535):
            session = Session(local.servers.mqtt.cloud, connection, "peer")  # type: ignore[attr-defined]
            session.feed(hello(azure, keepalive_s))
            found.append(session.idle_limit_s)
        return found

    connection, _ = plugged(azure)
    assert azure.call(limit) == [1767.0, 1767.0]


def test_tls_older_than_1_2_and_newer_is_not_spoken(azure: RunningAzure) -> None:
    context = ssl.create_default_context(cafile=str(azure.root_pem))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    for port in (azure.mqtt_port, azure.https_port):
        with (
            socket.create_connection((azure.host, port), PATIENCE_S) as raw,
            pytest.raises(ssl.SSLError),
        ):
            context.wrap_socket(raw, server_hostname="localhost")


def test_a_reset_in_the_middle_of_a_flood_is_quiet(
    azure: RunningAzure, caplog: pytest.LogCaptureFixture
) -> None:
    with join_hub(azure, "dev-1", a_device(azure)) as peer:
        linger = b"\1\0\0\0\0\0\0\0"
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        peer.send(publish("devices/dev-1/messages/events/", b"x") * 3000)
    assert logged(azure, "lost")
    assert [record for record in caplog.records if record.name == "asyncio"] == []
