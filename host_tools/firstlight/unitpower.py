"""What a process does that powers a virtual board: the lock, the port's link, the announcement.

Its first line on standard output is JSON: {"port": ...}, or {"error": ...}. Lives until its
standard input ends (unless it is to outlive that) or SIGTERM.
"""

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import ToolError
from .unitfolder import LOCK_FILE, POWER_FILE, link_port, unlink_port, write_beside

_STDIN = 0
_ASKED_S = 0.5


class Power:
    """What run() gets. leash, wake: the power is off when one is readable (leash: at its end)."""

    def __init__(self, folder: Path, leash: int, wake: int) -> None:
        self.folder, self.leash, self.wake = folder, leash, wake

    def on(self, port: str | None) -> None:
        """Tell whoever switched it on; port: the serial port's path, if it shows one."""
        _announce({"port": port})


def publish(folder: Path, port: str | None, interpreter: int | None) -> None:
    """Tell everybody how the board is doing: its serial port, and the process of its CPU."""
    power = {"pid": os.getpid(), "port": port, "interpreter": interpreter}
    if port is None:
        unlink_port(folder)
    else:
        link_port(folder, port)
    write_beside(folder / POWER_FILE, json.dumps(power).encode())


def powered(argv: list[str], run: Callable[[Power], int]) -> int:
    """Power the board in the folder that argv names, by run. Return the exit code."""
    os.umask(0o077)
    folder = Path(argv[1]).resolve()
    try:
        lock = _lock(folder)
    except OSError:
        return _announce({"error": "the virtual board is on already, or its folder is not ours"})
    try:
        _forget(folder)  # what a process left that was killed
        wake = _wake_on_signals()
        return run(Power(folder, wake if "outlive" in argv[2:] else _STDIN, wake))
    except ToolError as error:
        return _announce({"error": str(error)})
    finally:
        _forget(folder)
        os.close(lock)


def _forget(folder: Path) -> None:
    unlink_port(folder)
    (folder / POWER_FILE).unlink(missing_ok=True)


def _lock(folder: Path) -> int:
    """Take the board's lock. Raise OSError if the board is on already.

    Whoever asks whether it is on holds the lock for a moment (is_locked); a bridge keeps it.
    """
    lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + _ASKED_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.001)


def _wake_on_signals() -> int:
    """Make SIGTERM and SIGINT readable on the descriptor that is returned."""
    wake, theirs = os.pipe()
    os.set_blocking(theirs, False)
    signal.set_wakeup_fd(theirs)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _ignore)
    return wake


def _ignore(_number: int, _frame: Any) -> None:
    """The wakeup descriptor tells; nothing else is to happen in a signal handler."""


def _announce(news: dict[str, str | None]) -> int:
    print(json.dumps(news), flush=True)
    return 1 if "error" in news else 0
