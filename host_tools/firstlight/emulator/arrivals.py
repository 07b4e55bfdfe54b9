"""Waiting for what comes: one bell that everyone who waits hears.

Bounded waits only; keeps nothing of what came.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class Arrivals:
    """Rung whenever something came."""

    def __init__(self) -> None:
        self._bell: asyncio.Event | None = None  # there while someone waits

    def ring(self) -> None:
        """Wake whoever waits; the next to wait gets a bell of its own."""
        if self._bell is not None:
            self._bell.set()
            self._bell = None

    async def wait_for(
        self, wait_s: float, look: Callable[[], _T], again_s: float | None = None
    ) -> _T:
        """What look() gives once that is something, or after wait_s seconds, whatever it is.

        again_s: how long to wait for a ring before looking all the same; None: for ever.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while not (found := look()):
            self._bell = self._bell or asyncio.Event()
            until = deadline if again_s is None else min(deadline, loop.time() + again_s)
            if not await _until(self._bell, until) and loop.time() >= deadline:
                break
        return found


async def _until(bell: asyncio.Event, deadline: float) -> bool:
    left_s = deadline - asyncio.get_running_loop().time()
    if left_s <= 0:
        return False
    try:
        await asyncio.wait_for(bell.wait(), left_s)
    except TimeoutError:
        return False
    return True
