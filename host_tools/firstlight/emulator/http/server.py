"""The HTTPS server: the service API of DPS, and what the hubs received.

A thin coat over service.py and the telemetry: sizes and times bounded here, everything else there.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from ..answers import Answer, Json, RandomBytes, Refusal
from ..dps.api import ServiceApi
from ..events import Emit, event
from ..hub import telemetry
from ..rest import Call

_MAX_BODY_BYTES = 1024 * 1024
_MAX_WAIT_S = 60.0
_STOP_S = 1.0
_HANDSHAKE_S = 10.0
_PAGE_MESSAGES = 1000
_PAGE_BYTES = 4 * 1024 * 1024
_MUTE = logging.Logger("aiohttp, whose records may hold a token", logging.CRITICAL + 1)
Wait = Callable[[float, Callable[[], list[telemetry.Message]]], Awaitable[list[telemetry.Message]]]


@dataclass(frozen=True)
class Backstage:
    """What the server serves. wait: gives messages once there are some, or after some seconds.

    request_s: how long a connection may take to its first request, and a request to its end.
    """

    api: ServiceApi
    telemetry: telemetry.Telemetry
    wait: Wait
    info: Callable[[], Json]
    clock: Callable[[], float]
    random_bytes: RandomBytes
    emit: Emit
    request_s: float


class _Talk(web.RequestHandler):
    """aiohttp's side of a connection, within our bounds, and with errors told in our form.

    aiohttp itself would log, and answer with, the line that it cannot parse; a token may be in it.
    """

    __slots__ = ("_back", "_timer", "_wire")

    def __init__(self, server: web.Server, back: Backstage) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            logger=_MUTE,
            access_log=_MUTE,
            keepalive_timeout=back.request_s,
            lingering_time=0,
        )
        self._back = back
        self._wire: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is up."""
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (asyncio's own contract)
        self._wire = transport
        self.expect()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The socket has ended."""
        self.attend()
        super().connection_lost(exc)

    def expect(self) -> None:
        """Wait for a request's head, but not for ever, as aiohttp would for half a one."""
        self.attend()
        if self._wire is not None and not self._wire.is_closing():
            self._timer = self._loop.call_later(self._back.request_s, self._wire.abort)

    def attend(self) -> None:
        """A request is being answered, or nothing is to come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  (it repeats the peer's bytes)
    ) -> web.StreamResponse:
        """Answer what aiohttp could not parse, or what we failed at; the connection then ends."""
        self._tell(request.remote, f"{status} {type(exc).__name__}", status)
        if request.writer.output_size > 0:
            raise ConnectionError("half an answer is out already")
        return _refused(self._back, status)

    def log_exception(self, *_: Any, **more: Any) -> None:
        """What went wrong beside a request, by its kind alone."""
        self._tell(None, f"unexpected {type(more.get('exc_info')).__name__}", 500)

    def _tell(self, peer: str | None, what: str, status: int) -> None:
        self._back.emit(event(self._back.clock(), "http", peer or "?", what, status=status))


class HttpServer:
    """One HTTPS port."""

    def __init__(self, backstage: Backstage) -> None:
        self._back = backstage
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    async def start(self, door: socket.socket, context: ssl.SSLContext) -> int:
        """Listen at a bound socket; return the port. Raise OSError if it cannot be had."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._on_request])
        app.router.add_get("/emulator/info", self._on_info)
        app.router.add_get("/emulator/telemetry", self._on_telemetry)
        app.router.add_route("*", "/{path:.*}", self._on_service)
        self._runner = web.AppRunner(app, shutdown_timeout=_STOP_S)
        await self._runner.setup()
        server = self._runner.server
        assert server is not None  # noqa: S101  (setup() has made it)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Talk(server, self._back),
            sock=door,
            ssl=context,
            ssl_handshake_timeout=_HANDSHAKE_S,
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _on_request(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        talk = request.protocol
        assert isinstance(talk, _Talk)  # noqa: S101  (start() makes no other)
        talk.attend()
        try:
            return await handler(request)
        except web.HTTPException as error:
            # What aiohttp itself refuses (size, time, a path that no route takes), in our form.
            return _refused(self._back, error.status)
        except (web.RequestPayloadError, HttpProcessingError):
            return _refused(self._back, 400)
        finally:
            talk.expect()

    async def _on_service(self, request: web.Request) -> web.Response:
        now_at = self._back.clock()
        try:
            body = await asyncio.wait_for(request.read(), self._back.request_s)
        except asyncio.TimeoutError:
            raise web.HTTPRequestTimeout from None
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.method, request.path, request.query, headers, body)
        answer = self._back.api.handle(call, now_at)
        where = f"{request.method} {request.path}"
        self._back.emit(event(now_at, "http", where, answer.note, status=answer.status))
        return _response(answer)

    async def _on_info(self, _: web.Request) -> web.Response:
        return _response(Answer(200, self._back.info()))

    async def _on_telemetry(self, request: web.Request) -> web.Response:
        try:
            after = _number(request, "after", float("inf"))
            wait_s = _number(request, "wait_s", _MAX_WAIT_S)
        except Refusal as refusal:
            return _response(refusal.answer(self._back.clock(), self._back.random_bytes))
        names = request.query.get("hub"), request.query.get("device")
        found = await self._back.wait(
            wait_s, lambda: self._back.telemetry.select(names[0], names[1], int(after))
        )
        return _response(Answer(200, [telemetry.shown(message) for message in _page(found)]))


def _number(request: web.Request, name: str, most: float) -> float:
    text = request.query.get(name, "0")
    if not (text.isascii() and text.replace(".", "", 1).isdigit()) or len(text) > 15:
        raise Refusal(400, 400000, f"{name} is not a number.")
    return min(float(text), most)


def _page(messages: Sequence[telemetry.Message]) -> list[telemetry.Message]:
    """As many of the first as one answer may hold, and at least one; `after` gets the next."""
    page: list[telemetry.Message] = []
    left = _PAGE_BYTES
    for message in messages[:_PAGE_MESSAGES]:
        left -= message.size
        if left < 0 and page:
            break
        page.append(message)
    return page


def _refused(back: Backstage, status: int) -> web.Response:
    refusal = Refusal(status, status * 1000, HTTPStatus(status).phrase)
    response = _response(refusal.answer(back.clock(), back.random_bytes))
    response.force_close()
    return response


def _response(answer: Answer) -> web.Response:
    headers = dict(answer.headers)
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(answer.retry_after_s)
    if answer.document is None:
        return web.Response(status=answer.status, headers=headers)
    return web.Response(
        status=answer.status,
        body=answer.body,
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )


async def wait_until(event: asyncio.Event, deadline: float) -> bool:
    """Wait for the event until loop time `deadline`; whether it came."""
    left_s = deadline - asyncio.get_running_loop().time()
    if left_s <= 0:
        return False
    try:
        await asyncio.wait_for(event.wait(), left_s)
    except asyncio.TimeoutError:
        return False
    return True
