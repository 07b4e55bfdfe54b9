"""link.py on real MicroPython: QoS 1 without waiting, sleeps in slices, addresses, keep-alive."""

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.board import peers
from tests.board.atonce import at_once
from tests.board.peers import after_connect, after_subscribe, good, hang, serving

LIMIT_MS = 2000  # two slices
Probe = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def issuer() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(issuer: trustme.CA) -> Any:
    return peers.server_context(issuer)


@pytest.fixture
def probe(issuer: trustme.CA, tmp_path: Path, on_micropython: Any) -> Probe:
    root = peers.root_file(issuer, tmp_path)

    def run(port: int, action: str, timeout_ms: int = 20000, **more: Any) -> dict[str, Any]:
        asked = {"port": port, "root": str(root), "timeout_ms": timeout_ms, "action": action}
        result = on_micropython("link_probe.py", asked | more)[-1]
        assert result["let_go"], "what only connect() needs lies in memory"
        assert result["sleep_ms"] <= 1000, "slept longer than a watchdog may be left alone"
        assert result["unseen"] <= 1, "slept again without a look at the clock"
        return dict(result)

    return run


@contextmanager
def swallowing() -> Iterator[int]:
    """A port that does not even answer: what is sent there is lost."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        yield address[1]
        for filler in fillers:
            filler.close()


def test_a_message_at_qos_1_is_not_waited_for_and_its_puback_is_told(
    probe: Probe, tls: Any
) -> None:
    seen: list[tuple[int, bytes]] = []

    def late(sock: Any, ended: Any) -> None:
        peers.accept(sock)
        seen.extend(peers.read_packet(sock) for _ in range(2))
        sock.sendall(b"".join(b"\x40\x02" + body[5:7] for _, body in seen))
        hang(sock, ended)

    with serving(tls, late) as port:
        result = probe(port, "send")
    assert result["error"] is None, result
    assert seen == [(0x32, b"\x00\x03a/b\x00\x02one"), (0x3A, b"\x00\x03a/b\x00\x03two")]
    assert result["got"] == [0, 2, 3, 0], "ids after the SUBSCRIBE's; nothing acknowledged yet"


def test_a_puback_of_an_earlier_connection_is_forgotten(probe: Probe, tls: Any) -> None:
    with serving(tls, good, good) as port:
        result = probe(port, "publish", again=True)
    assert result["error"] is None, result


SILENCES = {
    "the network": ("connect", None),
    "TLS": ("connect", hang),
    "CONNACK": ("connect", after_connect()),
    "the middle of a packet": ("receive", after_subscribe(b"\x30\x20\x00\x05a/")),
    "a peer that does not read": ("flood", after_subscribe()),
}


def test_every_wait_is_slept_in_slices_of_a_second(probe: Probe, tls: Any) -> None:
    def check(what: str) -> None:
        action, talk = SILENCES[what]
        with serving(None if talk is hang else tls, talk or hang) as peer, swallowing() as nowhere:
            result = probe(peer if talk else nowhere, action, LIMIT_MS, keepalive_s=1)
        assert (result["error"], result["errno"]) == ("OSError", errno.ETIMEDOUT)
        assert result["ms"] >= LIMIT_MS * 0.9
        assert result["sleep_ms"] > 500, "does not sleep, but spins"

    at_once(check, SILENCES)


def test_a_long_wait_for_a_message_is_slept_in_slices_too(probe: Probe, tls: Any) -> None:
    with serving(tls, good) as port:
        result = probe(port, "quiet")
    assert (result["error"], result["sleep_ms"]) == (None, 1000)


def test_a_message_that_came_along_with_another_is_not_waited_for(probe: Probe, tls: Any) -> None:
    both = b"\x30\x06\x00\x03a/b1" + b"\x30\x06\x00\x03a/b2"
    with serving(tls, after_subscribe(both)) as port:
        result = probe(port, "two")
    first, second, waited_ms = result["got"]
    assert (first, second) == (["a/b", "1"], ["a/b", "2"])
    assert waited_ms < 900, "slept though a message was there"


def test_the_rest_of_a_message_is_not_waited_for(probe: Probe, tls: Any) -> None:
    def talk(sock: Any, ended: Any) -> None:
        peers.accept(sock)
        sock.sendall(b"\x30\x09\x00\x03a/")
        ended.wait(2)
        sock.sendall(b"bbody")
        hang(sock, ended)

    with serving(tls, talk) as port:
        result = probe(port, "part")
    message, most_ms = result["got"]
    assert message == ["a/b", "body"]
    assert most_ms < 1500, "one call waited for all of it"


def test_an_address_that_swallows_what_it_is_sent_leaves_time_for_the_next(
    probe: Probe, tls: Any
) -> None:
    with swallowing() as nowhere, serving(tls, good) as port:
        result = probe(port, "publish", LIMIT_MS, first_port=nowhere)
    assert result["error"] is None, result
    assert result["ms"] >= LIMIT_MS * 0.45, "the first address had less than its share"


def test_an_address_that_refuses_leaves_all_of_the_time_to_the_next(probe: Probe) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        refused = gone.getsockname()[1]
    with swallowing() as nowhere:
        result = probe(nowhere, "connect", LIMIT_MS, first_port=refused)
    assert (result["error"], result["errno"]) == ("OSError", errno.ETIMEDOUT)
    assert result["ms"] >= LIMIT_MS * 0.9


def test_messages_do_not_put_off_the_ping_and_keep_its_answer_from_being_late(
    probe: Probe, tls: Any
) -> None:
    pings: list[int] = []

    def talk(sock: Any, ended: Any) -> None:
        """Answer PINGREQ after more messages than its answer may take, as a busy line would."""
        peers.accept(sock)
        while len(pings) < 2:
            head, _ = peers.read_packet(sock)
            pings.append(head)
            for _ in range(8):
                sock.sendall(b"\x30\x05\x00\x03a/b")
                ended.wait(0.15)
            sock.sendall(b"\xd0\x00")

    with serving(tls, talk) as port:
        result = probe(port, "listen", 700, keepalive_s=1)
    assert pings == [0xC0] * 2
    assert (result["error"], result["errno"]) == ("OSError", errno.ECONNRESET)


def test_a_peer_that_talks_and_then_falls_silent_is_found_to_be_gone(
    probe: Probe, tls: Any
) -> None:
    def talk(sock: Any, ended: Any) -> None:
        peers.accept(sock)
        peers.read_packet(sock)
        sock.sendall(b"\x30\x05\x00\x03a/b")
        hang(sock, ended)

    with serving(tls, talk) as port:
        result = probe(port, "listen", 700, keepalive_s=1)
    assert (result["error"], result["errno"]) == ("OSError", errno.ETIMEDOUT)
    assert result["ms"] < 10000
