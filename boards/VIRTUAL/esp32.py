"""esp32.NVS: non-volatile storage, with upstream's names, limits and errors, and in its format.

nvs.img is the chip's partition, 0x6000 bytes, written as ESP-IDF's nvs_flash writes it: a log of
entries in pages, each entry's state in two bits that can only be cleared, a blob as chunks and an
index that makes them count (its README, "Internals"; here _nvspage.py and _nvslog.py).
What a power cut leaves is put right when the board starts (ports/esp32/main.c: nvs_flash_init),
and what that takes is not of the board's heap, as there. Its flaw is here too: an update
that finds no room erases the old value's first chunk (espressif/esp-idf#18827).

Never writes before commit(), where the chip writes at once: stricter, for whoever forgets it. What
was not committed is seen by its own handle alone. Errors: esp-idf's nvs.h, raised as
ports/esp32/mphalport.c check_esp_err does. A handle is never given back, as on the chip: after
some hundreds there is no memory left for another.
"""

import struct
import sys

from _nvslog import Log

for _name in ("_nvslog", "_nvspage"):
    sys.modules.pop(_name)

_NO_MEMORY = (-0x101, "ESP_ERR_NO_MEM")
_NOT_FOUND = (-0x1102, "ESP_ERR_NVS_NOT_FOUND")
_INVALID_NAME = (-0x1106, "ESP_ERR_NVS_INVALID_NAME")
_KEY_TOO_LONG = (-0x1109, "ESP_ERR_NVS_KEY_TOO_LONG")
_INVALID_LENGTH = (-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
_VALUE_TOO_LONG = (-0x110E, "ESP_ERR_NVS_VALUE_TOO_LONG")
_BLOB_LIMIT = 5 * 4000  # five pages; the sixth is kept free
_I32, _INDEX = 0x14, 0x48  # an item's type; a blob's is its index's
_HANDLES = 512

_handles = [0]
_log = []


def _power_on():
    if not _log:
        _log.append(Log())


class NVS:
    """One namespace."""

    def __init__(self, namespace):
        if not 1 <= len(namespace) <= 15:
            raise OSError(*_INVALID_NAME)
        if _handles[0] >= _HANDLES:
            raise OSError(*_NO_MEMORY)
        _handles[0] += 1
        _power_on()
        self._space = _log[0].open(_padded(namespace))
        self._changes = {}

    def __repr__(self):
        return "<NVS namespace>"

    def set_i32(self, key, value):
        if not -0x80000000 <= value <= 0x7FFFFFFF:
            raise OverflowError("overflow converting long int to machine word")
        self._changes[_padded(key)] = value

    def get_i32(self, key):
        value = self._stored(key, int, _I32)
        return value if isinstance(value, int) else struct.unpack("<i", value[2][24:28])[0]

    def set_blob(self, key, value):
        if len(value) > _BLOB_LIMIT:
            raise OSError(*_VALUE_TOO_LONG)
        self._changes[_padded(key)] = value.encode() if isinstance(value, str) else bytes(value)

    def get_blob(self, key, buffer):
        value = self._stored(key, bytes, _INDEX)
        if not isinstance(value, bytes):
            value = _log[0].get_blob(self._space, _padded(key))
        if len(value) > len(buffer):
            raise OSError(*_INVALID_LENGTH)
        buffer[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        self._stored(key, object, None)
        self._changes[_padded(key)] = None

    def commit(self):
        for key in list(self._changes):
            value = self._changes.pop(key)
            if isinstance(value, bytes):
                _log[0].set_blob(self._space, key, value)
            elif value is not None:
                data = struct.pack("<i", value) + b"\xff" * 4
                _log[0].set_number(self._space, _I32, key, data)
            elif _log[0].find(self._space, None, key):
                _log[0].erase(self._space, key)

    def _stored(self, key, change, kind):
        """What waits for commit(), if it is of the class change; else the item of that kind."""
        key = _padded(key)
        if key in self._changes:
            found = self._changes[key]
            found = found if isinstance(found, change) else None
        else:
            found = _log[0].find(self._space, kind, key)
        if found is None:
            raise OSError(*_NOT_FOUND)
        return found


def _padded(key):
    if not 1 <= len(key) <= 15:
        raise OSError(*_KEY_TOO_LONG)
    return key.encode() + bytes(16 - len(key))
