"""MQTT packets over one socket: whole and checked ones come in, and no wait passes its deadline.

umqtt's four methods (read, write, setblocking, close), so that umqtt can neither block for ever
nor see a byte of a packet that is not whole. Knows packets' framing (MQTT 3.1.1 section 2.2) and
nothing of what they mean: the inspect function that it is given does, and raises.

What is written is gathered, and leaves in one piece with flush() or the next read.
"""

import errno
import select

from ._const import const
from .errors import ProtocolError

_TYPING = const(0)  # what the type checker alone reads: no board has these modules
if _TYPING:
    from collections.abc import Callable
    from typing import Any

_SLICE_MS = const(1000)  # the longest sleep: then the clock is read, which feeds the watchdog
_LEAST = const(2)  # bytes in any packet: its kind, and a length


class Deadline:
    """A bound on a wait, counted in the clock's ticks. clock: as MicroPython's time module."""

    def __init__(self, clock: "Any", limit_ms: int) -> None:
        self._clock = clock
        self._until = clock.ticks_add(clock.ticks_ms(), limit_ms)

    def left_ms(self) -> int:
        """Return the milliseconds left, 0 when it has passed."""
        left_ms: int = self._clock.ticks_diff(self._until, self._clock.ticks_ms())
        return max(0, left_ms)

    def part(self, count: int) -> "Deadline":
        """Return a bound of one part in count of the time left."""
        return Deadline(self._clock, self.left_ms() // count)

    def poll(self, poller: "Any") -> "Any":
        """Return what poller has ready, nothing after a second. Raise OSError (ETIMEDOUT)."""
        left_ms = self.left_ms()
        if not left_ms:
            raise OSError(errno.ETIMEDOUT)
        return poller.poll(min(left_ms, _SLICE_MS))


class Stream:
    """A connected, non-blocking socket, read by whole packets of at most longest.

    What is longer, or too long for the memory that is left, is passed over: nobody sees it.
    inspect(packet, at) is called once with each; at is where its body begins; it raises if the
    packet makes no sense.
    socks: the TLS socket and the one under it, which close() closes both.
    Raises OSError (ETIMEDOUT, ECONNRESET, the socket's own) and ProtocolError.
    """

    def __init__(
        self,
        socks: tuple,
        deadline: Deadline,
        longest: int,
        inspect: "Callable[[bytearray, int], None]",
    ) -> None:
        self._sock, self._bare = socks
        self._poller = select.poll()
        self._poller.register(self._sock, select.POLLIN)
        self._longest = longest
        self._inspect = inspect
        self.deadline = deadline  # of every wait; the owner sets a new one for each call
        self._blocking = True
        self._out = bytearray()
        self._arriving = bytearray(_LEAST)  # the next packet, as long as is known so far
        self._over = 0  # bytes still to come of a packet that is too long
        self._filled = 0  # how much of it is here
        self.skip()

    def setblocking(self, wait: bool) -> None:
        self._blocking = wait

    def skip(self) -> None:
        """Forget what is unread of the last packet: the next read is another's first byte."""
        self._packet = bytearray()  # the last whole one
        self._at = 0  # how far umqtt has read it

    def write(self, data: bytes, size: int | None = None) -> None:
        self._out += data if size is None else data[:size]

    def flush(self) -> None:
        """Send what was written."""
        rest = memoryview(self._out)
        while rest:
            sent = self._sock.write(rest)
            if sent:
                rest = rest[sent:]
            else:
                self._await(select.POLLOUT)
        self._out = bytearray()

    def read(self, size: int) -> bytearray | None:
        """Return size bytes of one packet; None if not blocking and no packet is whole."""
        self.flush()
        # nothing is to be read of a PUBLISH without a body
        if size and self._at == len(self._packet) and not self._next():
            return None
        start, end = self._at, self._at + size
        left = len(self._packet) - end
        if left < 0:
            raise ProtocolError("MQTT: short packet")
        if not left:  # no copy, it may be long
            rest = self._packet
            rest[:start] = b""
            self.skip()
            return rest
        self._at = end
        return self._packet[start:end]

    def wait(self, limit_ms: int) -> None:
        """Return when there is something to read, or after limit_ms, or after a second."""
        self._poller.modify(self._sock, select.POLLIN)
        self._poller.poll(min(limit_ms, _SLICE_MS))

    def close(self) -> None:
        self._sock.close()
        self._bare.close()

    def _next(self) -> bool:
        """Make the next packet the current one, if it is whole, or waited for."""
        while True:
            busy = self._blocking or self._over
            if busy and not self.deadline.left_ms():
                raise OSError(errno.ETIMEDOUT)  # however much a peer chatters
            waste = bytearray(min(self._over, 256))
            count = self._sock.readinto(waste or memoryview(self._arriving)[self._filled :])
            if count and waste:
                self._over -= count
            elif count:
                self._filled += count
            elif count is not None:
                raise OSError(errno.ECONNRESET)
            elif busy:
                self._await(select.POLLIN)
            else:
                return False
            if self._filled == len(self._arriving) and self._is_whole():
                self._packet, self._at = self._arriving, 0
                self._arriving, self._filled = bytearray(_LEAST), 0
                return True

    def _is_whole(self) -> bool:
        """See whether the arriving packet is all here; if not, make room for what is known of it.

        Its length takes one to four bytes, seven bits in each (MQTT 3.1.1 section 2.2.3).
        """
        head = self._arriving
        at = 1
        length = 0
        while at < len(head):
            if at > 4:
                raise ProtocolError("MQTT: odd length")
            length |= (head[at] & 0x7F) << (at * 7 - 7)
            at += 1
            if not head[at - 1] & 0x80:
                break
        else:
            length = 1  # one more byte of the length
        if len(head) == at + length:
            self._inspect(head, at)
            return True
        try:
            if length > self._longest:
                raise MemoryError
            self._arriving = bytearray(at + length)
            self._arriving[: len(head)] = head
        except MemoryError:  # there is no room for it: it is passed over
            self._over = length
            self._arriving, self._filled = bytearray(_LEAST), 0
        return False

    def _await(self, kind: int) -> None:
        self._poller.modify(self._sock, kind)
        self.deadline.poll(self._poller)  # ready or not: the caller tries
