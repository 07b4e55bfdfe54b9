"""The HTTPS server: every REST API, telemetry read back, and MQTT over WebSocket, on its ports.

Bounds sizes and times, finds the service that a request is for, and sees that nothing is
acknowledged before it is kept. Decides nothing: the services are pure.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler
from OpenSSL import SSL

from ..answers import Answer, Refusal
from ..events import event
from ..faults.faults import Faults
from ..rest import Call
from ..threshold import Lobby
from ..tls import TlsServer
from . import routing
from .own import Handle
from .routing import Place, Service
from .talk import Manners, Talk, refused, talk_of, written
from .telemetry import Reading, Wish
from .trouble import Troubled
from .websocket import Gate

_MAX_BODY_BYTES = 1024 * 1024
_STOP_S = 1.0
_HANDSHAKE_S = 10.0


@dataclass(frozen=True)
class HubSide:
    """A hub, as HTTP sees it. method: waits for a device's answer; the others do not wait."""

    service: Handle
    device: Handle
    method: Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Backstage:
    """What the server serves. own: the emulator's calls; hubs: by name, in lower case.

    commit: called before an answer leaves; it raises OSError if what was done cannot be kept.
    """

    manners: Manners
    names: routing.Names
    own: Handle
    dps: Handle
    dps_device: Handle
    hubs: Mapping[str, HubSide]
    reading: Reading
    gate: Gate
    commit: Callable[[], None]
    faults: Faults


