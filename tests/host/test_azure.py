"""azure.py against the local Azure's service API, over real HTTPS."""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from firstlight import azure
from firstlight.azurecalls import NotNow
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from firstlight.errors import ServiceError, UsageError

GROUP = {"enrollmentGroupId": "line-1", "attestation": {"type": "symmetricKey"}}


@pytest.fixture
def local(tmp_path: Path) -> Iterator[RunningAzure]:
    with running_azure(Settings(mqtt_port=0, https_port=0, folder=tmp_path / "azure")) as running:
        yield running


@pytest.fixture
def service(local: RunningAzure) -> azure.Service:
    return azure.Service(azure.parse_connection(local.connection_string), local.root_pem)


def test_a_created_group_is_found_and_gives_its_keys(service: azure.Service) -> None:
    assert service.find("enrollmentGroups", "line-1") is None
    service.create("enrollmentGroups", "line-1", GROUP)
    found = service.find("enrollmentGroups", "line-1")
    assert found is not None
    assert found["provisioningStatus"] == "enabled"
    assert "primaryKey" not in json.dumps(found)
    primary, secondary = service.key_pair("enrollmentGroups", "line-1")
    assert len(base64.b64decode(primary)) == len(base64.b64decode(secondary)) == 64


def test_what_is_enrolled_is_not_written_over(service: azure.Service) -> None:
    service.create("enrollmentGroups", "line-1", GROUP)
    before = service.key_pair("enrollmentGroups", "line-1")
    with pytest.raises(UsageError, match="enrolled already"):
        service.create("enrollmentGroups", "line-1", GROUP)
    assert service.key_pair("enrollmentGroups", "line-1") == before


def test_a_wrong_policy_key_is_told_with_status_and_tracking_id(local: RunningAzure) -> None:
    wrong = base64.b64encode(bytes(64)).decode()
    text = local.connection_string.rpartition("SharedAccessKey=")[0] + "SharedAccessKey=" + wrong
    service = azure.Service(azure.parse_connection(text), local.root_pem)
    with pytest.raises(ServiceError, match=r"401 .*code \d+, tracking id ") as caught:
        service.find("enrollments", "a")
    assert wrong not in str(caught.value)


def test_a_lesser_policy_may_do_less(local: RunningAzure) -> None:
    text = local.dps_connection_string("enrollmentRead")
    service = azure.Service(azure.parse_connection(text), local.root_pem)
    assert service.find("enrollmentGroups", "line-1") is None
    with pytest.raises(ServiceError, match="401"):
        service.create("enrollmentGroups", "line-1", GROUP)
    with pytest.raises(KeyError):
        local.dps_connection_string("owner")


def test_a_server_that_is_not_trusted_is_told(local: RunningAzure) -> None:
    service = azure.Service(azure.parse_connection(local.connection_string))
    with pytest.raises(ServiceError, match="--root"):
        service.find("enrollments", "a")


def test_no_server_is_told(local: RunningAzure) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    text = local.connection_string.replace(str(local.https_port), str(port), 1)
    service = azure.Service(azure.parse_connection(text), local.root_pem)
    with pytest.raises(ServiceError, match="did not answer GET enrollments/a"):
        service.find("enrollments", "a")


def test_a_server_that_hangs_up_is_told(local: RunningAzure) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        text = local.connection_string.replace(
            str(local.https_port), str(listener.getsockname()[1]), 1
        )
        service = azure.Service(azure.parse_connection(text), local.root_pem)
        with pytest.raises(ServiceError, match="did not answer"):
            service.find("enrollments", "a")
        thread.join(10)


@contextmanager
def another(local: RunningAzure, *pieces: bytes) -> Iterator[tuple[azure.Service, list[bytes]]]:
    """A service that answers one request with these pieces; and what it was sent."""
    issuer = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert("localhost").configure_cert(context)
    root = local.root_pem.with_name("other.pem")
    issuer.cert_pem.write_to_path(str(root))
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True) as sock:
                heard.append(sock.recv(4096))
                for piece in pieces:
                    sock.sendall(piece)
                    threading.Event().wait(0.05)  # so that each is read by itself

        thread = threading.Thread(target=serve)
        thread.start()
        port = str(listener.getsockname()[1])
        text = local.connection_string.replace(str(local.https_port), port, 1)
        yield azure.Service(azure.parse_connection(text), root), heard
        thread.join(10)


def head(status: str, length: int) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode()


