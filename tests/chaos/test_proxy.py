"""The proxy itself, against a plain echo: that it does what it says, before a board is blamed."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trustme

from tests.chaos.proxy import ENDS, Proxy, Strike

WAIT_S = 5.0


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that is cut is what is tested."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Server(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with Proxy(server.server_address[1]) as made:
            yield made
        server.shutdown()


def record(body: bytes, kind: int = 23) -> bytes:
    return bytes((kind, 3, 3)) + len(body).to_bytes(2, "big") + body


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), WAIT_S)


def take(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


def is_silent(sock: socket.socket) -> bool:
    sock.settimeout(0.2)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    return False


def test_what_goes_in_comes_out(proxy: Proxy) -> None:
    said = b"".join(record(bytes(size)) for size in (0, 1, 300, 16384)) * 20
    with connect(proxy) as sock:
        threading.Thread(target=sock.sendall, args=(said,), daemon=True).start()
        assert take(sock, len(said)) == said


def test_an_end_of_the_device_reaches_the_server_and_comes_back(proxy: Proxy) -> None:
    with connect(proxy) as sock:
        sock.sendall(record(b"x"))
        sock.shutdown(socket.SHUT_WR)
        assert take(sock, 100) == record(b"x")


def test_small_pieces_slow_pieces_and_late_pieces_are_whole(proxy: Proxy) -> None:
    said = record(b"0123456789")
    with connect(proxy) as sock:
        proxy.up.size = proxy.down.size = 1
        sock.sendall(said)
        assert take(sock, len(said)) == said
        proxy.down.rate = 1000
        proxy.up.delay_s = 0.001
        sock.sendall(said)
        assert take(sock, len(said)) == said


def test_a_hole_takes_all_and_gives_nothing_until_it_is_mended(proxy: Proxy) -> None:
    for way in (proxy.up, proxy.down):
        with connect(proxy) as sock:
            way.is_hole = True
            sock.sendall(record(b"lost"))
            assert is_silent(sock)
            way.is_hole = False
            sock.settimeout(WAIT_S)
            sock.sendall(record(b"kept"))
            assert take(sock, 9) == record(b"kept")


def test_a_way_that_is_stuck_goes_on_where_it_stopped(proxy: Proxy) -> None:
    with connect(proxy) as sock:
        sock.sendall(record(b"a"))
        assert take(sock, 6) == record(b"a")
        proxy.up.is_stuck = True
        sock.sendall(record(b"b"))  # one read may be under way, and is let through
        sock.sendall(record(b"c"))
        proxy.heal()
        assert take(sock, 12) == record(b"b") + record(b"c")


def test_nobody_is_let_in_or_all_are_refused_and_then_not(proxy: Proxy) -> None:
    proxy.accepts = False
    with connect(proxy) as sock:
        sock.sendall(record(b"x"))
        assert is_silent(sock)
        proxy.heal()
        sock.settimeout(WAIT_S)
        assert take(sock, 6) == record(b"x")
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.refuse(False)
    with connect(proxy) as sock:
        sock.sendall(record(b"x"))
        assert take(sock, 6) == record(b"x")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("way", "number", "before"), [("up", 0, 0), ("up", 2, 1), ("down", 1, 0), ("down", 3, 2)]
)
def test_a_strike_comes_at_its_record_once(
    proxy: Proxy, way: str, number: int, before: int, end: str
) -> None:
    strike = Strike(way, number, end)
    proxy.strike(strike)
    with suppress(ConnectionResetError), connect(proxy) as sock:  # as early as that
        for body in (b"a", b"b")[:before]:
            sock.sendall(record(body))
            assert take(sock, 6) == record(body)
        sock.sendall(record(b"x", 20) + record(b"c"))
        assert ends_as(sock, end)
    assert strike.has_struck
    with connect(proxy) as sock:
        sock.sendall(record(b"x"))
        assert take(sock, 6) == record(b"x")


def ends_as(sock: socket.socket, end: str) -> bool:
    """Whether that is how it ends, what comes before left aside."""
    sock.settimeout(0.2 if end in ("hole", "half-open") else WAIT_S)
    try:
        while sock.recv(100):
            pass
    except TimeoutError:
        return end in ("hole", "half-open")
    except ConnectionError:
        return end in ("reset", "fin")  # a FIN with bytes unread is a reset, too
    return end == "fin"


def test_a_strike_may_let_a_part_through_and_wait_for_a_later_connection(proxy: Proxy) -> None:
    proxy.strike(Strike("down", 1, "fin", part=7, connection=1))
    with connect(proxy) as sock:
        sock.sendall(record(b"123456"))
        assert take(sock, 11) == record(b"123456")
    with connect(proxy) as sock:
        sock.sendall(record(b"123456"))
        assert take(sock, 100) == record(b"123456")[:7]


@pytest.mark.parametrize("end", ["reset", "fin"])
def test_every_connection_can_be_cut_at_once(proxy: Proxy, end: str) -> None:
    with connect(proxy) as one, connect(proxy) as two:
        for sock in (one, two):
            sock.sendall(record(b"x"))
            assert take(sock, 6) == record(b"x")
        assert proxy.cut(end) == 2
        assert ends_as(one, end)
        assert ends_as(two, end)


def test_tls_passes_and_its_records_are_counted(proxy: Proxy) -> None:
    root = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    root.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    root.configure_trust(client)
    ends = []

    class Secret(Echo):
        def setup(self) -> None:
            self.request = server.wrap_socket(self.request, server_side=True)
            ends.append(self.request.version())

        def finish(self) -> None:
            self.request.close()

    with Server(("127.0.0.1", 0), Secret) as peer:
        threading.Thread(target=peer.serve_forever, args=(0.01,), daemon=True).start()
        with Proxy(peer.server_address[1]) as through:
            through.strike(Strike("up", 3, "reset"))
            server.maximum_version = client.maximum_version = ssl.TLSVersion.TLSv1_2
            with client.wrap_socket(connect(through), server_hostname="localhost") as sock:
                for _ in range(2):
                    sock.sendall(b"hello")
                    assert sock.recv(100) == b"hello"
                sock.sendall(b"hello")
                with suppress(ConnectionResetError):  # OpenSSL calls some of them an end
                    assert sock.recv(100) == b""
        peer.shutdown()
    assert ends == ["TLSv1.2"]
