"""The time bounds of an MQTT conversation, whatever carries it: one timer that closes it.

Knows no transport and no topic. Bounds of time go by the loop's clock, which nobody sets; only a
token's or a certificate's expiry goes by the clock of the services.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from .session import Session

_MAX_SLEEP_S = 60.0  # a clock that is set must be noticed


@dataclass(frozen=True)
class Bounds:
    """Limits of a connection, in seconds."""

    connect_s: float = 10.0
    packet_s: float = 30.0


class Watch:
    """Closes a session that is overdue. Begins at once; stop() ends it."""

    def __init__(self, session: Session, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._session = session
        self._bounds = bounds
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._idle_since = self._loop.time()
        self._midway_since: float | None = None
        self._packets_read = 0
        self._was_connected = False
        self._look()

    def fed(self) -> None:
        """The session has taken bytes: begin anew what they end."""
        session, now = self._session, self._loop.time()
        if session.packets_read != self._packets_read:
            self._begin_anew()
        if session.is_midway and self._midway_since is None:
            self._midway_since = now
            self._look()
        elif session.is_connected != self._was_connected:
            self._was_connected = session.is_connected
            self._look()

    def _begin_anew(self) -> None:
        self._packets_read = self._session.packets_read
        self._idle_since, self._midway_since = self._loop.time(), None

    def stop(self) -> None:
        """Close nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Close what is overdue, and look again when the next bound falls."""
        session = self._session
        if session.is_closed:
            self.stop()
            return
        if session.is_delayed:
            self._begin_anew()
        left_s, why = self._next_bound()
        if left_s <= 0:
            session.close(why)
        else:
            self._look_at(self._loop.time() + min(left_s, _MAX_SLEEP_S))

    def _look_at(self, at_s: float) -> None:
        """Or earlier, if a timer is set already: to look is cheaper than to set one anew."""
        if self._timer is not None and self._timer.when() > at_s:
            self.stop()
        if self._timer is None:
            self._timer = self._loop.call_at(at_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._look()

    def _next_bound(self) -> tuple[float, str]:
        session, now = self._session, self._loop.time()
        if session.idle_limit_s is None:
            return self._idle_since + self._bounds.connect_s - now, "no CONNECT came in time"
        waits = [(self._idle_since + session.idle_limit_s - now, "silent for 1.5 x keepalive")]
        if self._midway_since is not None:
            waits.append((self._midway_since + self._bounds.packet_s - now, "half a packet came"))
        if session.expires_at is not None:
            left_s = session.expires_at - self._clock()
            waits.append((left_s, f"the {session.shown} has expired"))
        return min(waits)
