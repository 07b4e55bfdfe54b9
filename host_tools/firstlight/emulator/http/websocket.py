"""MQTT over WebSocket: the same conversations as over TLS alone, their bytes in binary frames.

Knows no topic. A packet may be cut into frames in any way, and a frame may hold many (MQTT 3.1.1
section 6). What a peer does not read is bounded, and so is every wait for it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from aiohttp import WebSocketError, WSMsgType, web

from ..answers import Refusal
from ..endings import end
from ..events import event
from ..mqtt.clockwork import Bounds, Watch
from ..mqtt.roles import Cloud
from ..mqtt.session import Session
from .talk import talk_of

SUBPROTOCOL = "mqtt"
_MAX_FRAME_BYTES = 1024 * 1024
_CLOSE_S = 5.0  # how long what was sent may take to leave, once a connection is to end


class Wire:
    """A session's way out over a WebSocket, in a task of its own.

    is_over: nothing leaves any more.
    commit: called before bytes leave; if it raises OSError, nothing leaves and the connection
    ends, and failed is told.
    """

    over = "websocket"

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        commit: Callable[[], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._commit = commit
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._out = bytearray()
        self._stir, self._is_calm, self._may_read = (asyncio.Event() for _ in range(3))
        self._is_calm.set()
        self._may_read.set()
        self._end: str | None = None
        self.is_over = False
        self._timers: set[asyncio.TimerHandle] = set()

    def send(self, data: bytes) -> None:
        """Queue bytes for the peer."""
        if self._end is None and not self.is_over:
            self._out += data
            self._is_calm.clear()
            self._stir.set()

    def waiting(self) -> int:
        """How many bytes are queued that the peer has not taken."""
        return len(self._out) + self._transport.get_write_buffer_size()

    def close(self) -> None:
        """End the connection once what was sent is out, and soon in any case."""
        self.end("close")

    def end(self, how: str) -> None:
        """End it in good order (close), or as a fault wants it: fin or reset."""
        if self._end is None:
            self._end = how
            self._stir.set()
            self.later(_CLOSE_S, self._transport.abort)

    def pause(self) -> None:
        """Read no more from the peer: a fault wants it."""
        if not self.is_over:
            self._may_read.clear()

    def resume(self) -> None:
        """Read again."""
        self._may_read.set()

    def later(self, delay_s: float, do: Callable[[], None]) -> None:
        """Call do in so many seconds, unless the connection is gone by then."""

        def ring() -> None:
            self._timers.discard(timer)
            do()

        timer = self._loop.call_later(delay_s, ring)
        self._timers.add(timer)

    async def ready(self) -> None:
        """Wait until the peer has taken what was sent, and may be read from."""
        await self._is_calm.wait()
        await self._may_read.wait()

    async def run(self, has_room: Callable[[], None]) -> None:
        """Send what is queued, until the connection ends. has_room: the peer has taken it all."""
        try:
            while self._end is None or self._out:
                await self._stir.wait()
                self._stir.clear()
                await self._flush()
                if not self._out:
                    self._is_calm.set()
                    has_room()
            if self._end == "close":
                await self._socket.close()
            else:
                end(self._transport, self._end)
        except (ConnectionError, RuntimeError):  # aiohttp's, for a socket that is gone or closing
            self._transport.abort()
        except BaseException:
            self._transport.abort()
            raise
        finally:
            self.is_over = True
            self._is_calm.set()
            self._may_read.set()

    def stop(self) -> None:
        """The connection is gone."""
        for timer in self._timers:
            timer.cancel()

    async def _flush(self) -> None:
        if self._out:
            data = bytes(self._out)
            self._out.clear()
            try:
                self._commit()
            except OSError as error:
                self._failed(error)
                raise ConnectionError("nothing may be acknowledged") from None
            await self._socket.send_bytes(data)


class Gate:
    """Turns HTTPS requests into MQTT conversations, and knows those that go on."""

    def __init__(self, cloud: Cloud, bounds: Bounds, commit: Callable[[], None]) -> None:
        self._cloud = cloud
        self._bounds = bounds
        self._commit = commit
        self._sessions: dict[Session, Callable[[], None]] = {}

    def sessions(self) -> list[Session]:
        """Those that are open."""
        return list(self._sessions)

    def abort(self) -> None:
        """End all of them at once."""
        for abort in list(self._sessions.values()):
            abort()

    async def converse(self, request: web.Request) -> web.StreamResponse:
        """Carry one conversation to its end; raise Refusal or HTTPBadRequest if it is none."""
        offered = ",".join(request.headers.getall("Sec-WebSocket-Protocol", []))
        if SUBPROTOCOL not in (name.strip() for name in offered.split(",")):
            raise Refusal(400, 400000, f"The subprotocol {SUBPROTOCOL} is not offered.")
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            timeout=_CLOSE_S,
            compress=False,
            max_msg_size=_MAX_FRAME_BYTES,
            decode_text=False,
        )
        talk, peer = talk_of(request), _peer(request)
        wire = Wire(socket, talk.wire, self._commit, partial(self._not_kept, peer))
        session = Session(self._cloud, wire, peer, talk.chain)
        talk.upgrade(session.close)
        await socket.prepare(request)
        watch = Watch(session, self._bounds, self._cloud.clock)
        self._sessions[session] = talk.abort
        writer = asyncio.create_task(wire.run(session.resume))
        try:
            await _listen(socket, session, watch, wire)
        finally:
            watch.stop()
            session.lost()
            wire.close()
            await _ended(writer)
            wire.stop()
            del self._sessions[session]
        return socket

    def _not_kept(self, peer: str, error: OSError) -> None:
        what = f"closed: nothing can be kept: {error.strerror or error}"
        self._cloud.emit(event(self._cloud.clock(), "mqtt", peer, what))


async def _listen(
    socket: web.WebSocketResponse, session: Session, watch: Watch, wire: Wire
) -> None:
    while not (session.is_closed or wire.is_over):
        message = await socket.receive()
        if message.type is WSMsgType.BINARY:
            session.feed(message.data)
            watch.fed()
            await wire.ready()
            watch.fed()  # a fault may have kept for long what was read
        elif message.type is WSMsgType.TEXT:
            session.close("a text frame")  # MQTT-6.0.0-1
        elif message.type is WSMsgType.ERROR and isinstance(message.data, WebSocketError):
            session.close(f"WebSocket error {int(message.data.code)}")
        else:
            return


async def _ended(writer: "asyncio.Task[None]") -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(writer, _CLOSE_S + 1)


def _peer(request: web.Request) -> str:
    address = request.transport.get_extra_info("peername") if request.transport else None
    return f"{address[0]}:{address[1]}" if address else "?"
