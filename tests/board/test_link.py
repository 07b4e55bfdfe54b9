"""link.py on real MicroPython, over real sockets and TLS: every wait ends, every byte is checked.

Each peer does one thing wrong. The probe must come back with an error within the time limit that
it was given (ten times as long, on a busy machine, is what tells a bounded wait from none), its
socket closed; and connect and publish to a good peer then.
"""

import datetime
import errno
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.board import peers
from tests.board.atonce import at_once
from tests.board.peers import CONNACK, after_connect, after_subscribe, good, hang, serving

LIMIT_MS = 700
Probe = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def issuer() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(issuer: trustme.CA) -> Any:
    return peers.server_context(issuer)


@pytest.fixture
def probe(issuer: trustme.CA, tmp_path: Path, on_micropython: Any) -> Probe:
    root = peers.root_file(issuer, tmp_path)

    def run(port: int, action: str, **more: Any) -> list[dict[str, Any]]:
        asked = {"port": port, "root": str(root), "timeout_ms": LIMIT_MS, "action": action}
        results: list[dict[str, Any]] = on_micropython("link_probe.py", asked | more)
        return results

    return run


def assert_timed_out(results: list[dict[str, Any]]) -> None:
    first, second = results
    assert (first["error"], first["errno"]) == ("OSError", errno.ETIMEDOUT), first
    assert first["closed"]
    assert first["ms"] >= LIMIT_MS * 0.9, "gave up before its time"
    assert first["ms"] < LIMIT_MS * 10, "took its time again and again"
    assert second["error"] is None, second


SILENCES = {
    "after TCP": ("connect", hang, None),
    "before CONNACK": ("connect", after_connect(), "tls"),
    "inside CONNACK": ("connect", after_connect(CONNACK[:1]), "tls"),
    "inside CONNACK's body": ("connect", after_connect(CONNACK[:3]), "tls"),
    "before SUBACK": ("publish", after_connect(CONNACK), "tls"),
    "inside SUBACK": ("publish", after_connect(CONNACK + b"\x90\x03\x00"), "tls"),
    "before PUBACK": ("publish", after_subscribe(), "tls"),
    "inside PUBACK": ("publish", after_subscribe(b"\x40\x02\x00"), "tls"),
    "inside a PUBLISH's length": ("receive", after_subscribe(b"\x30\x80"), "tls"),
    "inside a PUBLISH's topic": ("receive", after_subscribe(b"\x30\x20\x00\x05a/"), "tls"),
    "inside a PUBLISH's body": ("receive", after_subscribe(b"\x30\x20\x00\x03a/btex"), "tls"),
    "after SUBACK, for ever": ("listen", after_subscribe(), "tls"),
}


def test_a_peer_that_falls_silent_costs_a_bounded_time(probe: Probe, tls: Any) -> None:
    def check(where: str) -> None:
        action, talk, context = SILENCES[where]
        with (
            serving(tls if context else None, talk) as port,
            serving(tls, good) as fine,
            peers.switching(port, fine) as both,
        ):
            assert_timed_out(probe(both, action, again=True, keepalive_s=1))

    at_once(check, SILENCES)


@pytest.mark.parametrize("after_bytes", [1, 60, 700])
def test_a_handshake_that_stalls_costs_a_bounded_time(
    after_bytes: int, probe: Probe, tls: Any
) -> None:
    with (
        serving(tls, good, good) as fine,
        peers.stalling(fine, after_bytes) as port,
        peers.switching(port, fine) as both,
    ):
        assert_timed_out(probe(both, "connect", again=True))


def test_a_port_that_does_not_even_accept_costs_a_bounded_time(probe: Probe) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        (result,) = probe(address[1], "connect")
        for filler in fillers:
            filler.close()
    assert (result["error"], result["errno"]) == ("OSError", errno.ETIMEDOUT)
    assert result["closed"]


def test_a_peer_that_does_not_read_costs_a_bounded_time(probe: Probe, tls: Any) -> None:
    with serving(tls, after_subscribe()) as port:
        (result,) = probe(port, "flood")
    assert (result["error"], result["errno"]) == ("OSError", errno.ETIMEDOUT)
    assert result["closed"]


