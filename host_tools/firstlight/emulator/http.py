"""The HTTPS server: the service API of DPS, and what the hubs received.

A thin coat over service.py and the telemetry: sizes and times bounded here, everything else there.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from . import hub
from .answers import Answer, Json, RandomBytes, Refusal
from .events import Emit, event
from .service import Call, ServiceApi

_MAX_BODY_BYTES = 1024 * 1024
_MAX_WAIT_S = 60.0
_STOP_S = 1.0
_HANDSHAKE_S = 10.0
Wait = Callable[[float, Callable[[], list[hub.Message]]], Awaitable[list[hub.Message]]]


@dataclass(frozen=True)
class Backstage:
    """What the server serves. wait: gives messages once there are some, or after some seconds.

    request_s: how long a connection may take to its first request, and a request to its end.
    """

    api: ServiceApi
    telemetry: hub.Telemetry
    wait: Wait
    info: Callable[[], Json]
    clock: Callable[[], float]
    random_bytes: RandomBytes
    emit: Emit
    request_s: float


class HttpServer:
    """One HTTPS port."""

    def __init__(self, backstage: Backstage) -> None:
        self._back = backstage
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._silent: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = {}

    async def start(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Listen; return the port. Raise OSError if it cannot be had."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._on_request])
        app.router.add_get("/emulator/info", self._on_info)
        app.router.add_get("/emulator/telemetry", self._on_telemetry)
        app.router.add_route("*", "/{path:.*}", self._on_service)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=_STOP_S, lingering_time=0
        )
        await self._runner.setup()
        self._server = await asyncio.get_running_loop().create_server(
            self._connection, host, port, ssl=context, ssl_handshake_timeout=_HANDSHAKE_S
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _connection(self) -> asyncio.BaseProtocol:
        # aiohttp bounds the wait between requests, but not for the first one: we do.
        assert self._runner is not None  # noqa: S101  (start() has made it)
        assert self._runner.server is not None  # noqa: S101
        connection = self._runner.server()
        self._silent[connection] = asyncio.get_running_loop().call_later(
            self._back.request_s, self._drop, connection
        )
        return connection

    def _drop(self, connection: web.RequestHandler) -> None:
        del self._silent[connection]
        if connection.transport is not None:
            connection.transport.abort()

    @web.middleware
    async def _on_request(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        timer = self._silent.pop(request.protocol, None)
        if timer is not None:
            timer.cancel()
        try:
            return await handler(request)
        except web.HTTPException as error:
            # What aiohttp itself refuses (size, time, a path that no route takes), in our form.
            refusal = Refusal(error.status, error.status * 1000, error.reason)
            response = _response(refusal.answer(self._back.clock(), self._back.random_bytes))
            response.force_close()
            return response

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
        return _response(Answer(200, [hub.shown(message) for message in found]))


def _number(request: web.Request, name: str, most: float) -> float:
    text = request.query.get(name, "0")
    if not (text.isascii() and text.replace(".", "", 1).isdigit()) or len(text) > 15:
        raise Refusal(400, 400000, f"{name} is not a number.")
    return min(float(text), most)


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
