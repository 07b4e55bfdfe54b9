"""What happened, told once: to whoever listens for events, and to whoever waits for one.

What would be told again and again (a door that is full, an error of asyncio's) is told once a
second. Never tells what an error was handling: a token may be in it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from .arrivals import Arrivals
from .events import Emit, Event, event

_COMPLAIN_EVERY_S = 1.0


class Reports:
    """on_event: given every event; arrivals: rung at each. host: whose trouble asyncio's is."""

    def __init__(self, on_event: Emit, clock: Callable[[], float], host: str) -> None:
        self.arrivals = Arrivals()
        self._on_event = on_event
        self._clock = clock
        self._host = host
        self._complained: dict[str, float] = {}

    def emit(self, event: Event) -> None:
        """Tell an event."""
        self.arrivals.ring()
        self._on_event(event)

    def tell(self, part: str, id: str, what: str) -> None:
        """Tell what happened now."""
        self.emit(event(self._clock(), part, id, what))

    def complain(self, part: str, id: str, what: str) -> None:
        """Tell it, but not again and again."""
        now = time.monotonic()
        if now - self._complained.get(part, float("-inf")) >= _COMPLAIN_EVERY_S:
            self._complained[part] = now
            self.tell(part, id, what)

    def on_trouble(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take asyncio's report, which would go to stderr, and may show what it was handling."""
        error = context.get("exception")
        why = error.strerror if isinstance(error, OSError) and error.strerror else ""
        self.complain("azure", self._host, f"unexpected {type(error).__name__} {why}".rstrip())
