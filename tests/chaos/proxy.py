"""A TCP proxy that misbehaves on demand: what becomes of each way's bytes can change any time.

Knows of TLS only where a record begins, so that it can strike at one. Runs in a thread of its own.

    with Proxy(azure.mqtt_port) as proxy:
        proxy.up.size = 1                              # to the server, a byte at a time
        proxy.down.is_hole = True                      # what the server says gets lost
        proxy.strike(Strike("up", 1, "reset"))         # when the first packet is about to go up
        proxy.cut()                                    # every connection, now
"""

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar

_T = TypeVar("_T")
_APPLICATION_DATA = 23  # TLS's type of a record, RFC 5246 section 6.2.1
_HEAD = 5
_CHUNK = 65536
_END_S = 10.0
ENDS = ("reset", "fin", "hole", "half-open")


@dataclass
class Way:
    """What becomes of the bytes in one direction.

    delay_s: how long each piece waits; rate: bytes a second, at most; size: of a piece, at most;
    is_hole: they are taken, and go nowhere; is_stuck: they are not even taken.
    """

    delay_s: float = 0.0
    rate: float | None = None
    size: int | None = None
    is_hole: bool = False
    is_stuck: bool = False


@dataclass
class Strike:
    """Once, at one moment of one connection, its end.

    way: "up" or "down"; record: before which record with application data, 1 for the first; 0:
    before the very first byte. end: reset, fin, hole (nothing goes any further, either way) or
    half-open (the server's side ends, the device's stays). part: so many bytes of the record go
    before. connection: which one from now on, 0 for the next. has_struck: it did.
    """

    way: str
    record: int
    end: str
    part: int = 0
    connection: int = 0
    has_struck: bool = False


@dataclass
class _Records:
    """Where TLS records begin in what one way carries. seen: those with application data."""

    seen: int = 0
    left: int = 0
    head: bytearray = field(default_factory=bytearray)

    def pieces(self, data: bytes) -> list[tuple[bytes, int | None]]:
        """Cut at each record's end; beside a piece that begins one, how many were seen then."""
        found: list[tuple[bytes, int | None]] = []
        while data:
            number = None
            if not self.left:
                taken = data[: _HEAD - len(self.head)]
                self.head += taken
                data = data[len(taken) :]
                if len(self.head) < _HEAD:
                    break
                self.left = struct.unpack("!H", self.head[3:])[0]
                self.seen += self.head[0] == _APPLICATION_DATA
                number = self.seen if self.head[0] == _APPLICATION_DATA else 0
                piece, data = data[: self.left], data[self.left :]
                self.left -= len(piece)
                piece, self.head = bytes(self.head) + piece, bytearray()
            else:
                piece, data = data[: self.left], data[self.left :]
                self.left -= len(piece)
            found.append((piece, number))
        return found


class _Pair:
    """One connection: the device's end and the server's."""

    def __init__(self, device: asyncio.StreamWriter, number: int) -> None:
        self.device, self.number = device, number
        self.server: asyncio.StreamWriter | None = None
        self.is_hole = False

    def end(self, how: str) -> None:
        if how in ("hole", "half-open"):
            self.is_hole = True
        if how == "hole":
            return
        for writer in (self.device, self.server):
            if writer is None or (how == "half-open" and writer is self.device):
                continue
            if how == "reset":
                sock = writer.get_extra_info("socket")
                linger = struct.pack("ii", 1, 0)
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
            else:
                writer.close()


