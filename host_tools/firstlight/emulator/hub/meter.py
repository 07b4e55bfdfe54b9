"""How many requests a second are let through. No clock: the time is an argument."""

from ..answers import Refusal


class Meter:
    """limit: requests in each second of the clock; None: any number."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._second, self._count = 0, 0

    def admit(self, now_at: float) -> None:
        """Count a request; raise Refusal 429 if it is one too many."""
        if self._limit is None:
            return
        if int(now_at) != self._second:
            self._second, self._count = int(now_at), 0
        if self._count >= self._limit:
            raise Refusal(429, 429001, "Too many requests.", retry_after_s=1)
        self._count += 1