class HttpServer:
    """The HTTPS ports. streams: how many are being read."""

    def __init__(self, backstage: Backstage, lobby: Lobby | None = None) -> None:
        self._back = backstage
        self._lobby = lobby
        self._runner: web.AppRunner | None = None
        self._tls: TlsServer | None = None
        self._handling: set[asyncio.Task[Any] | None] = set()
        self.streams = 0

    async def start(self, door: socket.socket, context: SSL.Context) -> int:
        """Listen at a bound socket; return the port. Once for each; raise OSError."""
        if self._runner is None:
            self._runner = await self._set_up()
        server = self._runner.server
        assert server is not None  # noqa: S101  (setup() has made it)
        if self._tls is None:
            self._tls = TlsServer(
                lambda: Talk(server, self._back.manners), _HANDSHAKE_S, self._no_tls, self._lobby
            )
        return await self._tls.start(door, context)

    async def stop(self) -> None:
        """Close the ports and every connection."""
        self._back.gate.abort()
        for task in self._handling:
            if task is not None:
                task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._tls is not None:
            await self._tls.stop()

    async def _set_up(self) -> web.AppRunner:
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._on_request])
        for path, handler in (
            (routing.WEBSOCKET, self._back.gate.converse),
            ("/emulator/telemetry", self._on_telemetry),
            ("/emulator/telemetry/stream", self._on_stream),
        ):
            app.router.add_get(path, handler, allow_head=False, expect_handler=_go_on)
            app.router.add_route("*", path, _not_allowed, expect_handler=_go_on)
        # Not .*: a path may have a line's end in it, and is no other's to answer.
        app.router.add_route("*", r"/{path:[\s\S]*}", self._on_call, expect_handler=_go_on)
        # A client that has gone is waited for no more: it may come again as often as it likes.
        runner = web.AppRunner(app, shutdown_timeout=_STOP_S, handler_cancellation=True)
        await runner.setup()
        return runner

    @web.middleware
    async def _on_request(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        talk, task = talk_of(request), asyncio.current_task()
        talk.attend()
        if task is not None and request.path != routing.WEBSOCKET:
            self._handling.add(task)
        try:
            return await handler(request)
        except web.HTTPException as error:
            # What aiohttp itself refuses (size, time, a path that no route takes), in our form.
            return self._refused(request, error.status)
        except (web.RequestPayloadError, HttpProcessingError):
            return self._refused(request, 400)
        except Refusal as refusal:
            answer = self._refusal(refusal)
            self._tell(f"{request.method} {request.path}", answer.note, answer.status)
            return written(answer)
        except ConnectionError:
            return _nothing()  # which cannot leave: the connection has ended
        finally:
            self._handling.discard(task)
            talk.expect()

    async def _on_call(self, request: web.Request) -> web.Response:
        manners = self._back.manners
        try:
            body = await asyncio.wait_for(request.read(), manners.request_s)
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        chain = talk_of(request).chain()
        call = Call(request.method, request.path, request.query, headers, body, chain)
        try:
            place = routing.find(self._back.names, call.method, call.path, request.host)
            answer = await self._answer(place, call, request)
        except Refusal as refusal:
            answer = self._refusal(refusal)
        if call.path != "/emulator/info":
            where = f"{request.method} {request.path}"
            self._tell(where, answer.note or str(answer.status), answer.status)
        self._keep(request)
        return written(answer)

    async def _answer(self, place: Place, call: Call, request: web.Request) -> Answer:
        back = self._back
        if place.service is Service.HUB_METHOD:
            return await back.hubs[place.hub].method(call)
        handler = self._handler(place)
        if place.service is Service.DPS_DEVICE and back.faults.is_set:
            trouble = Troubled(back.faults, talk_of(request).wire, lambda: self._keep(request))
            return await trouble.answer(call, lambda: handler(call, back.manners.clock()))
        return handler(call, back.manners.clock())

    def _handler(self, place: Place) -> Handle:
        back = self._back
        if place.service is Service.HUB:
            return back.hubs[place.hub].service
        if place.service is Service.HUB_DEVICE:
            return back.hubs[place.hub].device
        handlers = {
            Service.EMULATOR: back.own,
            Service.DPS: back.dps,
            Service.DPS_DEVICE: back.dps_device,
        }
        return handlers[place.service]

    async def _on_telemetry(self, request: web.Request) -> web.Response:
        answer = await self._back.reading.listed(request.query)
        self._keep(request)  # or a number that a reader has seen is given again
        return written(answer)

    async def _on_stream(self, request: web.Request) -> web.StreamResponse:
        wish = Wish.of(request.query, request.headers.get("Last-Event-ID"))
        self.streams += 1
        try:
            return await self._back.reading.stream(request, wish, lambda: self._keep(request))
        finally:
            talk_of(request).abort()
            self.streams -= 1

    def _no_tls(self, peer: str, why: str) -> None:
        self._back.manners.emit(event(self._back.manners.clock(), "http", peer, f"no TLS: {why}"))

    def _keep(self, request: web.Request) -> None:
        """See that what was done outlives us, or end the connection without an answer."""
        try:
            self._back.commit()
        except OSError as error:
            self._tell(f"{request.method} {request.path}", f"not kept: {error.strerror}", 500)
            talk_of(request).abort()
            raise ConnectionError("nothing may be acknowledged") from None

    def _refused(self, request: web.Request, status: int) -> web.Response:
        # Not aiohttp's own words: they may repeat the peer's.
        what = f"{status} {HTTPStatus(status).phrase}"
        self._tell(f"{request.method} {request.path}", what, status)
        return refused(self._back.manners, status)

    def _refusal(self, refusal: Refusal) -> Answer:
        manners = self._back.manners
        return refusal.answer(manners.clock(), manners.random_bytes)

    def _tell(self, where: str, what: str, status: int) -> None:
        manners = self._back.manners
        manners.emit(event(manners.clock(), "http", where, what, status=status))


def _text(value: str) -> str:
    """A header's value. aiohttp's has lone surrogates for bytes that are not UTF-8."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _nothing() -> web.Response:
    response = web.Response(status=500)
    response.force_close()
    return response


async def _go_on(request: web.Request) -> None:
    """Have the body sent. Any other expectation is as good as none (RFC 9110, 10.1.1)."""
    if request.headers["Expect"].lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


async def _not_allowed(request: web.Request) -> web.StreamResponse:
    raise web.HTTPMethodNotAllowed(request.method, ["GET"])
