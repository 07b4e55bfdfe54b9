"""Quotas over a sliding window of time.

No clock: times are arguments, in seconds; one after the present is of a clock that was set back,
and counts for nothing. Bounded: a window holds as many times as its limit, and a device is
forgotten once its window has passed. Numbers: protocol.md 2.8.
"""

from collections import OrderedDict, deque

from ..answers import Refusal

_THROTTLED = "Operations are being throttled for this tenant."


class Window:
    """At most `limit` events in `span_s` seconds; any number if the limit is None."""

    __slots__ = ("_limit", "_span_s", "_times")

    def __init__(self, limit: int | None, span_s: float) -> None:
        self._limit, self._span_s = limit, span_s
        self._times: deque[float] = deque(maxlen=limit)

    def admit(self, now_at: float) -> None:
        """Count one event; raise Refusal 429 with the seconds until there is room."""
        if self._limit is None:
            return
        if len(self._times) == self._limit:
            wait_s = (self._times[0] + self._span_s - now_at) if self._limit else self._span_s
            if 0 < wait_s <= self._span_s:
                raise Refusal(429, 429001, _THROTTLED, retry_after_s=int(wait_s) + 1)
        self._times.append(now_at)


class DeviceWindows:
    """A window for each device that was there lately."""

    def __init__(self, limit: int | None, span_s: float) -> None:
        self._limit, self._span_s = limit, span_s
        # In the order of the devices' last events, so that the oldest are the first.
        self._last: OrderedDict[str, tuple[float, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def admit(self, id: str, now_at: float) -> None:
        """Count one event of a device; raise Refusal 429 with the seconds until there is room."""
        if self._limit is None:
            return
        since = now_at - self._span_s
        self._forget(since, now_at)
        times = tuple(at for at in self._last.get(id, ()) if since < at <= now_at)
        if len(times) >= self._limit:
            wait_s = times[0] + self._span_s - now_at if times else self._span_s
            raise Refusal(429, 429001, "Too many requests.", retry_after_s=int(wait_s) + 1)
        self._last[id] = (*times, now_at)
        self._last.move_to_end(id)

    def _forget(self, since: float, now_at: float) -> None:
        while self._last:
            id, times = next(iter(self._last.items()))
            if since < times[-1] <= now_at:
                return
            del self._last[id]
