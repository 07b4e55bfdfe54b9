"""A board's first boot, watched on its console: it ends in telemetry, or in the board's own words.

Reads, and never types: a byte sent to a board could stop it.
"""

import re
import time
from collections.abc import Callable

import serial

from .errors import BoardError, ServiceError

_LOOK_S = 0.2
_AWAY_S = 45.0  # a board that resets is off the USB for less
_MOST_BYTES = 65536  # kept unread
_LONGEST = 400  # characters of a line that are told
_LINE = re.compile(r" *\d+ ms  (\w+) +(.*)")  # firmware/main.py's say()
_TROUBLE = re.compile(r"(?:failed: .*; next|this is a bug; reset) in (\d{1,9}) s")


def watch(port: str, timeout_s: float, say: Callable[[str], None]) -> None:
    """Return once the hub has acknowledged a message of the board on port.

    say gets each line that it prints. Raise ServiceError, with the board's last word on what is
    wrong, when that has not come after timeout_s seconds, or the board will not try again in time;
    BoardError if it says nothing at all, or its port is gone.
    """
    lines = _Lines(port)
    until_s = time.monotonic() + timeout_s
    heard = failed = ""
    try:
        while time.monotonic() < until_s:
            line = lines.next()
            found = _LINE.fullmatch(line)
            if not found:
                continue
            heard = line.strip()
            say(heard)
            if found[1] == "hub" and found[2].startswith("acknowledged "):
                return
            trouble = _TROUBLE.fullmatch(found[2])
            failed = found[2] if trouble else failed
            if trouble and int(trouble[1]) > until_s - time.monotonic():
                break
    finally:
        lines.close()
    if not heard:
        raise BoardError(f"the board on {port} says nothing after its reset")
    raise ServiceError(f"no telemetry from the board on {port}; it says: {failed or heard}")


class _Lines:
    """Lines from a port that may come and go, as a USB board's does over a reset."""

    def __init__(self, port: str) -> None:
        self._port = port
        self._serial: serial.Serial | None = None
        self._rest = b""
        self._there_s = time.monotonic()

    def next(self) -> str:
        """Return a line, or what there is after a moment: nothing, then."""
        line, found, rest = self._rest.partition(b"\n")
        if found:
            self._rest = rest
            return _plain(line)
        self._rest = (self._rest + self._read())[-_MOST_BYTES:]
        return ""

    def close(self) -> None:
        """Let go of the port."""
        if self._serial is not None:
            self._serial.close()
            self._serial = None

    def _read(self) -> bytes:
        try:
            if self._serial is None:
                self._serial = serial.serial_for_url(self._port, 115200, timeout=_LOOK_S)
            data: bytes = self._serial.read(max(1, self._serial.in_waiting))
            self._there_s = time.monotonic()
            return data
        except (OSError, ValueError):  # away for the moment; SerialException is an OSError
            self.close()
            if time.monotonic() - self._there_s > _AWAY_S:
                raise BoardError(f"{self._port} is gone") from None
            time.sleep(_LOOK_S)
            return b""


def _plain(line: bytes) -> str:
    """What a board printed may be anything: it must not steer the terminal that shows it."""
    text = line.decode(errors="replace").rstrip()
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST])
