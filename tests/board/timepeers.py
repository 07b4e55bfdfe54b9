"""Servers that tell the time, rightly or not: SNTP over UDP, and HTTPS, one talk a connection."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate

from firstlight.emulator.sntp import answer
from tests.board.peers import Talk

Reply = Callable[[bytes], bytes | None]


def telling(off_s: float) -> Reply:
    """An SNTP server whose clock is off."""
    return lambda request: answer(request, time.time() + off_s)


def lost(_request: bytes) -> None:
    """A network that UDP does not pass."""


@contextmanager
def sntp(*replies: Reply) -> Iterator[list[str]]:
    """Serve each on a port of its own; yield their addresses."""
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in replies]
    threads = []
    for sock, reply in zip(socks, replies, strict=True):
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(60)
        threads.append(threading.Thread(target=_answer, args=(sock, reply)))
        threads[-1].start()
    try:
        yield [f"127.0.0.1:{sock.getsockname()[1]}" for sock in socks]
    finally:
        for sock, thread in zip(socks, threads, strict=True):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", sock.getsockname())
            thread.join(10)
            sock.close()


def _answer(sock: socket.socket, reply: Reply) -> None:
    with suppress(OSError):
        while (packet := sock.recvfrom(100))[0] != b"end":
            told = reply(packet[0])
            if told is not None:
                sock.sendto(told, packet[1])


def head(off_s: float = 0, date: str | None = None) -> bytes:
    """An HTTP answer's headers; date: in place of the right one."""
    date = formatdate(time.time() + off_s, usegmt=True) if date is None else date
    return f"HTTP/1.1 404 Not Found\r\nServer: x\r\ndate: {date}\r\n\r\n".encode()


def web(context: ssl.SSLContext, *pieces: bytes, then: Talk | None = None) -> Talk:
    """Take TLS and a request, send the pieces, do one thing more; for peers.serving(None, ..)."""

    def talk(raw: socket.socket, ended: threading.Event) -> None:
        with context.wrap_socket(raw, server_side=True) as sock:
            asked = b""
            while b"\r\n\r\n" not in asked:
                more = sock.recv(1000)
                if not more:
                    return
                asked += more
            assert asked.startswith(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n"), asked
            for piece in pieces:
                sock.sendall(piece)
            if then is not None:
                then(sock, ended)

    return talk
