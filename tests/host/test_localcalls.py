"""Calls to a local Azure in another process, whatever answers there."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from firstlight import localcalls
from firstlight.errors import ServiceError
from firstlight.localcalls import LocalCalls

PATIENCE_S = 10


@contextmanager
def serving(folder: Path, answer: Callable[[ssl.SSLSocket], None]) -> Iterator[None]:
    """A TLS server for one request, found by the folder as a local Azure is."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "root.pem"))

    def serve() -> None:
        with suppress(OSError):  # the client may have had enough
            plain, _ = door.accept()
            plain.settimeout(PATIENCE_S)
            with context.wrap_socket(plain, server_side=True) as peer:
                peer.recv(65536)
                answer(peer)

    with socket.create_server(("127.0.0.1", 0)) as door:
        place = {"host": "localhost", "https_port": door.getsockname()[1]}
        (folder / "info.json").write_text(json.dumps(place))
        door.settimeout(PATIENCE_S)
        server = threading.Thread(target=serve)
        server.start()
        yield
        server.join(PATIENCE_S)
        assert not server.is_alive()


def said(body: bytes) -> Callable[[ssl.SSLSocket], None]:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda peer: peer.sendall(head + body)


def test_an_answer_is_read_whole(tmp_path: Path) -> None:
    with serving(tmp_path, said(json.dumps(["x" * 300_000]).encode())):
        assert LocalCalls(tmp_path).call("GET", "/") == ["x" * 300_000]


@pytest.mark.parametrize(
    ("body", "why"),
    [(b"<html>", "is not JSON"), (b"[" * 100_000, "is not JSON"), (b" " * (5 << 20), "than 4 MB")],
)
def test_an_answer_that_is_none_is_told_in_one_sentence(
    tmp_path: Path, body: bytes, why: str
) -> None:
    with serving(tmp_path, said(body)), pytest.raises(ServiceError, match=why):
        LocalCalls(tmp_path).call("GET", "/")


def test_an_answer_that_comes_a_byte_at_a_time_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(localcalls, "_TIMEOUT_S", 0.5)
    has_had_enough = threading.Event()

    def drip(peer: ssl.SSLSocket) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not has_had_enough.wait(0.05):
            peer.sendall(b" ")

    with serving(tmp_path, drip):
        with pytest.raises(ServiceError, match="did not answer: timed out"):
            LocalCalls(tmp_path).call("GET", "/")
        has_had_enough.set()


@pytest.mark.parametrize("host", ["a..b", "x y", "\0"])
def test_a_host_that_is_none_is_told_in_one_sentence(tmp_path: Path, host: str) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "root.pem"))
    (tmp_path / "info.json").write_text(json.dumps({"host": host, "https_port": 1}))
    with pytest.raises(ServiceError, match="did not answer"):
        LocalCalls(tmp_path).call("GET", "/")