@pytest.mark.parametrize(
    "noise", [b"\xd0\x00", b"\x40\x02\x77\x77", b"\x30\x05\x00\x01axx", b"\x30\x03\x00\x01a"]
)
def test_a_peer_that_chatters_instead_of_answering_costs_a_bounded_time(
    noise: bytes, probe: Probe, tls: Any
) -> None:
    def chatter(sock: Any, ended: Any) -> None:
        peers.read_packet(sock)
        sock.sendall(CONNACK)
        while not ended.is_set():
            sock.sendall(noise * 4000)

    with serving(tls, chatter) as port:
        (result,) = probe(port, "publish")
    assert (result["error"], result["errno"]) == ("OSError", errno.ETIMEDOUT)
    assert result["ms"] < LIMIT_MS * 10


def test_a_peer_that_hangs_up_is_an_error_at_once(probe: Probe, tls: Any) -> None:
    def leave(sock: Any, ended: Any) -> None:
        peers.accept(sock)
        peers.read_packet(sock)

    with serving(tls, leave, good) as port:
        first, second = probe(port, "publish", timeout_ms=20000, again=True)
    assert (first["error"], first["errno"]) == ("OSError", errno.ECONNRESET)
    assert first["closed"]
    assert second["error"] is None


def test_a_port_that_nobody_listens_on_is_an_error_at_once(probe: Probe) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    (result,) = probe(port, "connect", timeout_ms=20000)
    assert (result["error"], result["errno"]) == ("OSError", errno.ECONNREFUSED)


def test_a_host_is_reached_at_its_second_address(probe: Probe, tls: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        refused = gone.getsockname()[1]
    with serving(tls, good) as port:
        (result,) = probe(port, "publish", timeout_ms=20000, first_port=refused)
    assert result["error"] is None, result


MALFORMED = {
    "a length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "a topic longer than its packet": b"\x30\x04\x00\x09ab",
    "a PUBLISH of one byte": b"\x30\x01\x00",
    "an empty PUBLISH": b"\x30\x00",
    "a PUBLISH without a topic": b"\x30\x04\x00\x00ab",
    "a PUBLISH at QoS 1 without an id": b"\x32\x03\x00\x01a",
    "a PUBLISH at QoS 2": b"\x34\x07\x00\x03a/b\x00\x01",
    "a PUBLISH at QoS 3": b"\x36\x07\x00\x03a/b\x00\x01",
    "a PINGRESP with a body": b"\xd0\x01\x00",
    "a PUBACK of three bytes": b"\x40\x03\x00\x01\x00",
    "a PUBACK with a padded length": b"\x40\x82\x00\x00\x02",
    "a SUBACK nobody asked for": b"\x90\x03\x12\x34\x00",
    "a CONNECT": b"\x10\x00",
    "a packet of kind 0": b"\x00\x00",
    "text": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n" + b"X: y\r\n" * 20,
}


@pytest.mark.parametrize("what", MALFORMED)
def test_bytes_that_make_no_sense_end_the_connection(what: str, probe: Probe, tls: Any) -> None:
    with serving(tls, after_subscribe(MALFORMED[what]), good) as port:
        first, second = probe(port, "publish", timeout_ms=20000, again=True)
    assert first["error"] == "ProtocolError", first
    assert first["closed"]
    assert second["error"] is None


def test_an_answer_that_is_not_connack_is_refused(probe: Probe, tls: Any) -> None:
    for answer in (b"\x20\x03\x00\x00\x00", b"\x20\x00", b"\xd0\x00", b"\x90\x03\x00\x01\x00"):
        with serving(tls, after_connect(answer)) as port:
            (result,) = probe(port, "connect", timeout_ms=20000)
        assert result["error"] == "ProtocolError", result
        assert result["closed"]


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 255])
def test_a_refusal_in_connack_tells_its_code(code: int, probe: Probe, tls: Any) -> None:
    with serving(tls, after_connect(b"\x20\x02\x00" + bytes([code])), good) as port:
        first, second = probe(port, "connect", again=True)
    assert (first["error"], first["code"]) == ("Refused", code)
    assert first["closed"]
    assert second["error"] is None


def test_a_refused_subscription_is_an_error(probe: Probe, tls: Any) -> None:
    with serving(tls, after_connect(CONNACK + b"\x90\x03\x00\x01\x80")) as port:
        (result,) = probe(port, "publish")
    assert (result["error"], result["code"]) == ("ServiceError", 0x80)


def test_a_root_that_did_not_sign_the_peer_is_not_trusted(probe: Probe, tmp_path: Path) -> None:
    with serving(peers.server_context(trustme.CA()), good) as port:
        (result,) = probe(port, "connect", timeout_ms=20000)
    assert result["error"] == "ProtocolError", result
    assert "TLS" in result["text"]


