"""Messages until they are acknowledged, oldest first: bounded, and on flash if that is asked for.

Never loses what put() took but by dropping the oldest, which is counted. The store is handed in;
where it fails, a message outlives no reset, and that is all. A record, of slot "o0" (its CRC-32
goes on from 1, so that no other record is taken for one):

    9c1f02aa00000003%24.ct=application%2Fjson&%24.ce=utf-8&%24.mid=7f3a-3
    {"celsius": 21.5}
"""

from binascii import crc32

from aziot import hub


class Outbox:
    """At most `most` messages. name: random, new at each boot: message ids are not used twice.

    store: None, or has load(name), save(name, raw) and erase(name), as board.py. What lies there
    is taken up. saves: whether put() saves; if it does not, spill() does. dropped: counts.
    """

    def __init__(  # type: ignore[no-untyped-def]  # a store may be anything with three functions
        self, name: str, most: int, store=None
    ) -> None:
        self._name = name
        self._store = store
        self.saves = store is not None
        self.dropped = 0
        # Numbers go on while anything is left on flash, for they tell the order.
        self._number = 0
        self._free: list[int] = []
        queue: list[list] = []
        for slot in range(most):
            raw = store and store.load("o%d" % slot)
            if raw and raw[:8] == b"%08x" % crc32(raw[8:], 1):
                bag, _, body = raw[16:].partition(b"\n")
                # It may have been sent before the reset.
                queue.append([int(raw[8:16], 16), bag.decode(), body, True, slot, True])
            else:
                self._free.append(slot)
        self._queue = sorted(queue)
        if queue:
            self._number = self._queue[-1][0]

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, body: bytes, properties: tuple | list = ()) -> None:
        """Take a message; properties: pairs of name and value. Raise ValueError if it is too long.

        It survives any reset from now on, if put() saves and its record is short enough.
        """
        number = self._number + 1
        bag = hub.bag(list(properties) + [("$.mid", "%s-%d" % (self._name, number))])
        room = 8192 - len(bag) - len(body)  # bytes that others may have, of all that is kept
        if room < 0:
            raise ValueError("too long")
        while not self._free or sum([len(m[1]) + len(m[2]) for m in self._queue]) > room:
            self.pop(self._queue[0])
            self.dropped += 1
        self._number = number
        self._queue.append([number, bag, body, False, self._free[-1], False])
        self._free.pop()  # only now: a slot is not lost where there was no memory for the rest
        if self.saves:
            self.spill(self._store)

    def head(self) -> list | None:
        """Return the oldest, [number, property bag, body, whether it was sent, ...], or None.

        Whoever sends it says so in it.
        """
        return self._queue[0] if self._queue else None

    def pop(self, message: list) -> None:
        """Forget the oldest, which was acknowledged; do nothing if another is the oldest now."""
        if message is self.head():
            self._free.append(message[4])
            del self._queue[0]
            if message[5]:
                try:
                    self._store.erase("o%d" % message[4])
                except OSError:  # it comes once more after a reset, under the same id
                    pass

    def shed(self) -> None:
        """Drop the older half, which is counted: there is no memory for all of it."""
        for _ in range(len(self._queue) + 1 >> 1):
            self.pop(self._queue[0])
            self.dropped += 1

    def spill(self, store) -> None:  # type: ignore[no-untyped-def]
        """Save what was not saved yet: before a planned reset or deep sleep."""
        self._store = store
        for message in self._queue:
            if not message[5]:
                message[5] = True  # or was tried in vain: once is enough for flash that is full
                try:
                    text = ("%08x%s\n" % (message[0], message[1])).encode() + message[2]
                    if len(text) <= 1016:  # a store takes 1024; what is longer is in memory alone
                        store.save("o%d" % message[4], b"%08x" % crc32(text, 1) + text)
                except (MemoryError, OSError):
                    pass
