"""A board's console before it is interrupted: what it says of itself while it runs.

Reads, and never types: a byte sent to a board could stop it.
"""

import re
import time
from dataclasses import replace
from typing import Any

from ..errors import BoardError
from ..serialport import TROUBLE, open_port
from ..statusline import Status, parse
from .findings import Life

_MOST_BYTES = 65536
_LONGEST = 400  # characters of a line
_FAILED = re.compile(r" *\d+ ms  \w+ +failed: (.*); next in \d{1,9} s")  # trouble.py's


def listen(port: str, seconds: float) -> Life:
    """Read the console for so long, or until its status line comes; raise BoardError: no port."""
    transport = open_port(port)
    try:
        raw = _read(transport.serial, time.monotonic() + seconds)
    except TROUBLE:
        raise BoardError(f"{port} went away while it was listened to") from None
    finally:
        transport.close()
    lines = [line.decode("ascii", "replace").rstrip("\r") for line in raw.split(b"\n")[:-1]]
    return replace(_heard(lines), noisy=bool(raw))


def _read(serial: Any, until_s: float) -> bytes:
    raw = b""
    while time.monotonic() < until_s and len(raw) < _MOST_BYTES:
        waiting = serial.in_waiting
        raw += serial.read(min(max(1, waiting), 4096))
        lines = raw.split(b"\n")
        if any(parse(line.decode("ascii", "replace")) for line in lines[:-1]):
            break
    return raw


def _heard(lines: list[str]) -> Life:
    """The newest status, and the newest failure in full."""
    status, failed = Status(), ""
    for line in lines:
        status = parse(line) or status
        found = _FAILED.fullmatch(line)
        failed = found[1] if found else failed
    plain = "".join(c if c.isprintable() else "?" for c in failed[:_LONGEST])
    return Life(
        phase=status.step or "",
        error=status.error or "",
        heard=plain,
        reset=status.reset or "",
        sent=status.sent,
        dropped=status.dropped,
        waiting=status.queued,
        up_s=status.up_s,
    )