def test_an_answer_in_pieces_is_taken_whole(local: RunningAzure) -> None:
    body = json.dumps({"enrollmentGroupId": "g", "long": "x" * 3000}).encode()
    pieces = (head("200 OK", len(body)), body[:9], body[9:1500], body[1500:])
    with another(local, *pieces) as (service, _):
        assert service.find("enrollmentGroups", "g") == json.loads(body)


def test_the_token_is_for_the_host_without_its_port(local: RunningAzure) -> None:
    with another(local, head("404 Gone", 2) + b"{}") as (service, heard):
        service.find("enrollments", "a")
    assert b"SharedAccessSignature sr=localhost&sig=" in heard[0]


def test_a_redirect_is_not_followed_with_a_key(local: RunningAzure) -> None:
    away = f"HTTP/1.1 307 Away\r\nLocation: https://localhost:{local.https_port}/\r\n"
    answer = f"{away}Content-Length: 0\r\n\r\n".encode()
    with (
        another(local, answer) as (service, _),
        pytest.raises(ServiceError, match=r"POST enrollments: 307"),
    ):
        service.bulk("create", [azure.individual("a", "", {})])


def test_an_answer_that_is_not_https_is_told_in_one_line(local: RunningAzure) -> None:
    with (
        another(local, b"220 mail\r\n\r\n") as (service, _),
        pytest.raises(NotNow, match="did not answer GET enrollments/a: ") as caught,
    ):
        service.find("enrollments", "a")
    assert str(caught.value).isprintable()


def test_an_answer_that_is_too_long_is_no_answer(local: RunningAzure) -> None:
    body = b"{" + b" " * (1 << 20) + b"}"
    with (
        another(local, head("200 OK", len(body)) + body) as (service, _),
        pytest.raises(ServiceError, match="the answer, 200, is not a JSON object"),
    ):
        service.find("enrollments", "a")


def test_a_long_refusal_is_cut(local: RunningAzure) -> None:
    body = json.dumps({"message": "x" * 3000, "errorCode": 400000}).encode()
    with (
        another(local, head("403 Forbidden", len(body)) + body) as (service, _),
        pytest.raises(ServiceError, match=r"403 x{256}, code 400000$"),
    ):
        service.find("enrollments", "a")


def test_a_busy_service_that_answers_in_html_is_asked_again_later(local: RunningAzure) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 9999\r\nContent-Length: 6\r\n\r\n<html>"
    with another(local, busy) as (service, _), pytest.raises(NotNow, match="503") as caught:
        service.find("enrollments", "a")
    assert caught.value.wait_s == 300


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({}, "not a bulk operation's"),
        ({"isSuccessful": True, "errors": {"a": 1}}, "not a bulk operation's"),
        ({"isSuccessful": False, "errors": []}, "does not say for which"),
        ({"isSuccessful": False, "errors": ["a"]}, "what was not asked for"),
        ({"isSuccessful": False, "errors": [{"registrationId": "b"}]}, "what was not asked for"),
    ],
)
def test_a_bulk_answer_that_is_none_is_refused(
    local: RunningAzure, answer: dict[str, object], complaint: str
) -> None:
    raw = json.dumps(answer).encode()
    with (
        another(local, head("200 OK", len(raw)) + raw) as (service, _),
        pytest.raises(ServiceError, match=complaint),
    ):
        service.bulk("create", [azure.individual("a", "", {})])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no HostName"),
        ("HostName=a", "no SharedAccessKeyName"),
        ("HostName=a;SharedAccessKeyName=b", "no SharedAccessKey;"),
        ("HostName=a/b;SharedAccessKeyName=b;SharedAccessKey=c", "not a host name"),
        ("HostName=a..b;SharedAccessKeyName=b;SharedAccessKey=c", "not a host name"),
        ("HostName=a:99999;SharedAccessKeyName=b;SharedAccessKey=c", "not a host name"),
        ("HostName=a;SharedAccessKeyName=b;SharedAccessKey=c2VjcmV0", "16 to 64 bytes"),
    ],
)
def test_a_connection_string_that_is_none_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        azure.parse_connection(text)
    assert "c2VjcmV0" not in str(caught.value)
    assert "c2VjcmV0" not in repr(caught.value)


def test_every_port_may_be_named() -> None:
    key = base64.b64encode(bytes(32)).decode()
    for port in (1, 443, 60999, 65500, 65535):
        text = f"HostName=localhost:{port};SharedAccessKeyName=b;SharedAccessKey={key}"
        assert azure.parse_connection(text).host == f"localhost:{port}"


def test_a_connection_shows_nothing_of_itself(local: RunningAzure) -> None:
    connection = azure.parse_connection(local.connection_string)
    assert connection.key_b64 not in repr(connection)
    assert connection.key_b64 not in str([connection])
