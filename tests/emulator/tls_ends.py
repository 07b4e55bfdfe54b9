"""Both ends of a TLS connection, for tests: a client in memory, and a server on a port."""

import asyncio
import contextlib
import socket
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from firstlight.emulator.root import Root
from firstlight.emulator.tls import TlsConnection, TlsServer
from tests.certificates import Issued

ROOT = Root()
CONTEXT = ROOT.context(("localhost",))
PATIENCE_S = 10.0
_T = TypeVar("_T")


def client_context(
    shown: Issued | None = None, chain_pem: str | None = None, root_pem: str = ROOT.pem
) -> ssl.SSLContext:
    """One that trusts the server, and shows a certificate; chain_pem: what is sent of it."""
    context = ssl.create_default_context(cadata=root_pem)
    if shown is not None:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as papers:
            papers.write(shown.key_pem + (chain_pem or shown.chain_pem))
            papers.flush()
            context.load_cert_chain(papers.name)
    return context


class Inside(asyncio.Protocol):
    """Writes down what it hears, and may answer it."""

    def __init__(self, answer: Callable[["Inside", bytes], None] | None = None) -> None:
        self.heard = bytearray()
        self.events: list[str] = []
        self._answer = answer
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.heard += data
        if self._answer is not None:
            self._answer(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


class Tcp(asyncio.Transport):
    """A TCP transport that is none: what was written is kept."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 5)})
        self.written = bytearray()
        self.calls: list[str] = []

    def write(self, data: Any) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.calls.append("eof")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def is_closing(self) -> bool:
        return "close" in self.calls or "abort" in self.calls

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


class Client:
    """A TLS client in memory, whose bytes go to a TlsConnection and back.

    context: how it trusts, and what it shows of itself; spoil: what becomes of its bytes.
    """

    def __init__(
        self,
        inside: Inside,
        step: int = 1 << 20,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.failures: list[str] = []
        self.inside = inside
        server = TlsServer(lambda: inside, PATIENCE_S, lambda _, why: self.failures.append(why))
        self.server = TlsConnection(server, CONTEXT)
        self.tcp = Tcp()
        self.server.connection_made(self.tcp)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or client_context()
        self.tls = context.wrap_bio(
            self._in, self._out, server_hostname="localhost", session=session
        )
        self._step = step
        self.spoil: Callable[[bytes], bytes] = lambda data: data

    def exchange(self) -> None:
        """Carry bytes both ways until nobody has any."""
        while self._out.pending or self.tcp.written:
            data = self.spoil(self._out.read())
            for at in range(0, len(data), self._step):
                self.server.data_received(data[at : at + self._step])
            self._in.write(bytes(self.tcp.written))
            self.tcp.written.clear()
            if not self.inside.events:
                self.shake_hands()

    def shake_hands(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()

    def connect(self) -> "Client":
        self.shake_hands()
        self.exchange()
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        assert self.inside.events == ["made"]
        return self

    def say(self, data: bytes) -> None:
        self.tls.write(data)
        self.exchange()

    def hear(self) -> bytes:
        with contextlib.suppress(ssl.SSLWantReadError):
            return self.tls.read(1 << 20)
        return b""


def run(body: Callable[[], Awaitable[_T]]) -> _T:
    async def bounded() -> _T:
        return await asyncio.wait_for(body(), PATIENCE_S)

    return asyncio.run(bounded())


class Port:
    """A server on a real port of loopback. client: a TLS context that trusts it."""

    def __init__(self, inside: Callable[[], Inside], handshake_s: float = PATIENCE_S) -> None:
        self.failed = asyncio.Event()
        self.failures: list[tuple[str, str]] = []
        self.server = TlsServer(inside, handshake_s, self._note)
        self.number = 0

    def _note(self, peer: str, why: str) -> None:
        self.failures.append((peer, why))
        self.failed.set()

    async def __aenter__(self) -> "Port":
        door = socket.socket()
        door.bind(("127.0.0.1", 0))
        self.number = await self.server.start(door, CONTEXT)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.create_default_context(cadata=ROOT.pem)
        return await asyncio.open_connection(
            "127.0.0.1", self.number, ssl=context, server_hostname="localhost"
        )
