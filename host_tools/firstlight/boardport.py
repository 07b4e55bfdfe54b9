"""The terminal that is a virtual board's serial port, and reading and writing terminals.

Never blocks: what cannot be read or written now is left for later.
"""

import errno
import os
import pty
import select
import termios
import tty
from contextlib import suppress

CHUNK = 4096  # bytes read at a time


class Port:
    """The terminal whose other end a program opens as the board's serial port."""

    def __init__(self) -> None:
        self.fd, theirs = pty.openpty()
        tty.setraw(theirs)
        os.fchmod(theirs, 0o600)
        self.path = os.ttyname(theirs)
        os.close(theirs)  # from here on the port is held only when somebody opens it
        os.set_blocking(self.fd, False)
        self._was_held = False
        self.wants_loader = False  # nobody asks this chip for its boot loader

    def read(self) -> bytes:
        """What was typed, for the program that runs."""
        return read_some(self.fd)

    def close(self) -> None:
        """Take the port away from whoever holds it."""
        os.close(self.fd)

    def held(self) -> bool:
        """Whether a program has the port open."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        held = not any(events & select.POLLHUP for _, events in poll.poll(0))
        if self._was_held and not held:
            with suppress(termios.error):
                termios.tcflush(self.fd, termios.TCIOFLUSH)
        self._was_held = held
        return held


def read_some(fd: int) -> bytes:
    """What is there; empty at the end, or when there is nothing after all."""
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:
        return b""
    except OSError as error:
        if error.errno == errno.EIO:  # a terminal whose other end is closed
            return b""
        raise


def write_some(fd: int, data: bytes | bytearray) -> int:
    """Write what goes now; return how many bytes that was."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
    except OSError as error:
        if error.errno == errno.EIO:
            return 0
        raise
