"""What faults do to a device's request to DPS over HTTPS, and to its answer's bytes.

Decides nothing of what DPS says: dps/devices.py has those faults. Ends a connection by raising
ConnectionError, as the server does where nothing may be said; every wait is the fault's own, and
ends with the connection, for the server cancels what answers a client that has gone.
"""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus

from ..answers import Answer
from ..endings import end
from ..faults.answers import Exchange
from ..faults.faults import Faults, Hit, Whom, delay_s
from ..faults.table import WIRE
from ..mqtt.leaving import leaving
from ..rest import Call

_PATH = re.compile(
    r"/[^/]+/registrations/(?P<id>[^/]+)(/(?P<what>register|operations)(/(?P<op>[^/]+))?)?",
    re.IGNORECASE,
)
_WHATS = {"register": ("PUT", "register"), "operations": ("GET", "poll"), "": ("POST", "lookup")}
_SILENT_S = 60.0  # after what is not answered


class Troubled:
    """One request while faults are set. keep: makes what was done outlive us; may raise."""

    def __init__(self, faults: Faults, wire: asyncio.Transport, keep: Callable[[], None]) -> None:
        self._faults = faults
        self._wire = wire
        self._keep = keep

    async def answer(self, call: Call, ask: Callable[[], Answer]) -> Answer:
        """The answer that is to leave in good order; raise ConnectionError if none is."""
        exchange = exchange_of(call)
        if exchange is None:
            return ask()  # which says why it is none
        hits = self._faults.pick(exchange.what, WIRE, exchange.whom)
        await asyncio.sleep(delay_s(hits))
        await self._stop(next((hit for hit in hits if hit.do != "delay"), None))
        answer = ask()
        hits = self._faults.pick(f"{exchange.what}-answer", WIRE, exchange.whom)
        if hits:
            self._keep()
            await self._leave(raw_response(answer), hits)
        return answer

    async def _stop(self, hit: Hit | None) -> None:
        if hit is not None:
            hold_s = hit.args.get("seconds", _SILENT_S)
            await self._end("hold" if hit.do == "ignore" else hit.args.get("end", hit.do), hold_s)

    async def _leave(self, raw: bytes, hits: list[Hit]) -> None:
        """Write an answer as faults want it, and end the connection after it."""
        is_silent = any(hit.do == "drop" for hit in hits)
        for step in leaving(raw, hits):
            await asyncio.sleep(step.wait_s)
            self._wire.write(step.data)
            if step.end is not None:
                await self._end(step.end, step.hold_s)
        await self._end("hold" if is_silent else "close", _SILENT_S)

    async def _end(self, how: str, hold_s: float) -> None:
        if how == "hold":
            await asyncio.sleep(hold_s)
            how = "reset"
        if how == "close":
            self._wire.close()
        else:
            end(self._wire, how)
        raise ConnectionError("a fault ends it")


def exchange_of(call: Call) -> Exchange | None:
    """Which request of DPS's device API it is; None for what is none."""
    match = _PATH.fullmatch(call.path)
    if match is None:
        return None
    method, what = _WHATS[(match["what"] or "").lower()]
    if call.method != method:
        return None
    whom = Whom(match["id"], "", "dps", "https")
    return Exchange(what, whom, match["id"], call.body, match["op"] or "")


def raw_response(answer: Answer) -> bytes:
    """An answer as HTTP/1.1 writes it, the last of its connection."""
    headers = {"Connection": "close", "Content-Length": str(len(answer.body))} | answer.headers
    if answer.body:
        headers["Content-Type"] = answer.content_type or "application/json; charset=utf-8"
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(answer.retry_after_s)
    lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
