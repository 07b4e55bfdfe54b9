"""Records as files on littlefs, for boards without an ESP32's NVS: written beside, then renamed.

A rename on littlefs is whole or not at all, whenever the power goes. Never writes over a record.
"""

import os


def load(name: str) -> "bytes | None":
    """Return what save() was given last, or None."""
    try:
        with open("/%s.rec" % name, "rb") as file:
            raw: bytes = file.read(1024)
        return raw
    except OSError:  # ENOENT
        return None


def save(name: str, raw: bytes) -> None:
    """Keep raw, at most 1024 bytes, under name."""
    path = "/%s.rec" % name
    with open(path + ".new", "wb") as file:
        file.write(raw)
    os.rename(path + ".new", path)
    if hasattr(os, "sync"):
        os.sync()
