"""Records in an ESP32's non-volatile storage; a commit is whole or not at all.

Opens the one namespace, `firstlight`, for each call. Never touches another.
"""

from esp32 import NVS


def load(name: str) -> "bytes | None":
    """Return what save() was given last, or None."""
    buffer = bytearray(1024)
    try:
        return bytes(buffer[: NVS("firstlight").get_blob(name, buffer)])
    except OSError:  # ESP_ERR_NVS_NOT_FOUND, or longer than any that we write
        return None


def save(name: str, raw: bytes) -> None:
    """Keep raw, at most 1024 bytes, under name (15 characters, Espressif's limit)."""
    store = NVS("firstlight")
    store.set_blob(name, raw)
    store.commit()
