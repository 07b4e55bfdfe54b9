"""Records in an ESP32's non-volatile storage: in one of two namespaces, and then in the other.

Never writes over a record. NVS itself leaves the old value or the new at a power cut ("Security,
tampering, and robustness", ESP-IDF's nvs_flash README), but with no room left an update may end
with neither (https://github.com/espressif/esp-idf/pull/18827). So a save writes where the record
is not, then erases it where it was. Found in both, the first namespace's holds: a cut came
between, and either is right.

MicroPython has no way to close a namespace, and each NVS() takes memory from ESP-IDF for ever
(ports/esp32/esp32_nvs.c): so they are opened once, and whoever lets this go keeps `spaces`, and
gives it back next time (board.py).

Wear: a save of n bytes writes 2 + n / 32 entries of 32 bytes and marks as many as erased, an erase
marks only, a save of what is there does nothing; a page of 126 entries is erased when all are used
up, and NVS takes its pages in turn.
"""

from esp32 import NVS

spaces: "list[NVS]" = []


def load(name: str) -> "bytes | None":
    """Return what save() was given last, or None: none, or longer than any that we write."""
    return _find(name)[1]


def save(name: str, raw: bytes) -> None:
    """Keep raw, at most 1024 bytes, under name (15 characters, Espressif's limit).

    Raise OSError: the old record stays.
    """
    if len(raw) > 1024:
        raise OSError(7)  # E2BIG
    old, there = _find(name)
    if there == raw:
        return
    spaces[1 - old].set_blob(name, raw)
    spaces[1 - old].commit()
    _erase(old, name)


def erase(name: str) -> None:
    """Forget the record under name, if there is one."""
    _find(name)
    _erase(1, name)  # the first holds: were it gone first, the second would
    _erase(0, name)


def _find(name: str) -> "tuple[int, bytes | None]":
    """Return which namespace holds the record, and the record; 1 and None: neither does."""
    if not spaces:
        spaces.extend((NVS("firstlight"), NVS("firstlight2")))
    buffer = bytearray(4000 if name == "identity" else 1024)  # flashed, and never saved
    for n in (0, 1):
        try:
            size = spaces[n].get_blob(name, buffer)
            return n, bytes(memoryview(buffer)[:size])
        except OSError:  # ESP_ERR_NVS_NOT_FOUND
            pass
    return 1, None


def _erase(n: int, name: str) -> None:
    try:
        spaces[n].erase_key(name)
    except OSError as e:
        if e.errno != -0x1102:  # ESP_ERR_NVS_NOT_FOUND
            raise
    spaces[n].commit()
