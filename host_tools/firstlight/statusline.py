"""The status line that a board prints (firmware/status.py), read; pure.

    @firstlight {"up_s": 3661, "step": "hub", "hub": "h.azure-devices.net", "queued": 0}

A port carries anything; so a line that is not whole, or says what no board says, is not a status.
Never raises.
"""

import json
from dataclasses import dataclass, fields

_HEAD = "@firstlight "
_LONGEST = 512
_NUMBERS = ("up_s", "wait_s", "queued", "dropped", "sent", "free")
_LARGEST = 1 << 53


@dataclass(frozen=True)
class Status:
    """What a board says of itself; None: it does not say. The fields are firmware/status.py's."""

    up_s: int | None = None
    step: str | None = None
    wait_s: int | None = None
    error: str | None = None
    hub: str | None = None
    queued: int | None = None
    dropped: int | None = None
    sent: int | None = None
    free: int | None = None
    reset: str | None = None


_NAMES = {field.name for field in fields(Status)}


def parse(line: str) -> Status | None:
    """Read one line of a console, with or without its end. None: it is not a status line.

    Fields that this version does not know are passed over.
    """
    text = line.rstrip("\r\n")
    if not text.startswith(_HEAD) or len(text) > _LONGEST or not _is_plain(text):
        return None
    try:
        found = json.loads(text[len(_HEAD) :])
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    known = {name: value for name, value in found.items() if name in _NAMES}
    if not all(_fits(name, value) for name, value in known.items()):
        return None
    return Status(**known)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _fits(name: str, value: object) -> bool:
    if name in _NUMBERS:
        return type(value) is int and 0 <= value < _LARGEST
    return isinstance(value, str) and bool(value) and _is_plain(value)