def test_a_handshake_that_fails_leaves_nothing_open(probe: Probe) -> None:
    with serving(peers.server_context(trustme.CA()), *[good] * 6) as port:
        results = probe(port, "connect", timeout_ms=20000, more_tries=5)
    assert {result["error"] for result in results} == {"ProtocolError"}, results
    assert len({result["open"] for result in results}) == 1, results


def test_a_peer_of_another_name_is_not_trusted(probe: Probe, issuer: trustme.CA) -> None:
    with serving(peers.server_context(issuer, "other.example"), good) as port:
        (result,) = probe(port, "connect", timeout_ms=20000)
    assert result["error"] == "ProtocolError", result


def test_an_expired_peer_is_not_trusted(probe: Probe, issuer: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    issuer.issue_cert("localhost", not_after=past).configure_cert(context)
    with serving(context, good) as port:
        (result,) = probe(port, "connect", timeout_ms=20000)
    assert result["error"] == "ProtocolError", result


def test_a_peer_that_does_not_speak_tls_is_an_error(probe: Probe) -> None:
    def http(sock: Any, ended: Any) -> None:
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        hang(sock, ended)

    with serving(None, http) as port:
        (result,) = probe(port, "connect", timeout_ms=20000)
    assert result["error"] in ("OSError", "ProtocolError"), result
    assert result["closed"]


def test_messages_arrive_however_they_are_cut(probe: Probe, tls: Any) -> None:
    message = b"\x32\x0b\x00\x03a/b\x00\x07body"

    def dribble(sock: Any, ended: Any) -> None:
        peers.accept(sock)
        for i in range(len(message)):
            sock.sendall(message[i : i + 1])
        assert peers.read_packet(sock) == (0x40, b"\x00\x07")
        hang(sock, ended)

    with serving(tls, dribble) as port:
        (result,) = probe(port, "receive", timeout_ms=20000)
    assert result["got"] == [["a/b", "body"]]


@pytest.mark.parametrize("message", [b"\x30\x05\x00\x03a/b", b"\x32\x07\x00\x03a/b\x00\x07"])
def test_a_message_may_be_empty(message: bytes, probe: Probe, tls: Any) -> None:
    with serving(tls, after_subscribe(message)) as port:
        (result,) = probe(port, "receive", timeout_ms=20000)
    assert (result["error"], result["got"]) == (None, [["a/b", ""]])


def test_packet_ids_wrap_and_are_never_zero(probe: Probe, tls: Any) -> None:
    ids: list[int] = []

    def note(sock: Any, ended: Any) -> None:
        peers.accept(sock)
        while True:
            head, body = peers.read_packet(sock)
            if head == 0x32:
                ids.append(body[5] << 8 | body[6])
                sock.sendall(b"\x40\x02" + body[5:7])
            elif head == 0x82:
                ids.append(body[0] << 8 | body[1])
                sock.sendall(b"\x90\x03" + body[:2] + b"\x00")

    with serving(tls, note) as port:
        (result,) = probe(port, "wrap", timeout_ms=20000)
    assert result["error"] is None, result
    assert ids == [65535, 1, 65535, 1]


@pytest.mark.parametrize(("password", "flags"), [("secret", 0xC0), (None, 0x80)])
def test_without_a_password_the_field_is_left_out(
    password: str | None, flags: int, probe: Probe, tls: Any
) -> None:
    hellos: list[bytes] = []

    def note(sock: Any, ended: Any) -> None:
        hellos.append(peers.read_packet(sock)[1])
        sock.sendall(CONNACK)
        hang(sock, ended)

    with serving(tls, note) as port:
        (result,) = probe(port, "connect", password=password, timeout_ms=20000)
    assert result["error"] is None
    fields = b"\x00\x05dev-1\x00\x04user" + (b"\x00\x06secret" if password else b"")
    assert hellos == [b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x3c" + fields]


def test_a_quiet_connection_is_kept_alive_by_pings(probe: Probe, tls: Any) -> None:
    pings: list[int] = []

    def answer_three(sock: Any, ended: Any) -> None:
        peers.accept(sock)
        while len(pings) < 3:
            head, _ = peers.read_packet(sock)
            pings.append(head)
            sock.sendall(b"\xd0\x00")

    with serving(tls, answer_three) as port:
        (result,) = probe(port, "listen", timeout_ms=20000, keepalive_s=1)
    assert pings == [0xC0] * 3
    assert (result["error"], result["errno"]) == ("OSError", errno.ECONNRESET)
    assert result["ms"] < 8000, "pings come later than a server waits for them"
