"""What HTTPS refuses or cannot keep: in Azure's form, told in one line, hurting nobody else."""

import errno
import json
import socket
import ssl
import threading
from typing import Any

import pytest

from firstlight.emulator.running import RunningAzure
from tests.emulator.http.test_reading import asked, raw, say
from tests.emulator.peers import PATIENCE_S, Peer, connect, token

STREAM = "/emulator/telemetry/stream"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/emulator/info", 200),
        ("HEAD", "/emulator/nonsense", 404),
        ("OPTIONS", "/emulator/info", 405),
        ("POST", "/emulator/info", 405),
        ("POST", "/emulator/connections", 405),
        ("GET", "/emulator", 404),
        ("GET", "/emulator/connections/localhost/dev-1/x", 404),
        ("HEAD", "/emulator/telemetry", 405),
        ("DELETE", "/emulator/telemetry", 405),
        ("POST", STREAM, 405),
        ("GET", "/$iothub/websocket", 400),
        ("POST", "/$iothub/websocket", 405),
        ("GET", "/", 401),
        ("OPTIONS", "/enrollments/a", 401),
        ("GET", "/nowhere/else", 401),
    ],
)
def test_what_is_not_there_is_told_in_azures_form(
    azure: RunningAzure, method: str, path: str, status: int
) -> None:
    with asked(azure, path, method) as answer:
        body = answer.read()
        assert answer.status == status or (status == 401 and answer.status in (400, 404, 405))
        if method == "HEAD":
            assert body == b""
        elif status >= 400:
            assert set(json.loads(body)) >= {"errorCode", "trackingId", "message", "timestampUtc"}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/$iothub/websocket", "400 400000 The subprotocol mqtt is not offered."),
        ("/emulator/telemetry?after=x", "400 400000 after is not a number."),
        ("/devices/%0A?api-version=1", "401 IotHubUnauthorizedAccess not a SharedAccessSignature"),
        ("/enrollments/" + "%20" * 400, "401 401002 not a SharedAccessSignature"),
    ],
)
def test_whatever_is_refused_is_one_line_in_the_log(
    azure: RunningAzure, path: str, told: str
) -> None:
    with asked(azure, path) as answer:
        assert answer.status == int(told[:3])
    (event,) = [event for event in azure.log if event["part"] == "http"]
    assert (event["what"], event["status"]) == (told, int(told[:3]))
    assert event["id"].isprintable()


def test_what_http_itself_refuses_is_one_line_in_the_log(azure: RunningAzure) -> None:
    with asked(azure, "/emulator/telemetry", "DELETE") as answer:
        assert answer.status == 405
    (event,) = [event for event in azure.log if event["part"] == "http"]
    assert (event["id"], event["what"]) == (
        "DELETE /emulator/telemetry",
        "405 Method Not Allowed",
    )


@pytest.mark.parametrize(
    ("expect", "first"),
    [
        ("100-continue", b"HTTP/1.1 100 Continue"),
        ("100-Continue", b"HTTP/1.1 100 Continue"),
        ("a secret, perhaps", b"HTTP/1.1 401 Unauthorized"),
    ],
)
def test_an_expectation_is_met_or_is_as_good_as_none(
    azure: RunningAzure, expect: str, first: bytes
) -> None:
    with raw(azure) as peer:
        peer.sendall(
            f"POST /devices?api-version=1 HTTP/1.1\r\nHost: localhost\r\nExpect: {expect}\r\n"
            "Connection: close\r\nContent-Length: 2\r\n\r\n[]".encode()
        )
        answer = b"".join(iter(lambda: peer.recv(1000), b""))
    assert answer.startswith(first)
    assert b"IotHubUnauthorizedAccess" in answer
    assert b"secret" not in answer


def test_options_star_and_an_absolute_url_are_answered(azure: RunningAzure) -> None:
    context = ssl.create_default_context(cafile=str(azure.root_pem))
    for line in ("OPTIONS *", "GET https://localhost/emulator/info"):
        plain = socket.create_connection(("127.0.0.1", azure.https_port), PATIENCE_S)
        with context.wrap_socket(plain, server_hostname="localhost") as peer:
            peer.sendall(f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert peer.recv(1000).startswith(b"HTTP/1.1 ")
    assert [event for event in azure.log if event.get("status", 0) >= 500] == []


class FullDisk:
    """A commit that cannot be."""

    def __call__(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "azure.db")


def test_what_cannot_be_kept_is_not_acknowledged(azure: RunningAzure) -> None:
    back = azure.local.servers.http._back
    object.__setattr__(back, "commit", FullDisk())
    with pytest.raises(ConnectionError), asked(azure, "/devices"):
        pass
    told = [event for event in azure.log if "not kept" in event["what"]]
    assert len(told) == 1
    assert [event for event in azure.log if event.get("status", 0) >= 500] == told
    assert [event for event in azure.log if "unexpected" in event["what"]] == []


def test_parallel_requests_do_not_wait_for_each_other(azure: RunningAzure) -> None:
    answers: list[Any] = []

    def wait() -> None:
        with asked(azure, "/emulator/telemetry?wait_s=60") as answer:
            answers.append(json.loads(answer.read()))

    waiting = [threading.Thread(target=wait) for _ in range(5)]
    for one in waiting:
        one.start()
    with asked(azure, "/emulator/info") as answer:
        assert answer.status == 200
    say(azure, b"now")
    for one in waiting:
        one.join(PATIENCE_S)
    assert [[m["body"] for m in found] for found in answers] == [["now"]] * 5


def test_a_wrong_user_name_over_mqtt_is_shown_nowhere(azure: RunningAzure) -> None:
    with Peer(azure) as peer:
        peer.send(connect("dev-1", "nonsense", token("a/b", "AAAA")))
        assert peer.read()[1][1:] in (b"\4", b"\5")
    assert azure.wait_for(lambda local: not local.connections(), PATIENCE_S)
