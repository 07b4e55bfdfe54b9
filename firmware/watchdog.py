"""The clock that everything on the board waits by, and that feeds the watchdog meanwhile.

Who waits looks at the clock; so a program that hangs, in Python or in C, stops the feeding. And
looking alone is not enough: the clock feeds only while a promise of progress stands, so a loop
that spins for ever, looking and getting nowhere, starves the dog too. Never renews a promise
itself: not for a look, and not for a sleep.
"""

from aziot._const import const

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LOOK_MS = const(50)  # between two feedings: as often as a LED's pattern needs


class WatchedClock:
    """MicroPython's time module as far as the firmware uses it: ticks_* and sleep_ms.

    time: that module; feed(): resets the hardware's timer (board.watchdog); show(ms): is called
    along with it, for a LED, or None. Ticks wrap (at 2**30); none of this minds.
    """

    def __init__(
        self,
        time: "Any",
        feed: "Callable[[], object]",
        show: "Callable[[int], object] | None" = None,
    ) -> None:
        self._time = time
        self.ticks_add = time.ticks_add
        self.ticks_diff = time.ticks_diff
        self.feed = feed
        self.show = show
        self._fed_ms = 0
        self.promise(60000)

    def promise(self, limit_ms: int) -> None:
        """Say that there was progress, and that the next comes within limit_ms (to 6 days)."""
        self._until_ms = self.ticks_add(self._time.ticks_ms(), limit_ms)

    def ticks_ms(self) -> int:
        """Return the ticks; feed the watchdog if the promise stands."""
        now_ms: int = self._time.ticks_ms()
        if self.ticks_diff(now_ms, self._fed_ms) // _LOOK_MS:  # negative after days unwatched
            self._fed_ms = now_ms
            if self.ticks_diff(self._until_ms, now_ms) > 0:
                self.feed()
            if self.show:
                self.show(now_ms)
        return now_ms

    def sleep_ms(self, ms: int) -> None:
        """Sleep in slices, looking at the clock between them."""
        end_ms = self.ticks_add(self.ticks_ms(), ms)
        while (left_ms := self.ticks_diff(end_ms, self.ticks_ms())) > 0:
            self._time.sleep_ms(min(left_ms, _LOOK_MS if self.show else 1000))
