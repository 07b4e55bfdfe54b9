"""The MQTT server: TLS on one port for DPS and every hub.

Moves bytes between sockets and sessions and keeps their time; knows nothing of topics. Every
connection has one timer, and every wait of a peer is bounded.
"""

import asyncio
import socket
import ssl
from dataclasses import dataclass

from .roles import Cloud
from .session import Session

_CLOSE_S = 5.0  # how long what was sent may take to leave, once a connection is to end
_MAX_SLEEP_S = 60.0  # a clock that is set must be noticed


@dataclass(frozen=True)
class Bounds:
    """Limits of a connection, in seconds."""

    connect_s: float = 10.0
    packet_s: float = 30.0


class MqttServer:
    """Listens, and knows its connections."""

    def __init__(self, cloud: Cloud, bounds: Bounds) -> None:
        self.cloud = cloud
        self.bounds = bounds
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, door: socket.socket, context: ssl.SSLContext) -> int:
        """Listen at a bound socket; return the port. Raise OSError if it cannot be had."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self),
            sock=door,
            ssl=context,
            backlog=100,  # asyncio accepts as many at a time, and complains as often if it cannot
            ssl_handshake_timeout=self.bounds.connect_s,
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
            for connection in list(self.connections):
                connection.abort()
            await self._server.wait_closed()


class Connection(asyncio.Protocol):
    """One socket, its session and its timer."""

    def __init__(self, server: MqttServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle_since = self._loop.time()
        self._midway_since: float | None = None
        self._packets_read = 0
        self._out = bytearray()
        self._is_feeding = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is up."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (asyncio's own contract)
        self._transport = transport
        address = transport.get_extra_info("peername") or ("?", 0)
        peer = f"{address[0]}:{address[1]}"
        self._server.connections.add(self)
        self._session = Session(self._server.cloud, self, peer)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        session = self._session
        if session is None or session.is_closed:
            return
        was_connected = session.is_connected
        self._is_feeding = True
        session.feed(data)
        self._is_feeding = False
        self._flush()
        now = self._loop.time()
        if session.packets_read != self._packets_read:
            self._packets_read = session.packets_read
            self._idle_since, self._midway_since = now, None
        if session.is_midway and self._midway_since is None:
            self._midway_since = now
            self._watch()
        elif session.is_connected != was_connected:
            self._watch()

    def connection_lost(self, _: Exception | None) -> None:
        """The socket has ended."""
        self._server.connections.discard(self)
        self._stop_timer()
        if self._session is not None:
            self._session.lost()
        self._stop_timer()

    def pause_writing(self) -> None:
        """The peer does not read: read no more requests from it until it does."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer reads again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def send(self, data: bytes) -> None:
        """Session's way out; the answers to what came in one piece leave in one."""
        self._out += data
        if not self._is_feeding:
            self._flush()

    def _flush(self) -> None:
        # A transport whose peer is gone would complain of each further write.
        if self._out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(bytes(self._out))
        self._out.clear()

    def close(self) -> None:
        """End the connection once what was sent is out, and soon in any case."""
        self._stop_timer()
        self._flush()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._timer = self._loop.call_later(_CLOSE_S, self.abort)

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        """Close what is overdue, and look again when the next bound falls."""
        self._stop_timer()
        session = self._session
        if session is None or session.is_closed:
            return
        left_s, why = self._next_bound(session)
        if left_s <= 0:
            session.close(why)
        else:
            self._timer = self._loop.call_later(min(left_s, _MAX_SLEEP_S), self._watch)

    def _next_bound(self, session: Session) -> tuple[float, str]:
        now = self._loop.time()
        bounds = self._server.bounds
        if session.idle_limit_s is None:
            return self._idle_since + bounds.connect_s - now, "no CONNECT came in time"
        waits = [(self._idle_since + session.idle_limit_s - now, "silent for 1.5 x keepalive")]
        if self._midway_since is not None:
            waits.append((self._midway_since + bounds.packet_s - now, "half a packet came"))
        if session.expires_at is not None:
            left_s = session.expires_at - self._server.cloud.clock()
            waits.append((left_s, "the token has expired"))
        return min(waits)
