"""session.py on real MicroPython: what was not acknowledged stays, and a token wears out."""

import errno
import json
from pathlib import Path
from typing import Any

import trustme

from tests.board import peers


def publishes(acknowledge: bool, seen: list[bytes]) -> peers.Talk:
    """A hub that takes CONNECT and notes each PUBLISH, and acknowledges it or does not."""

    def talk(sock: Any, ended: Any) -> None:
        peers.read_packet(sock)
        sock.sendall(peers.CONNACK)
        while True:
            head, body = peers.read_packet(sock)
            if head >> 4 != 3:
                return
            topic = body[0] << 8 | body[1]
            seen.append(body[4 + topic :])
            if acknowledge:
                sock.sendall(b"\x40\x02" + body[2 + topic : 4 + topic])

    return talk


def run(tmp_path: Path, on_micropython: Any, *talks: peers.Talk, **asked: Any) -> dict[str, Any]:
    issuer = trustme.CA()
    root = peers.root_file(issuer, tmp_path)
    with peers.serving(peers.server_context(issuer), *talks) as port:
        whole = {"port": port, "root": str(root), "links": len(talks), "timeout_ms": 20000}
        result: dict[str, Any] = on_micropython("session_probe.py", whole | asked)
    return result


def test_a_message_that_was_not_acknowledged_is_the_next_connections_first(
    tmp_path: Path, on_micropython: Any
) -> None:
    first: list[bytes] = []
    second: list[bytes] = []
    talks = (publishes(False, first), publishes(True, second))
    result = run(tmp_path, on_micropython, *talks, timeout_ms=500, interval_ms=60000, life_ms=1000)
    assert result["errors"] == [errno.ETIMEDOUT, None]
    assert [json.loads(body) for body in first] == [{"count": 1}]
    assert second == first
    assert result["sent"] == 1


def test_a_session_ends_when_its_token_wears_out(tmp_path: Path, on_micropython: Any) -> None:
    seen: list[bytes] = []
    result = run(tmp_path, on_micropython, publishes(True, seen), interval_ms=60000, life_ms=300)
    assert result["errors"] == [None]
    assert len(seen) == 1


def test_a_sample_that_cannot_be_sent_is_told_and_passed_over(
    tmp_path: Path, on_micropython: Any
) -> None:
    seen: list[bytes] = []
    result = run(tmp_path, on_micropython, publishes(True, seen), interval_ms=100, life_ms=700)
    assert [json.loads(body)["count"] for body in seen][:2] == [1, 4]
    told = "\n".join(result["lines"])
    assert "9012 bytes, more than 8192: not sent" in told
    assert "app.sample failed: " in told
