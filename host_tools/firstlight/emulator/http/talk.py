"""aiohttp's side of an HTTPS connection, within our bounds, and with errors told in Azure's form.

Never logs, nor answers with, what it could not parse: a token may be in it, and aiohttp would.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from ..answers import Answer, RandomBytes, Refusal
from ..events import Emit, event
from .frames import Frames

_MUTE = logging.Logger("aiohttp, whose records may hold a token", logging.CRITICAL + 1)


@dataclass(frozen=True)
class Manners:
    """How a connection behaves. request_s: how long it may take to its first request, and a
    request to its end, and an answer to be taken.
    """

    clock: Callable[[], float]
    random_bytes: RandomBytes
    emit: Emit
    request_s: float


class Talk(web.RequestHandler):
    """One connection. Whoever answers a request calls attend(), and expect() when it is done."""

    __slots__ = ("_end", "_frames", "_manners", "_timer", "_wire")

    def __init__(self, server: web.Server, manners: Manners) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            logger=_MUTE,
            access_log=_MUTE,
            keepalive_timeout=manners.request_s,
            lingering_time=0,
        )
        self._manners = manners
        self._wire: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._frames = Frames()
        self._end: Callable[[str], None] = lambda _: None

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
            self._timer = self._loop.call_later(self._manners.request_s, self._wire.abort)

    def upgrade(self, end: Callable[[str], None]) -> None:
        """It is to be a WebSocket. end: told why, for a message without an end or a mask."""
        self._end = end

    def set_parser(self, parser: Any, data_received_cb: Callable[[], None] | None = None) -> None:
        """It is a WebSocket from now on: aiohttp's own parser gets its bytes, past our eyes."""
        super().set_parser(_Seen(parser, self._see), data_received_cb)  # type: ignore[arg-type]

    def _see(self, data: bytes) -> bytes:
        frames, ended = self._frames, self._frames.ended
        is_masked = frames.feed(data)
        if frames.ended != ended:
            self.attend()
        if frames.is_midway and self._timer is None:
            self._await_end()
        if not is_masked:
            self._end("a WebSocket frame without a mask")
        return data if is_masked else b""

    def _await_end(self) -> None:
        self._timer = self._loop.call_later(self._manners.request_s, self._be_late)

    def _be_late(self) -> None:
        if not self.wire.is_reading():  # it is we who do not take the rest
            self._await_end()
        else:
            self._end("half a message came")

    def attend(self) -> None:
        """A request is being answered, or nothing is to come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def wire(self) -> asyncio.Transport:
        """What carries it, once TLS is up."""
        assert self._wire is not None  # noqa: S101  (connection_made comes before any request)
        return self._wire

    def chain(self) -> tuple[bytes, ...]:
        """The certificates that the client showed, DER, the leaf first; () for none."""
        return tuple(self.wire.get_extra_info("peer_chain", ()))

    def abort(self) -> None:
        """End the connection at once."""
        if self._wire is not None:
            self._wire.abort()

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
        return refused(self._manners, status)

    def log_exception(self, *_: Any, **more: Any) -> None:
        """What went wrong beside a request, by its kind alone."""
        self._tell(None, f"unexpected {type(more.get('exc_info')).__name__}", 500)

    def _tell(self, peer: str | None, what: str, status: int) -> None:
        now_at = self._manners.clock()
        self._manners.emit(event(now_at, "http", peer or "?", what, status=status))


class _Seen:
    """A parser that is shown what someone made of the bytes."""

    def __init__(self, parser: Any, see: Callable[[bytes], bytes]) -> None:
        self._parser = parser
        self._see = see
        self.feed_eof = parser.feed_eof

    def feed_data(self, data: bytes) -> Any:
        return self._parser.feed_data(self._see(data))


def talk_of(request: web.Request) -> Talk:
    """The connection that a request came over."""
    talk = request.protocol
    assert isinstance(talk, Talk)  # noqa: S101  (the server makes no other)
    return talk


def refused(manners: Manners, status: int) -> web.Response:
    """What HTTP itself refuses (size, time, syntax), as Azure would say it; the last answer."""
    refusal = Refusal(status, status * 1000, HTTPStatus(status).phrase)
    response = written(refusal.answer(manners.clock(), manners.random_bytes))
    response.force_close()
    return response


def written(answer: Answer) -> web.Response:
    """An answer as HTTP."""
    headers = dict(answer.headers)
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(answer.retry_after_s)
    if answer.raw is not None:
        headers.setdefault("Content-Type", answer.content_type or "application/octet-stream")
    elif answer.document is not None:
        headers["Content-Type"] = answer.content_type or "application/json; charset=utf-8"
    return web.Response(status=answer.status, body=answer.body or None, headers=headers)
