"""MQTT peers that misbehave, for link tests: each is a function that talks over one TLS socket.

Real sockets, real TLS by CPython's ssl. A peer that hangs holds its socket until the test ends.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

CONNACK = b"\x20\x02\x00\x00"
Talk = Callable[[ssl.SSLSocket, threading.Event], None]


def server_context(issuer: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert(*(names or ("localhost",))).configure_cert(context)
    return context


def root_file(issuer: trustme.CA, folder: Path) -> Path:
    """Write the issuer's root as DER, which is what boards read."""
    path = folder / "root.der"
    certificate = x509.load_pem_x509_certificate(issuer.cert_pem.bytes())
    path.write_bytes(certificate.public_bytes(Encoding.DER))
    return path


@contextmanager
def serving(context: ssl.SSLContext | None, *talks: Talk) -> Iterator[int]:
    """Serve one talk per connection, in turn, on a free port; without context in the clear."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(60)

    def serve() -> None:
        with suppress(OSError):
            for talk in talks:
                raw, _ = listener.accept()
                raw.settimeout(60)
                threading.Thread(target=_talk, args=(raw, context, talk, ended)).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def _talk(
    raw: socket.socket, context: ssl.SSLContext | None, talk: Talk, ended: threading.Event
) -> None:
    with raw, suppress(OSError):
        sock = context.wrap_socket(raw, server_side=True) if context else raw
        with sock:
            talk(sock, ended)  # type: ignore[arg-type]


def read_packet(sock: socket.socket) -> tuple[int, bytes]:
    """Read one packet; return its first byte and its body."""
    head = _exactly(sock, 1)[0]
    size = shift = 0
    while True:
        byte = _exactly(sock, 1)[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return head, _exactly(sock, size)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return data


def hang(sock: socket.socket, ended: threading.Event) -> None:
    ended.wait(60)


def after_connect(*pieces: bytes) -> Talk:
    """Read CONNECT, send the pieces, say no more."""

    def talk(sock: ssl.SSLSocket, ended: threading.Event) -> None:
        read_packet(sock)
        for piece in pieces:
            sock.sendall(piece)
        hang(sock, ended)

    return talk


def after_subscribe(*pieces: bytes) -> Talk:
    """Take CONNECT and SUBSCRIBE as one should, send the pieces, say no more."""

    def talk(sock: ssl.SSLSocket, ended: threading.Event) -> None:
        accept(sock)
        for piece in pieces:
            sock.sendall(piece)
        hang(sock, ended)

    return talk


def accept(sock: ssl.SSLSocket) -> bytes:
    """Answer CONNECT and SUBSCRIBE; return CONNECT's body."""
    _, hello = read_packet(sock)
    sock.sendall(CONNACK)
    _, body = read_packet(sock)
    sock.sendall(b"\x90\x03" + body[:2] + b"\x01")
    return hello


def good(sock: ssl.SSLSocket, ended: threading.Event) -> None:
    """A peer as one should be."""
    accept(sock)
    while True:
        head, body = read_packet(sock)
        if head >> 4 == 3 and head & 6:
            topic = struct.unpack_from("!H", body)[0]
            sock.sendall(b"\x40\x02" + body[2 + topic : 4 + topic])
        elif head == 0xC0:
            sock.sendall(b"\xd0\x00")
        elif head == 0xE0:
            return


@contextmanager
def stalling(port: int, after_bytes: int) -> Iterator[int]:
    """A TCP relay to port that passes after_bytes from there, and then no more."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def relay() -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            with client, socket.create_connection(("127.0.0.1", port), 60) as server:
                up = threading.Thread(target=_pump, args=(client, server, 10**9))
                up.start()
                _pump(server, client, after_bytes)
                ended.wait(60)
                server.shutdown(socket.SHUT_RDWR)
                client.shutdown(socket.SHUT_RDWR)
                up.join(10)

    thread = threading.Thread(target=relay)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        listener.close()
        thread.join(10)


@contextmanager
def switching(first: int, then: int) -> Iterator[int]:
    """A relay on one port: its first connection goes to port first, every later one to then."""
    listener = socket.create_server(("127.0.0.1", 0))
    pumps: list[threading.Thread] = []
    socks: list[socket.socket] = []

    def relay() -> None:
        port = first
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port), 60)
                port = then
                socks.extend((client, server))
                for ends in ((client, server), (server, client)):
                    pumps.append(threading.Thread(target=_pump, args=(*ends, 10**9)))
                    pumps[-1].start()

    thread = threading.Thread(target=relay)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
        for sock in socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for pump in pumps:
            pump.join(10)
        for sock in socks:
            sock.close()


def _pump(source: socket.socket, sink: socket.socket, budget: int) -> None:
    with suppress(OSError):
        while budget:
            data = source.recv(min(4096, budget))
            if not data:
                return
            sink.sendall(data)
            budget -= len(data)
