"""A TLS server over asyncio's plain TCP, with no more memory and time than a connection needs.

Knows nothing of what it carries, and tells no byte of it: a handshake that fails is told by
OpenSSL's own word for it. asyncio's own TLS keeps a buffer of 256 KB, filled with zeros, for each
connection as long as it lives (SSLProtocol.max_size in CPython's sslproto.py): 10 000 silent
devices would take 2.6 GB. Here a connection keeps what OpenSSL keeps.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL

from .handshake import new_server, peer_chain, ready, word
from .threshold import Lobby, Threshold

_RECORD_BYTES = 16 * 1024  # TLS has no longer ones
_READ_BYTES = 64 * 1024  # asyncio's own way makes room for 256 KB at each read
_GOODBYE_S = 5.0  # how long what was sent may take to leave, and a peer to close
_BACKLOG = 100  # asyncio accepts as many at a time, and complains as often if it cannot


class TlsServer:
    """Listens at any number of doors, and knows every connection from TCP's accept on.

    inside: makes what a connection's bytes go to, once TLS is up; handshake_s: how long that may
    take; failed: takes a peer's address, and why its handshake came to nothing; lobby: what faults
    before TLS need, if there may be any.
    """

    def __init__(
        self,
        inside: Callable[[], asyncio.Protocol],
        handshake_s: float,
        failed: Callable[[str, str], None],
        lobby: Lobby | None = None,
    ) -> None:
        self.lobby = lobby
        self.inside = inside
        self.handshake_s = handshake_s
        self.failed = failed
        self.connections: set[TlsConnection] = set()
        self.came = memoryview(bytearray(_READ_BYTES))  # of whichever connection reads now
        self._servers: list[asyncio.Server] = []

    async def start(self, door: socket.socket, context: SSL.Context) -> int:
        """Listen at a bound socket; return its port. Raise OSError if that cannot be."""
        server = await asyncio.get_running_loop().create_server(
            lambda: TlsConnection(self, context), sock=door, backlog=_BACKLOG
        )
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every door, and every connection at once."""
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.abort()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()


