"""Telemetry as a stream of server-sent events, who reads it, and who is connected."""

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from firstlight.emulator.http.telemetry import Reading, Search, Wish
from firstlight.emulator.hub.telemetry import Message, Telemetry
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.peers import PATIENCE_S, join_hub, publish, token

EVENTS = "devices/dev-1/messages/events/"
STREAM = "/emulator/telemetry/stream"


def a_device(azure: RunningAzure, id: str = "dev-1") -> str:
    return azure.create_device(id).primary_b64


def say(azure: RunningAzure, *bodies: bytes) -> None:
    with join_hub(azure, "dev-1", a_device(azure)) as peer:
        for body in bodies:
            peer.send(publish(EVENTS, body))
            assert peer.read()[0] == 0x40


@contextlib.contextmanager
def asked(
    azure: RunningAzure, path: str, method: str = "GET", **headers: str
) -> Iterator[http.client.HTTPResponse]:
    context = ssl.create_default_context(cafile=str(azure.root_pem))
    connection = http.client.HTTPSConnection(
        "localhost", azure.https_port, timeout=PATIENCE_S, context=context
    )
    try:
        connection.request(method, path, headers=headers)
        yield connection.getresponse()
    finally:
        connection.close()


def events(answer: http.client.HTTPResponse, count: int) -> list[tuple[int, str]]:
    """The next events of a stream: (id, body)."""
    found: list[tuple[int, str]] = []
    while len(found) < count:
        line = answer.readline().decode()
        assert line, "the stream has ended"
        if line.startswith("id: "):
            number = int(line[4:])
            data = answer.readline().decode()
            assert data.startswith("data: ")
            assert answer.readline() == b"\n"
            message = json.loads(data[6:])
            assert message["sequence"] == number
            found.append((number, message["body"]))
    return found


def test_a_stream_begins_with_what_is_kept_and_goes_on_with_what_comes(
    azure: RunningAzure,
) -> None:
    say(azure, b"one", b"two")
    with asked(azure, STREAM + "?device=dev-1") as answer:
        assert answer.getheader("Content-Type") == "text/event-stream"
        assert events(answer, 2) == [(1, "one"), (2, "two")]
        say(azure, b"three")
        assert events(answer, 1) == [(3, "three")]


def test_a_stream_goes_on_where_it_was_left(azure: RunningAzure) -> None:
    say(azure, b"one", b"two", b"three")
    with asked(azure, STREAM + "?after=0", **{"Last-Event-ID": "2"}) as answer:
        assert events(answer, 1) == [(3, "three")]
    with asked(azure, STREAM + "?after=1") as answer:
        assert events(answer, 1) == [(2, "two")]


def test_a_stream_is_of_one_hub_or_device_only(azure: RunningAzure) -> None:
    say(azure, b"one")
    with asked(azure, STREAM + "?hub=localhost&device=dev-2") as answer:
        with join_hub(azure, "dev-2", a_device(azure, "dev-2")) as peer:
            peer.send(publish("devices/dev-2/messages/events/", b"mine"))
        assert events(answer, 1) == [(2, "mine")]


def test_a_bad_number_is_400_before_the_stream_begins(azure: RunningAzure) -> None:
    with asked(azure, STREAM + "?after=x") as answer:
        assert answer.status == 400
        assert json.loads(answer.read())["errorCode"] == 400000


def test_a_silent_stream_says_that_it_is_there(azure: RunningAzure) -> None:
    azure.call(lambda local: setattr(local.servers.http._back.reading, "_silence_s", 0.05))
    with asked(azure, STREAM) as answer:
        lines = [answer.readline() for _ in range(4)]
    assert lines == [b": telemetry\n", b"\n", b": still here\n", b"\n"]


