"""The pages of esp32.py's partition, as ESP-IDF's nvs_flash/src/nvs_page writes them.

A page is a header, two bits of status for each entry, and 126 entries of 32 bytes. Never changes
anything but through _wires.program() and _wires.erase(), where the power may go.
"""

import struct
from binascii import crc32

import _wires

SIZE = 4096
ENTRIES = 126
WRITTEN, ERASED = 2, 0  # of an entry; 3: never written to
UNUSED, ACTIVE, FULL, FREEING = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFC, 0xFFFFFFF8  # of a page


class Page:
    def __init__(self, file, number):
        self._file = file
        self.at = number * SIZE
        self.state, self.sequence = struct.unpack("<II", self._read(0, 8))

    def is_sound(self):
        if self.state == UNUSED:
            return all(self._read(at, 256) == b"\xff" * 256 for at in range(0, SIZE, 256))
        head = self._read(0, 32)
        known = self.state in (ACTIVE, FULL, FREEING)
        return known and head[28:] == struct.pack("<I", crc32(head[4:28], UNUSED))

    def erase(self):
        _wires.erase(self._file, self.at)
        self.state = UNUSED

    def become(self, state):
        _wires.program(self._file, self.at, struct.pack("<I", state))
        self.state = state

    def entry(self, n):
        return self._read(64 + 32 * n, 32)

    def statuses(self):
        """A byte for each entry."""
        table = self._read(32, 32)
        return bytes(table[n // 4] >> n % 4 * 2 & 3 for n in range(ENTRIES))

    def free(self):
        """The first entry that was never written to."""
        if self.state == UNUSED:
            return 0
        n = self.statuses().find(b"\x03") if self.state == ACTIVE else -1
        return ENTRIES if n < 0 else n

    def room(self):
        """How many bytes of a blob fit."""
        return max(0, ENTRIES - self.free() - 1) * 32

    def items(self):
        """Each first entry of an item: its number and its bytes; broken ones are passed over."""
        statuses = self.statuses() if self.state != UNUSED else ()
        n = 0
        while n < len(statuses):
            entry = self.entry(n)
            if statuses[n] == WRITTEN and is_sound(entry):
                yield n, entry
                n += max(1, entry[2])
            else:
                n += 1

    def mark(self, first, count, status):
        """Set the status of entries, from the last word of the table to the first."""
        for word in range((first + count - 1) // 16, first // 16 - 1, -1):
            bits = 0xFFFFFFFF
            for n in range(max(first, word * 16), min(first + count, word * 16 + 16)):
                bits &= ~((3 ^ status) << n % 16 * 2)
            _wires.program(self._file, self.at + 32 + word * 4, struct.pack("<I", bits))

    def append(self, data):
        """Write entries, then that they are written."""
        if self.state == UNUSED:
            head = struct.pack("<IB", self.sequence, 0xFE) + b"\xff" * 19
            head = struct.pack("<I", ACTIVE) + head + struct.pack("<I", crc32(head, UNUSED))
            _wires.program(self._file, self.at, head)
            self.state = ACTIVE
        n = self.free()
        _wires.program(self._file, self.at + 64 + n * 32, data)
        self.mark(n, len(data) // 32, WRITTEN)

    def _read(self, at, size):
        self._file.seek(self.at + at)
        return self._file.read(size)


def is_sound(entry):
    return entry[4:8] == struct.pack("<I", crc32(entry[:4] + entry[8:], UNUSED))


def name(entry):
    return entry[:2] + entry[3:4] + entry[8:24]


def header(space, kind, key, chunk, data, span=1):
    head = bytes([space, kind, span, chunk])
    return head + struct.pack("<I", crc32(head + key + data, UNUSED)) + key + data


def mend(page):
    """Erase what a power cut left half written in a page: Page::mLoadEntryTable."""
    n = page.free()
    while page.state == ACTIVE and n < ENTRIES and page.entry(n)[:4] != b"\xff" * 4:
        page.mark(n, 1, ERASED)
        n += 1
    seen = {}
    statuses = page.statuses()
    n = 0
    while n < ENTRIES:
        span = 1
        if statuses[n] == WRITTEN:
            entry = page.entry(n)
            if not is_sound(entry):
                page.mark(n, 1, ERASED)
            else:
                span = entry[2]
                if statuses[n : n + span].count(b"\x02") < span:
                    page.mark(n, span, ERASED)
                elif page.state == ACTIVE:
                    if name(entry) in seen:
                        page.mark(*seen[name(entry)], ERASED)
                    seen[name(entry)] = (n, span)
        n += span
