"""What stands before TLS when a fault is set there: a connection's first moments, drawn out.

Made for a connection only if a fault at `accept` or `hello` is set when it comes. Every wait is
bounded, and no more than a ClientHello is kept.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from OpenSSL import SSL

from .endings import end
from .faults.faults import Faults, Hit, Whom, delay_s
from .faults.points import DOOR
from .handshake import new_server, ready, server_name

_MAX_HELLO = 16 * 1024 + 5  # one TLS record
_CLOSE_S = 5.0
_HOLD_S = 60.0


class Entrance(Protocol):
    """A connection's way in."""

    def enter(self, context: SSL.Context, data: bytes) -> None:
        """Go on with TLS by this context, beginning with these bytes."""

    def fail(self, why: str) -> None:
        """End the connection, and say why in the log."""


@dataclass(frozen=True)
class Lobby:
    """What faults before TLS need. over: mqtt or https.

    other: gives a context whose certificate is wrong in the way named.
    """

    faults: Faults
    over: str
    other: Callable[[str], SSL.Context]


class Threshold:
    """One connection before TLS. hello_s: how long its ClientHello may take."""

    def __init__(
        self,
        lobby: Lobby,
        transport: asyncio.Transport,
        context: SSL.Context,
        entrance: Entrance,
        hello_s: float,
    ) -> None:
        self._lobby = lobby
        self._transport = transport
        self._context = context
        self._entrance = entrance
        self._hello_s = hello_s
        self._loop = asyncio.get_running_loop()
        self._data = bytearray()
        self._is_reading = False
        self._timer: asyncio.TimerHandle | None = None
        address = transport.get_extra_info("sockname") or ("",)
        self._address = str(address[0])
        self._begin(self._pick("accept", ""), self._listen)

    def received(self, data: bytes) -> None:
        """Bytes from the peer."""
        self._data += data
        if self._is_reading:
            self._read()

    def stop(self) -> None:
        """The connection is gone."""
        self._is_reading = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pick(self, point: str, name: str) -> list[Hit]:
        whom = Whom(hub=name, over=self._lobby.over, address=self._address)
        return self._lobby.faults.pick(point, DOOR, whom)

    def _begin(self, hits: list[Hit], go_on: Callable[[], None]) -> None:
        """Wait as long as faults want, then end the connection or go on."""
        self._transport.pause_reading()
        wait_s = delay_s(hits)
        last = next((hit for hit in hits if hit.do in ("close", "hold")), None)
        then = go_on if last is None else lambda: self._finish(last)
        if wait_s:
            self._later(wait_s, then)
        else:
            then()

    def _finish(self, hit: Hit) -> None:
        if hit.do == "hold":
            self._later(hit.args["seconds"], lambda: self._end("reset"))
        else:
            self._end(hit.args["end"])

    def _end(self, how: str) -> None:
        self.stop()
        end(self._transport, how)
        self._timer = self._loop.call_later(_CLOSE_S, self._transport.abort)

    def _later(self, delay_s: float, do: Callable[[], None]) -> None:
        self.stop()
        self._timer = self._loop.call_later(delay_s, do)

    def _listen(self) -> None:
        self._later(self._hello_s, lambda: self._entrance.fail("it took too long"))
        self._is_reading = True
        self._transport.resume_reading()
        self._read()

    def _read(self) -> None:
        hello = read_hello(self._context, bytes(self._data))
        if hello is None and len(self._data) <= _MAX_HELLO:
            return
        self.stop()
        name = hello.name if hello else ""
        flight = hello.flight if hello else b""
        hits = self._pick("hello", name) if hello else []
        self._begin(hits, lambda: self._greet(hits, flight))

    def _greet(self, hits: list[Hit], flight: bytes) -> None:
        """Answer the ClientHello, in a wrong way if a fault wants that."""
        by_name = {hit.do: hit.args for hit in reversed(hits)}
        if "alert" in by_name:
            # A TLS 1.2 record with a fatal alert (RFC 5246, 7.2).
            self._transport.write(bytes((21, 3, 3, 0, 2, 2, by_name["alert"]["code"])))
            self._end("fin")
        elif "cut" in by_name:
            self._transport.write(flight[: by_name["cut"]["bytes"]])
            how = by_name["cut"]["end"]
            if how == "hold":
                self._later(_HOLD_S, lambda: self._end("reset"))
            else:
                self._end(how)
        else:
            context = self._context
            if "certificate" in by_name:
                context = self._lobby.other(by_name["certificate"]["kind"])
            self._transport.resume_reading()
            self._entrance.enter(context, bytes(self._data))


@dataclass(frozen=True)
class Hello:
    """A ClientHello: the server name in it, lower case, and what a server answers."""

    name: str
    flight: bytes


def read_hello(context: SSL.Context, data: bytes) -> Hello | None:
    """Read a ClientHello as a server of this context would; None if the rest is awaited."""
    if not data:
        return None
    tls = new_server(context)
    try:
        tls.bio_write(data)
        tls.do_handshake()
    except SSL.WantReadError:
        flight = ready(tls)
        return Hello(server_name(tls), flight) if flight else None
    except SSL.Error:  # it is no ClientHello that we would take: TLS itself will say so
        pass
    return Hello(server_name(tls), ready(tls))