class TlsConnection(asyncio.BufferedProtocol, asyncio.Transport):
    """The protocol of a TCP connection, and the transport of the protocol inside.

    The protocol inside hears what asyncio's own TLS would tell it, and nothing before TLS is up.
    """

    __slots__ = (
        "_context",
        "_inside",
        "_is_closing",
        "_is_paused",
        "_server",
        "_tcp",
        "_threshold",
        "_timer",
        "_tls",
    )

    def __init__(self, server: TlsServer, context: SSL.Context) -> None:
        super().__init__()
        self._server = server
        self._context = context
        self._tls = new_server(context)
        self._inside: asyncio.Protocol | None = None
        self._threshold: Threshold | None = None
        self._tcp: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_paused = self._is_closing = False

    # What TCP tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is up: a client speaks first, and not for ever."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (asyncio's own contract)
        self._tcp = transport
        self._server.connections.add(self)
        lobby, hello_s = self._server.lobby, self._server.handshake_s
        if lobby is not None and lobby.faults.is_set_at_door:
            self._threshold = Threshold(lobby, transport, self._context, self, hello_s)
        else:
            self._await_hands()

    def get_buffer(self, _: int) -> memoryview:
        """Where the next bytes go: what they are is used before anyone else reads."""
        return self._server.came

    def buffer_updated(self, count: int) -> None:
        """So many have come."""
        self.data_received(self._server.came[:count])

    def data_received(self, data: bytes | memoryview) -> None:
        """Bytes of TLS; none count once we have said goodbye."""
        if self._is_closing or not data:
            return
        if self._threshold is not None:
            self._threshold.received(bytes(data))
            return
        self._tls.bio_write(data)
        if self._inside is None:
            self._shake_hands()
        if self._inside is not None:
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket has ended."""
        self._stop_timer()
        if self._threshold is not None:
            self._threshold.stop()
        self._is_closing = True
        self._server.connections.discard(self)
        inside, self._inside = self._inside, None  # no circle: what TLS holds, goes at once
        if inside is not None:
            inside.connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer does not read."""
        if self._inside is not None:
            self._inside.pause_writing()

    def resume_writing(self) -> None:
        """The peer reads again."""
        if self._inside is not None:
            self._inside.resume_writing()

    # What the protocol inside asks for.

    def write(self, data: Any) -> None:
        """Send bytes; none once the connection is closing."""
        if self._is_closing or not data:
            return
        try:
            self._tls.sendall(data)
        except SSL.Error:
            self.abort()
        else:
            self._flush()

    def close(self) -> None:
        """Say goodbye after what was sent, and wait for the peer to close, though not for ever.

        What still comes is thrown away: to close a socket with unread bytes would take our last
        words from the peer.
        """
        if self._is_closing or self._tcp is None:
            return
        self._is_closing = True
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(_GOODBYE_S, self.abort)
        with contextlib.suppress(SSL.Error):  # it never began
            self._tls.shutdown()
        self._flush()
        if not self._tcp.is_closing():
            with contextlib.suppress(OSError):  # the peer has gone altogether
                self._tcp.write_eof()
            self._tcp.resume_reading()

    def abort(self) -> None:
        """End the connection at once."""
        self._is_closing = True
        if self._tcp is not None:
            self._tcp.abort()

    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._is_closing or self._tcp is None or self._tcp.is_closing()

    def pause_reading(self) -> None:
        """Take no more from the peer."""
        self._is_paused = True
        if self._tcp is not None and not self._is_closing:
            self._tcp.pause_reading()

    def resume_reading(self) -> None:
        """Go on, first with what has come already."""
        self._is_paused = False
        if self._tcp is not None and not self._is_closing:
            self._tcp.resume_reading()
            asyncio.get_running_loop().call_soon(self._read)

    def is_reading(self) -> bool:
        """Whether bytes are taken from the peer."""
        return not (self._is_paused or self._is_closing)

    def get_write_buffer_size(self) -> int:
        """How many bytes wait for the peer to read."""
        return 0 if self._tcp is None else self._tcp.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """peer_chain: the certificates that the peer sent, DER, the leaf first; () for none.

        sslcontext: OpenSSL's, for whoever asks whether this is TLS; else what the socket knows.
        """
        if name == "peer_chain":
            return peer_chain(self._tls)
        if name == "sslcontext":
            return self._context
        return default if self._tcp is None else self._tcp.get_extra_info(name, default)

    # What a fault's threshold asks for.

    def enter(self, context: SSL.Context, data: bytes) -> None:
        """Go on with TLS by this context, beginning with these bytes."""
        self._threshold = None
        if context is not self._context:
            self._context = context
            self._tls = new_server(context)
        self._await_hands()
        self.data_received(data)

    # TLS itself.

    def _await_hands(self) -> None:
        """Shake hands within the bound."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._server.handshake_s, self.fail, "it took too long")

    def _shake_hands(self) -> None:
        """Take a step of the handshake."""
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._flush()
        except SSL.Error as error:
            self._flush()  # the alert that says why
            self.fail(word(error))
        else:
            self._flush()
            self._stop_timer()
            self._inside = self._server.inside()
            self._inside.connection_made(self)

    def _read(self) -> None:
        """Give the protocol inside all that has come."""
        while self._inside is not None and not (self._is_closing or self._is_paused):
            try:
                data = self._tls.recv(_RECORD_BYTES)
            except SSL.WantReadError:
                break
            except SSL.Error:  # bytes that are no TLS, or the peer's goodbye
                data = b""
            if not data:
                self.close()
                return
            self._inside.data_received(data)
        self._flush()

    def _flush(self) -> None:
        if self._tcp is not None and not self._tcp.is_closing():
            while data := ready(self._tls):
                self._tcp.write(data)

    def fail(self, why: str) -> None:
        """End a handshake."""
        self._stop_timer()
        self._is_closing = True
        if self._tcp is not None:
            address = self._tcp.get_extra_info("peername") or ("?", 0)
            self._server.failed(f"{address[0]}:{address[1]}", why)
            self._tcp.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
