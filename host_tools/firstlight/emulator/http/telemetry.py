"""Telemetry read back over HTTPS: as a list, and as a stream of server-sent events.

Keeps nothing: a reader that is slow misses what the hubs drop meanwhile, and sees so from the
numbers. A message of the stream, in the form of the WHATWG's HTML standard, section 9.2:

    id: 7
    data: {"sequence":7,"hub":"localhost","device_id":"esp32-a1b2c3","body":"{}",...}
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from ..answers import Answer, Refusal
from ..hub.telemetry import Message, Telemetry, shown

_MAX_WAIT_S = 60.0
_PAGE_MESSAGES = 1000
_PAGE_BYTES = 4 * 1024 * 1024
_MOST_BYTES = 256 * 1024  # of a stream, before the peer must have taken some
Wait = Callable[[float, Callable[[], list[Message]]], Awaitable[list[Message]]]


@dataclass(frozen=True)
class Wish:
    """Which messages: of one hub or of all, of one device or of all, above a number."""

    hub: str | None
    device: str | None
    after: int

    @classmethod
    def of(cls, query: Mapping[str, str], last: str | None = None) -> "Wish":
        """What a query asks for; last: the number that a stream is to go on from.

        Raise Refusal 400.
        """
        after = number({"after": last} if last else query, "after", float("inf"))
        return cls(query.get("hub") or None, query.get("device") or None, int(after))


class Search:
    """Looks for the messages of a wish, at each among those alone that came since the last look.

    after: those up to this number are found no more.
    """

    def __init__(self, telemetry: Telemetry, wish: Wish) -> None:
        self._telemetry = telemetry
        self._wish = wish
        self.after = wish.after

    def look(self) -> list[Message]:
        """Those there are, oldest first."""
        found = self._telemetry.select(self._wish.hub, self._wish.device, self.after)
        if not found:
            self.after = max(self.after, self._telemetry.received)
        return found


class Reading:
    """Messages for HTTP. wait: gives messages once there are some, or after some seconds."""

    def __init__(
        self, telemetry: Telemetry, wait: Wait, patience_s: float, silence_s: float = 15.0
    ) -> None:
        self._telemetry = telemetry
        self._wait = wait
        self._patience_s = patience_s
        self._silence_s = silence_s

    async def listed(self, query: Mapping[str, str]) -> Answer:
        """The messages that a query asks for, after at most its wait_s; raise Refusal 400."""
        search = Search(self._telemetry, Wish.of(query))
        found = await self._wait(number(query, "wait_s", _MAX_WAIT_S), search.look)
        return Answer(200, [shown(message) for message in _page(found)])

    async def stream(
        self, request: web.Request, wish: Wish, keep: Callable[[], None]
    ) -> web.StreamResponse:
        """Send the messages of a wish as they come, until the peer has gone or does not read.

        keep: called before any leave, for a number that was shown must not be given again.
        """
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        await self._send(response, b": telemetry\n\n")
        search = Search(self._telemetry, wish)
        while True:
            page = _page(await self._wait(self._silence_s, search.look))
            if not page:
                await self._send(response, b": still here\n\n")
            else:
                keep()
            for message in page:
                await self._send(response, _event(message))
                search.after = message.sequence

    async def _send(self, response: web.StreamResponse, data: bytes) -> None:
        """Write; raise ConnectionError if the peer has gone, or does not read."""
        try:
            await asyncio.wait_for(response.write(data), self._patience_s)
        except TimeoutError:
            raise ConnectionError("the reader does not read") from None


def number(query: Mapping[str, str], name: str, most: float) -> float:
    """A number in a query, 0 if it is absent, at most `most`; raise Refusal 400."""
    text = query.get(name, "0")
    if not (text.isascii() and text.replace(".", "", 1).isdigit()) or len(text) > 15:
        raise Refusal(400, 400000, f"{name} is not a number.")
    return min(float(text), most)


def _event(message: Message) -> bytes:
    data = json.dumps(shown(message), separators=(",", ":"))
    return f"id: {message.sequence}\ndata: {data}\n\n".encode()


def _page(messages: Sequence[Message]) -> list[Message]:
    """As many of the first as one answer may hold, and at least one; `after` gets the next."""
    page: list[Message] = []
    left = _PAGE_BYTES
    for message in messages[:_PAGE_MESSAGES]:
        left -= message.size
        if left < 0 and page:
            break
        page.append(message)
    return page