def test_a_reader_that_does_not_read_is_let_go() -> None:
    with running_azure(Settings(mqtt_port=0, https_port=0, packet_timeout_s=0.5)) as azure:
        context = ssl.create_default_context(cafile=str(azure.root_pem))
        plain = socket.create_connection(("127.0.0.1", azure.https_port), PATIENCE_S)
        with context.wrap_socket(plain, server_hostname="localhost") as reader:
            reader.sendall(f"GET {STREAM} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert b"200 OK" in reader.recv(1000)
            say(azure, *[b"x" * 200_000] * 60)
            assert azure.wait_for(lambda local: not local.servers.http.streams, PATIENCE_S)


def test_an_answer_that_is_not_taken_is_not_waited_for() -> None:
    def is_alone(local: Any) -> bool:
        return not local.servers.http._tls.connections

    with running_azure(Settings(mqtt_port=0, https_port=0, packet_timeout_s=0.5)) as azure:
        for _ in range(2):
            say(azure, *[b"x" * 200_000] * 20)
        with raw(azure) as reader:
            for _ in range(3):  # more than the system keeps for a reader
                reader.sendall(b"GET /emulator/telemetry HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert reader.recv(1)
            assert azure.wait_for(is_alone, PATIENCE_S)


def test_streams_that_end_leave_nothing_behind(azure: RunningAzure) -> None:
    with asked(azure, STREAM):
        assert azure.wait_for(lambda local: local.servers.http.streams == 1, PATIENCE_S)
    say(azure, b"one")
    assert azure.wait_for(lambda local: not local.servers.http.streams, PATIENCE_S)
    assert [event for event in azure.log if event.get("status", 0) >= 500] == []


def raw(azure: RunningAzure) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(azure.root_pem))
    plain = socket.create_connection(("127.0.0.1", azure.https_port), PATIENCE_S)
    return context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("path", ["/emulator/telemetry?wait_s=60", STREAM, "/twins/dev-1/methods"])
def test_a_client_that_has_gone_is_waited_for_no_more(azure: RunningAzure, path: str) -> None:
    def waiting(local: Any) -> int:
        return len(local.servers.http._handling)

    a_device(azure)
    with raw(azure) as peer:
        fields = dict(
            part.split("=", 1) for part in azure.hub_connection_string("localhost").split(";")
        )
        word = token("localhost", fields["SharedAccessKey"], skn=fields["SharedAccessKeyName"])
        body = b'{"methodName":"blink","connectTimeoutInSeconds":300}'
        method = "POST" if path.startswith("/twins") else "GET"
        path += "&" if "?" in path else "?"
        peer.sendall(
            f"{method} {path}api-version=1 HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: {word}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert azure.wait_for(waiting, PATIENCE_S) == 1
    assert azure.wait_for(lambda local: not waiting(local), PATIENCE_S)
    assert [event for event in azure.log if event.get("status", 0) >= 500] == []


def test_a_search_looks_at_no_message_twice() -> None:
    telemetry = Telemetry()

    def come(sequence: int, device: str) -> None:
        telemetry.append(Message(sequence, "localhost", device, 0.0, b"", {}, {}))

    search = Search(telemetry, Wish(None, "dev-1", 0))
    come(1, "dev-2")
    come(2, "dev-2")
    assert (search.look(), search.after) == ([], 2)
    come(3, "dev-1")
    assert [message.sequence for message in search.look()] == [3]
    assert [message.sequence for message in search.look()] == [3]


def test_a_page_holds_four_megabytes_and_one_message_at_least() -> None:
    async def at_once(_: float, look: Callable[[], list[Message]]) -> list[Message]:
        return look()

    telemetry = Telemetry()
    for sequence, megabytes in enumerate((5, 3, 1, 1), 1):
        body = bytes(megabytes * 1024 * 1024)
        telemetry.append(Message(sequence, "localhost", "dev-1", 0.0, body, {}, {}))
    reading = Reading(telemetry, at_once, 1.0)
    pages = [asyncio.run(reading.listed({"after": after})).document for after in "013"]
    assert [[message["sequence"] for message in page] for page in pages] == [[1], [2, 3], [4]]


def test_what_is_empty_in_a_query_is_not_asked_for(azure: RunningAzure) -> None:
    say(azure, b"one")
    with asked(azure, "/emulator/telemetry?hub=&device=&after=0") as answer:
        assert [message["body"] for message in json.loads(answer.read())] == ["one"]
    with asked(azure, STREAM + "?hub=&device=", **{"Last-Event-ID": ""}) as answer:
        assert events(answer, 1) == [(1, "one")]


def test_who_is_connected_is_shown_and_can_be_kicked(azure: RunningAzure) -> None:
    with join_hub(azure, "dev-1", a_device(azure)) as peer:
        with asked(azure, "/emulator/connections") as answer:
            (shown,) = json.loads(answer.read())
        assert (shown["part"], shown["device"], shown["hub"]) == ("hub", "dev-1", "localhost")
        address, port = peer.socket.getsockname()
        assert (shown["over"], shown["peer"]) == ("mqtt", f"{address}:{port}")
        with asked(azure, "/emulator/connections/localhost/dev-1", "DELETE") as answer:
            assert (answer.status, answer.read()) == (204, b"")
        assert peer.is_closed_by_server()
    with asked(azure, "/emulator/connections/localhost/dev-1", "DELETE") as answer:
        assert answer.status == 404
