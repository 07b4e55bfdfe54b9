"""esp32.NVS: non-volatile storage, with upstream's names, limits and errors.

What was committed survives a power cut at any moment: the file is written beside the old one, then
takes its place. What was not committed is seen by its own handle alone, which is stricter than the
chip. Errors: esp-idf's nvs.h, raised as ports/esp32/mphalport.c check_esp_err does.
"""

import json
from binascii import hexlify, unhexlify

import _wires

_NOT_FOUND = (-0x1102, "ESP_ERR_NVS_NOT_FOUND")
_NO_SPACE = (-0x1105, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")
_INVALID_NAME = (-0x1106, "ESP_ERR_NVS_INVALID_NAME")
_KEY_TOO_LONG = (-0x1109, "ESP_ERR_NVS_KEY_TOO_LONG")
_INVALID_LENGTH = (-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
_VALUE_TOO_LONG = (-0x110E, "ESP_ERR_NVS_VALUE_TOO_LONG")
_ROOM = 20480  # of the stock partition's 0x6000 bytes, what pages and one spare page leave
_BLOB_LIMIT = 20480 - 4000


def _read():
    try:
        with _wires.open_file("nvs.json", "r") as file:
            return json.load(file)
    except OSError:
        return {}


def _write(whole):
    text = json.dumps(whole)
    if len(text) > 2 * _ROOM:  # blobs are kept as hex
        raise OSError(*_NO_SPACE)
    with _wires.open_file("nvs.json.new", "w") as file:
        file.write(text)
    _wires.replace_file("nvs.json.new", "nvs.json")


class NVS:
    """One namespace."""

    def __init__(self, namespace):
        if not 1 <= len(namespace) <= 15:
            raise OSError(*_INVALID_NAME)
        self._namespace = namespace
        self._changes = {}

    def __repr__(self):
        return "<NVS namespace>"

    def set_i32(self, key, value):
        if not -0x80000000 <= value <= 0x7FFFFFFF:
            raise OverflowError("overflow converting long int to machine word")
        self._set(key, value)

    def get_i32(self, key):
        return self._get(key, int)

    def set_blob(self, key, value):
        if len(value) > _BLOB_LIMIT:
            raise OSError(*_VALUE_TOO_LONG)
        self._set(key, hexlify(value.encode() if isinstance(value, str) else value).decode())

    def get_blob(self, key, buffer):
        value = unhexlify(self._get(key, str))
        if len(value) > len(buffer):
            raise OSError(*_INVALID_LENGTH)
        buffer[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        self._stored(key)
        self._changes[key] = None

    def commit(self):
        whole = _read()
        names = whole.setdefault(self._namespace, {})
        for key, value in self._changes.items():
            if value is None:
                names.pop(key, None)
            else:
                names[key] = value
        _write(whole)
        self._changes.clear()

    def _set(self, key, value):
        if not 1 <= len(key) <= 15:
            raise OSError(*_KEY_TOO_LONG)
        self._changes[key] = value

    def _get(self, key, kind):
        value = self._stored(key)
        if not isinstance(value, kind):
            raise OSError(*_NOT_FOUND)
        return value

    def _stored(self, key):
        if len(key) > 15:
            raise OSError(*_KEY_TOO_LONG)
        if key in self._changes:
            value = self._changes[key]
        else:
            value = _read().get(self._namespace, {}).get(key)
        if value is None:
            raise OSError(*_NOT_FOUND)
        return value