class Proxy:
    """From a free port of 127.0.0.1 to another of its ports. up: to the server; down: back.

    accepts: whether anybody is let in; if not, who connects finds a listener and silence.
    connections: so many were let in.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._strikes: list[Strike] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.heal()

    def heal(self) -> None:
        """Behave from now on; what has been cut stays so."""
        self.up, self.down = Way(), Way()
        self.accepts = True
        self._strikes = []

    def strike(self, *strikes: Strike) -> None:
        """Let strikes happen when their moments come."""
        for one in strikes:
            one.connection += self.connections
        self._strikes = list(strikes)

    def cut(self, end: str = "reset") -> int:
        """End every connection that there is; return how many."""

        def do() -> int:
            count = len(self._pairs)
            for pair in list(self._pairs):
                pair.end(end)
            return count

        return self._call(do)

    def refuse(self, yes: bool = True) -> None:
        """Let the port be closed, so that who connects is refused; or open it again."""

        def do() -> None:
            if yes:
                self._loop.remove_reader(self._listener)
                self._listener.close()
                return
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener, self._knock)

        self._call(do)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_END_S)
        self._listener.close()

    def _call(self, do: Callable[[], _T]) -> _T:
        async def step() -> _T:
            return do()

        return asyncio.run_coroutine_threadsafe(step(), self._loop).result(_END_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.add_reader(self._listener, self._knock)
        self._loop.run_forever()
        for pair in list(self._pairs):
            pair.end("reset")
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _knock(self) -> None:
        if not self.accepts:  # looked at again soon: a listener that is never read stays ready
            self._loop.remove_reader(self._listener)
            self._loop.call_later(0.02, self._loop.add_reader, self._listener, self._knock)
            return
        with suppress(BlockingIOError):
            sock, _ = self._listener.accept()
            number, self.connections = self.connections, self.connections + 1
            task = self._loop.create_task(self._serve(sock, number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, sock: socket.socket, number: int) -> None:
        from_device, device = await asyncio.open_connection(sock=sock)
        pair = _Pair(device, number)
        self._pairs.add(pair)
        try:
            if not await self._is_let("up", pair, 0):
                return
            from_server, server = await asyncio.open_connection("127.0.0.1", self._target)
            pair.server = server
            await asyncio.gather(
                self._carry("up", pair, from_device, server),
                self._carry("down", pair, from_server, device),
            )
        except OSError:
            pair.end("reset")
        finally:
            if not pair.is_hole:
                pair.end("fin")
            elif self._loop.is_running():
                await self._linger(pair, from_device)
            self._pairs.discard(pair)

    async def _linger(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        """Stay silent until the device has had enough."""
        with suppress(OSError):
            while await reader.read(_CHUNK):
                pass
        pair.end("reset")

    async def _carry(
        self,
        way: str,
        pair: _Pair,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        records = _Records()
        try:
            async for data in self._read(way, reader):
                for piece, number in records.pieces(data):
                    if number is not None and not await self._is_let(way, pair, number, piece):
                        return
                    await self._pass(way, pair, piece, writer)
            if not pair.is_hole and writer.can_write_eof():
                writer.write_eof()
        except OSError:
            if not pair.is_hole:
                pair.end("reset")

    async def _read(self, way: str, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        while True:
            while getattr(self, way).is_stuck:
                await asyncio.sleep(0.01)
            data = await reader.read(_CHUNK)
            if not data:
                return
            yield data

    async def _is_let(self, way: str, pair: _Pair, number: int, piece: bytes = b"") -> bool:
        """Whether a record may go; strike if it is the moment."""
        for one in self._strikes:
            if (one.way, one.record, one.connection) != (way, number, pair.number):
                continue
            if one.has_struck:
                continue
            one.has_struck = True
            to = pair.server if way == "up" else pair.device
            if one.part and to is not None:
                to.write(piece[: one.part])
                await to.drain()
                await asyncio.sleep(0.005)  # or a reset would overtake it
            pair.end(one.end)
            return False
        return True

    async def _pass(
        self, way: str, pair: _Pair, piece: bytes, writer: asyncio.StreamWriter
    ) -> None:
        while piece and not pair.is_hole:
            how: Way = getattr(self, way)
            if how.is_hole:
                return
            if how.delay_s:
                await asyncio.sleep(how.delay_s)
            part = piece[: how.size or len(piece)]
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(len(part) / how.rate if how.rate else 0)
            piece = piece[len(part) :]
