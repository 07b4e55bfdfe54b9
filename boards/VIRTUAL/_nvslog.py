"""The log that esp32.py's partition is, as ESP-IDF's nvs_flash/src/nvs_pagemanager and nvs_storage
keep it; opening it puts right what a power cut has left. Never keeps an item in memory.
"""

import struct
from binascii import crc32

import _nvspage
import _wires
from _nvspage import Page, header, mend, name

_NOT_FOUND = (-0x1102, "ESP_ERR_NVS_NOT_FOUND")
_NO_SPACE = (-0x1105, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")
_PAGES = 6
_U8, _DATA, _INDEX = 0x01, 0x42, 0x48  # an item's type


class Log:
    def __init__(self):
        try:
            file = _wires.open_part("nvs.img", "r+b")
        except OSError:
            file = _wires.open_file("nvs.img", "w+b")
        for _ in range(file.seek(0, 2), _nvspage.SIZE * _PAGES, 512):
            file.write(b"\xff" * 512)
        pages = [Page(file, n) for n in range(_PAGES)]
        self._used = [page for page in pages if page.state != _nvspage.UNUSED and page.is_sound()]
        self._used.sort(key=lambda page: page.sequence)
        self._free = [page for page in pages if page not in self._used]
        self._next = self._used[-1].sequence + 1 if self._used else 0
        for page in self._used:
            mend(page)
        if not self._used:
            self._activate()
        self._forget_older()
        self._finish_freeing()
        self._forget_orphans()

    def find(self, space, kind, key, chunk=None):
        """The page, number and bytes of the oldest such item, or None. A None fits all; chunk:
        of a chunk its number, of an index the first chunk's.
        """
        for page in self._used:
            for n, entry in page.items():
                if (
                    entry[0] == space
                    and kind in (None, entry[1])
                    and key in (None, entry[8:24])
                    and chunk in (None, entry[3 if entry[1] == _DATA else 29])
                ):
                    return page, n, entry
        return None

    def open(self, name):
        """Return the number of the namespace, a new one if need be."""
        found = self.find(0, _U8, name)
        if found:
            return found[2][24]
        space = 1
        while any(e[0] == 0 and e[24] == space for page in self._used for _, e in page.items()):
            space += 1
        self.set_number(0, _U8, name, bytes([space]) + b"\xff" * 7)
        return space

    def get_blob(self, space, key):
        found = self.find(space, _INDEX, key)
        if not found:
            raise OSError(*_NOT_FOUND)
        size, count, start = struct.unpack("<IBB", found[2][24:30])
        parts = [self._chunk(space, key, start + n) for n in range(count)]
        if sum(len(part) for part in parts) != size:
            raise OSError(*_NOT_FOUND)
        return b"".join(parts)

    def set_number(self, space, kind, key, data):
        old = self.find(space, None, key)
        if old and old[2][1] == kind and old[2][24:] == data:
            return
        if self._used[-1].free() == _nvspage.ENTRIES:
            self._new_page()
        if self._used[-1].free() == _nvspage.ENTRIES:
            raise OSError(*_NO_SPACE)
        self._used[-1].append(header(space, kind, key, 0xFF, data))
        if old:
            self.erase(space, key)

    def set_blob(self, space, key, data):
        old = self.find(space, None, key)
        index = self.find(space, _INDEX, key)
        start = 0
        if index:
            try:
                if self.get_blob(space, key) == data:
                    return
            except OSError:
                pass
            start = index[2][29] ^ 0x80
        self._write_blob(space, key, data, start)
        if index:
            self._erase_blob(self.find(space, _INDEX, key, start ^ 0x80))
        elif old and old[2][1] != _DATA:
            self.erase(space, key)

    def erase(self, space, key):
        """Erase the oldest item of that name."""
        page, n, entry = self.find(space, None, key)
        if entry[1] in (_DATA, _INDEX):
            self._erase_blob(self.find(space, _INDEX, key))
        else:
            page.mark(n, 1, _nvspage.ERASED)

    def _chunk(self, space, key, number):
        found = self.find(space, _DATA, key, number)
        if not found:
            return b""
        page, n, entry = found
        size, _, checksum = struct.unpack("<HHI", entry[24:])
        data = b"".join([page.entry(n + 1 + i) for i in range(entry[2] - 1)])[:size]
        return data if crc32(data, _nvspage.UNUSED) == checksum else b""

    def _erase_blob(self, index):
        """The index first: from then on its chunks are orphans."""
        page, n, entry = index
        page.mark(n, 1, _nvspage.ERASED)
        for chunk in range(entry[29], entry[29] + entry[28]):
            found = self.find(entry[0], _DATA, entry[8:24], chunk)
            if found:
                found[0].mark(found[1], found[2][2], _nvspage.ERASED)

    def _write_blob(self, space, key, data, start):
        self._make_room(len(data))
        written = []
        try:
            self._write_chunks(space, key, data, start, written)
        except OSError:
            for n, page in enumerate(written):
                self._erase_chunk(page, space, key, n)  # n, where start + n is meant: the flaw
            raise
        index = struct.pack("<IBBH", len(data), len(written), start, 0xFFFF)
        self._used[-1].append(header(space, _INDEX, key, 0xFF, index))

    def _make_room(self, size):
        """Begin a page if no first chunk worth the name fits into this one."""
        room = self._used[-1].room()
        while room < min(400, max(size, 1)):
            before = room
            self._new_page()
            room = self._used[-1].room()
            if room == before:
                raise OSError(*_NO_SPACE)

    def _write_chunks(self, space, key, data, start, written):
        """Leave room for the index. written: the pages, for whoever cleans up."""
        at = 0
        while at < len(data) or not written:
            page = self._used[-1]
            room = page.room()
            if not room:
                raise OSError(*_NO_SPACE)
            part = data[at : at + room]
            self._write_chunk(page, space, key, start + len(written), part)
            written.append(page)
            at += len(part)
            if at < len(data) or room - len(part) < 32:
                self._new_page()

    def _erase_chunk(self, page, space, key, number):
        for n, entry in page.items():
            if entry[:2] == bytes([space, _DATA]) and entry[3] == number and entry[8:24] == key:
                page.mark(n, entry[2], _nvspage.ERASED)

    def _write_chunk(self, page, space, key, number, data):
        facts = struct.pack("<HHI", len(data), 0xFFFF, crc32(data, _nvspage.UNUSED))
        span = 1 + (len(data) + 31) // 32
        page.append(header(space, _DATA, key, number, facts, span))
        whole = len(data) // 32 * 32
        if whole:
            page.append(data[:whole])
        if whole < len(data):
            page.append(data[whole:] + b"\xff" * (32 - len(data) % 32))

    def _activate(self):
        page = self._free.pop(0)
        if not page.is_sound() or page.state != _nvspage.UNUSED:
            page.erase()
        page.sequence = self._next
        self._next += 1
        self._used.append(page)

    def _new_page(self):
        """Fill up the last page and go on with another; one is always kept free, for moving."""
        if self._used[-1].state == _nvspage.ACTIVE:
            self._used[-1].become(_nvspage.FULL)
        if len(self._free) >= 2:
            self._activate()
            return
        counts = [page.statuses().count(b"\x02") for page in self._used]
        if min(counts) == _nvspage.ENTRIES:
            raise OSError(*_NO_SPACE)
        page = self._used[counts.index(min(counts))]
        page.become(_nvspage.FREEING)
        self._move(page)

    def _move(self, page):
        self._activate()
        for n, status in enumerate(page.statuses()):
            if status == _nvspage.WRITTEN:
                self._used[-1].append(page.entry(n))
        page.erase()
        self._used.remove(page)
        self._free.append(page)

    def _forget_older(self):
        """The last item written may be there twice: the power went before the old was erased."""
        items = list(self._used[-1].items())
        for page in self._used[:-1] if items and self._used[-1].state != _nvspage.FREEING else ():
            for n, entry in page.items():
                if page.state != _nvspage.FREEING and name(entry) == name(items[-1][1]):
                    page.mark(n, entry[2], _nvspage.ERASED)

    def _finish_freeing(self):
        for page in self._used:
            if page.state == _nvspage.FREEING:
                last = self._used[-1]
                if last.state == _nvspage.ACTIVE:
                    last.erase()
                    self._used.remove(last)
                    self._free.append(last)
                self._move(page)
                break

    def _forget_orphans(self):
        """Chunks without their index: it was not yet written, or is erased already."""
        for page in self._used:
            for n, entry in page.items():
                if entry[1] == _DATA:
                    index = self.find(entry[0], _INDEX, entry[8:24])
                    if not index or not 0 <= entry[3] - index[2][29] < index[2][28]:
                        page.mark(n, entry[2], _nvspage.ERASED)
