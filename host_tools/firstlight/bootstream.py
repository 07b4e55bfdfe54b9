"""What a virtual board's interpreter prints, made into what a board's port shows; pure.

Does no I/O. The unix port ends its process on a soft reset and starts in the friendly REPL; a
board goes back to the REPL it was in. So after a soft reset from the raw REPL everything between
the end of boot.py and the raw REPL's banner is taken out.
"""

MARK = b"\x1b_firstlight:repl\x1b\\"  # printed by boards/VIRTUAL/_rom.py when its scripts are done
_PROMPT = b">>> "
_RAW = b"raw REPL; CTRL-B to exit\r\n"  # both from micropython/shared/runtime/pyexec.c
_FRIENDLY = b'Type "help()" for more information.\r\n'
_TAIL = 64
_CAN = b"\x18"  # begins each command of mpremote's mount, which is binary


class BootStream:
    """One run of the interpreter, from its first byte. raw: go on in the raw REPL."""

    def __init__(self, raw: bool) -> None:
        self.raw = raw
        self.live = False  # the REPL is there for whoever types
        self.enter_raw = False  # the caller is to send Ctrl-A once
        self._held = b""
        self._await = MARK
        self._tail = b""

    @property
    def settled(self) -> bool:
        """False while what is typed would fall between the two REPLs."""
        return self._await in (MARK, b"")

    def feed(self, data: bytes) -> bytes:
        """Take what was printed; return what to show."""
        shown = b""
        data = self._held + data
        self._held = b""
        while self._await:
            before, found, data = data.partition(self._await)
            shown += before if self._await == MARK else b""
            if not found:
                return shown[: len(shown) - self._hold_back(before)]
            shown += self._advance()
        self._follow(data)
        return shown + data

    def _hold_back(self, text: bytes) -> int:
        """Keep the end of text if it may begin what is awaited. Return how much not to show."""
        longest = min(len(text), len(self._await) - 1)
        size = next((n for n in range(longest, 0, -1) if self._await.startswith(text[-n:])), 0)
        self._held = text[len(text) - size :]
        return size if self._await == MARK else 0

    def _advance(self) -> bytes:
        if self._await == MARK and self.raw:
            self._await = _PROMPT
        elif self._await == _PROMPT:
            self._await = _RAW + b">"
            self.enter_raw = True
        else:
            self._await, self.live = b"", True
            return _RAW + b">" if self.raw else b""
        return b""

    def _follow(self, data: bytes) -> None:
        """Keep track of which REPL is on, by the banners that both print."""
        self._tail = (self._tail + data)[-_TAIL - len(data) :]
        raw_at, friendly_at = self._tail.rfind(_RAW), self._tail.rfind(_FRIENDLY)
        if raw_at != friendly_at:
            self.raw = raw_at > friendly_at


class LineEnds:
    """Boards print \\r\\n where the unix port prints \\n. Leaves binary (mpremote mount) alone."""

    def __init__(self) -> None:
        self._last = b""
        self._binary = False

    def feed(self, data: bytes) -> bytes:
        """Return data with each lone \\n made \\r\\n."""
        self._binary = self._binary or _CAN in data
        if self._binary or not data:
            return data
        joined = (self._last + data).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        skip = len(self._last) if self._last != b"\n" else 2
        if self._last == b"\r" and data[:1] == b"\n":
            skip = 1
        self._last = data[-1:]
        return joined[skip:]
