"""The MQTT server: TLS on one port for DPS and every hub.

Moves bytes between sockets and sessions, and lets none leave before what they acknowledge is
kept; knows nothing of topics. Every connection has one timer, and every wait of a peer is bounded.
"""

import asyncio
import socket
from collections.abc import Callable

from OpenSSL import SSL

from ..endings import end
from ..events import event
from ..threshold import Lobby
from ..tls import TlsServer
from .clockwork import Bounds, Watch
from .roles import Cloud
from .session import Session

_CLOSE_S = 5.0  # how long what was sent may take to leave, once a connection is to end


class MqttServer:
    """Listens, and knows its connections. lobby: for the faults before TLS, if there may be."""

    def __init__(self, cloud: Cloud, bounds: Bounds, lobby: Lobby | None = None) -> None:
        self.cloud = cloud
        self.bounds = bounds
        self.connections: set[Connection] = set()
        self._due: list[Connection] = []
        self.tls = TlsServer(lambda: Connection(self), bounds.connect_s, self._no_tls, lobby)

    async def start(self, door: socket.socket, context: SSL.Context) -> int:
        """Listen at one more bound socket; return its port. Raise OSError if that cannot be."""
        return await self.tls.start(door, context)

    async def stop(self) -> None:
        """Close every listener and every connection."""
        await self.tls.stop()

    def commit(self) -> str:
        """Keep what was done so far; empty, or why that cannot be."""
        try:
            self.cloud.commit()
        except OSError as error:
            return f"closed: nothing can be kept: {error.strerror or error}"
        return ""

    def release_soon(self, connection: "Connection") -> None:
        """Let its answers leave after one commit for all that are due in this turn of the loop."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._release)
        self._due.append(connection)

    def _release(self) -> None:
        due, self._due = self._due, []
        why = self.commit()
        for connection in due:
            connection.release(why)

    def _no_tls(self, peer: str, why: str) -> None:
        self.cloud.emit(event(self.cloud.clock(), "mqtt", peer, f"no TLS: {why}"))


class Connection(asyncio.Protocol):
    """One socket, its session and its timer."""

    over = "mqtt"

    def __init__(self, server: MqttServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._watch: Watch | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._timers: set[asyncio.TimerHandle] | None = None
        self._peer = "?"
        self._out = bytearray()
        self._is_feeding = self._is_paused = self._is_full = self._is_due = False

    @property
    def session(self) -> Session | None:
        """Its conversation, once TLS is up."""
        return self._session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is up."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (asyncio's own contract)
        self._transport = transport
        address = transport.get_extra_info("peername") or ("?", 0)
        self._peer = f"{address[0]}:{address[1]}"
        self._server.connections.add(self)
        self._session = Session(self._server.cloud, self, self._peer, self._chain)
        self._watch = Watch(self._session, self._server.bounds, self._server.cloud.clock)

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        session = self._session
        if session is None or session.is_closed:
            return
        self._is_feeding = True
        session.feed(data)
        self._is_feeding = False
        self._flush()
        session.resume()  # what found no room in a long answer may follow
        if self._watch is not None:
            self._watch.fed()

    def connection_lost(self, _: Exception | None) -> None:
        """The socket has ended."""
        self._server.connections.discard(self)
        session, self._session = self._session, None
        if session is not None:
            session.lost()
        self._stop_timers()
        for timer in self._timers or ():
            timer.cancel()
        self._transport = None  # no circle: what TLS holds, goes at once

    def pause_writing(self) -> None:
        """The peer does not read: read no more requests from it until it does."""
        self._is_full = True
        self._heed()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._is_full = False
        self._heed()
        if self._session is not None:
            self._session.resume()

    def pause(self) -> None:
        """Read no more from the peer: a fault wants it."""
        self._is_paused = True
        self._heed()

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        self._heed()
        if self._watch is not None:
            self._watch.fed()

    def later(self, delay_s: float, do: Callable[[], None]) -> None:
        """Call do in so many seconds, unless the connection is gone by then."""
        timers = self._timers = self._timers or set()

        def ring() -> None:
            timers.discard(timer)
            do()

        timer = self._loop.call_later(delay_s, ring)
        timers.add(timer)

    def send(self, data: bytes) -> None:
        """Session's way out; the answers to what came in one piece leave in one."""
        self._out += data
        if not self._is_feeding:
            self._flush()

    def waiting(self) -> int:
        """How many bytes are queued that the peer has not taken."""
        queued = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return len(self._out) + queued

    def close(self) -> None:
        """End the connection once what was sent is out, and soon in any case."""
        self._stop_timers()
        self._flush_now()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._ending = self._loop.call_later(_CLOSE_S, self.abort)

    def end(self, how: str) -> None:
        """End it otherwise than in good order: `fin` or `reset`."""
        self._stop_timers()
        self._flush_now()
        if self._transport is not None:
            end(self._transport, how)
            self._ending = self._loop.call_later(_CLOSE_S, self.abort)

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def release(self, why: str) -> None:
        """Let the answers leave, for what they acknowledge is kept; none if it is not, and why."""
        data = bytes(self._out)
        self._out.clear()
        # A transport whose peer is gone would complain of each further write.
        if data and self._transport is not None and not self._transport.is_closing():
            if why:
                cloud = self._server.cloud
                cloud.emit(event(cloud.clock(), "mqtt", self._peer, why))
                self.abort()
            else:
                self._transport.write(data)
        if self._is_due:
            self._is_due = False
            if self._session is not None:  # what found no room in a long answer may follow
                self._loop.call_soon(self._session.resume)

    def _chain(self) -> tuple[bytes, ...]:
        transport = self._transport
        return () if transport is None else tuple(transport.get_extra_info("peer_chain", ()))

    def _flush(self) -> None:
        """Let the answers leave as soon as what they acknowledge is kept."""
        if not self._server.cloud.keeps:
            self._flush_now()
        elif self._out and not self._is_due:
            self._is_due = True
            self._server.release_soon(self)

    def _flush_now(self) -> None:
        if self._out:
            self.release(self._server.commit())

    def _heed(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._is_paused or self._is_full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _stop_timers(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
