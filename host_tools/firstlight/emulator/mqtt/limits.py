"""How much of a conversation is left, once faults of the action `limit` have struck.

Pure: counts in, ends out.
"""

from ..answers import Json

_COUNTED = ("packets_in", "packets_out", "bytes_in", "bytes_out")


class Limits:
    """One conversation's. Of two that count the same, the one that is spent first holds."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[str, tuple[int, str]] = {}

    def add(self, args: Json) -> None:
        """Take what a fault counts; its seconds are the caller's."""
        for name in _COUNTED:
            count = args[name]
            if count is not None and (name not in self._left or count < self._left[name][0]):
                self._left[name] = count, args["end"]

    def room(self, name: str, wanted: int) -> int:
        """How many of so many bytes may pass."""
        return min(wanted, max(self._left[name][0], 0)) if name in self._left else wanted

    def spend(self, name: str, count: int) -> str | None:
        """Count what passes; how the connection ends if nothing is left, or None."""
        if name not in self._left:
            return None
        left, end = self._left[name]
        self._left[name] = left - count, end
        return end if left <= count else None
