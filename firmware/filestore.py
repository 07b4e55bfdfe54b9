"""Records as files on littlefs, for boards without an ESP32's NVS: written beside, then renamed.

A rename on littlefs is whole or not at all, whenever the power goes. Never writes over a record;
what a cut left beside one is never read, and goes with the next save() or erase() of its name.

Wear: a save of something new erases and writes one block, and makes three commits to the folder's
log (made, closed, renamed), an erase() one; about one save in eleven erases a block of the log as
well. A save of what is there writes nothing. littlefs takes its free blocks in turn, and moves the
log after 100 erasures.
"""

import os


def load(name: str) -> "bytes | None":
    """Return what save() was given last, or None: none, or longer than any that we write."""
    try:
        with open("/%s.rec" % name, "rb") as file:
            raw: bytes = file.read(1025)
    except OSError:  # ENOENT
        return None
    return raw if len(raw) < 1025 else None


def save(name: str, raw: bytes) -> None:
    """Keep raw, at most 1024 bytes, under name. Raise OSError: the old record stays."""
    if len(raw) > 1024:
        raise OSError(7)  # E2BIG
    if load(name) == raw:
        return
    path = "/%s.rec" % name
    beside = path + ".new"
    try:
        with open(beside, "wb") as file:
            file.write(raw)
        os.rename(beside, path)
    except OSError:  # ENOSPC
        _remove(beside)
        raise


def erase(name: str) -> None:
    """Forget the record under name, if there is one."""
    path = "/%s.rec" % name
    _remove(path)
    _remove(path + ".new")


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError as e:
        if e.errno != 2:  # ENOENT
            raise
