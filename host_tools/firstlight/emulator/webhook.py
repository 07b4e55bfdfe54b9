"""Custom allocation's webhooks: DPS's requests to them carried out, over http and https.

Decides nothing: allocation.py makes the request and reads the answer. Everything is bounded: how
many calls at once, how long each takes, how much it may answer. A webhook's URL may hold a key in
its query, so no event shows more of it than its host and path.
"""

import asyncio
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from ..errors import UsageError
from .dps.allocation import MAX_WEBHOOK_BYTES, WebhookCall

NOT_REACHED, NO_ANSWER = 502, 504
_AT_ONCE = 20
Answered = Callable[[str, int, bytes], None]
Tell = Callable[[str, str], None]


class Webhooks:
    """Carries calls out in the running loop.

    answered: given the operation's id, HTTP's status and the body; the status is 502 for a
    webhook that could not be reached, 504 for one that took more than timeout_s seconds.
    tell: given where and what, for the log. roots: a PEM file of what https trusts beside the
    system's roots; raises UsageError if it is none.
    """

    def __init__(
        self, answered: Answered, tell: Tell, timeout_s: float, roots: Path | None = None
    ) -> None:
        self._answered = answered
        self._tell = tell
        self._roots = roots
        if roots is not None:
            _check_roots(roots)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def ask(self, call: WebhookCall) -> None:
        """Begin a call; its answer comes later. DPS bounds how many there are."""
        task = asyncio.get_running_loop().create_task(self._carry(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End what is under way, unanswered, and close every connection."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _carry(self, call: WebhookCall) -> None:
        async with self._slots:
            status, body, why = await self._post(call)
        where = urlsplit(call.url)
        self._tell(f"{where.scheme}://{where.netloc.rpartition('@')[2]}{where.path}", why)
        self._answered(call.operation_id, status, body)

    async def _post(self, call: WebhookCall) -> tuple[int, bytes, str]:
        """HTTP's status, the body, and what to say of it."""
        headers = {"Content-Type": "application/json; charset=utf-8"}
        try:
            async with self._connected().post(
                call.url, data=call.body, headers=headers, allow_redirects=False
            ) as answer:
                body = await _read(answer)
                return answer.status, body, f"webhook answered {answer.status}"
        except TimeoutError:
            return NO_ANSWER, b"", "the webhook did not answer in time"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The error's own text may repeat the URL.
            return NOT_REACHED, b"", f"the webhook was not reached: {type(error).__name__}"

    def _connected(self) -> aiohttp.ClientSession:
        """The session, made at the first call: loading roots takes its time. Raise OSError."""
        if self._session is None:
            tls = ssl.create_default_context()
            if self._roots is not None:
                tls.load_verify_locations(self._roots)
            connector = aiohttp.TCPConnector(ssl=tls)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self._session


def _check_roots(roots: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(roots)
    except OSError as error:
        why = error.strerror if not isinstance(error, ssl.SSLError) else "it has no certificate"
        raise UsageError(f"webhook_roots, {roots}, cannot be used: {why}") from None


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The body, or, if it is too long to be an answer, something that is none."""
    raw = b""
    async for piece in answer.content.iter_chunked(MAX_WEBHOOK_BYTES):
        raw += piece
        if len(raw) > MAX_WEBHOOK_BYTES:
            answer.close()
            return json.dumps(f"more than {MAX_WEBHOOK_BYTES} bytes").encode()
    return raw
