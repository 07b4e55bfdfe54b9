"""A serial port with a raw REPL behind it: mpremote's transport, with an end to every wait.

Never prints, and never tells what went over the line.
"""

import secrets
import struct
import termios
import time
from collections.abc import Callable

import serial
from mpremote import transport_serial
from mpremote.transport import TransportError

from .errors import BoardError

# mpremote prints what a silent or foreign port sent; a library has no business on stdout.
transport_serial.print = lambda *_: None

# What mpremote and pyserial raise. struct.error: a short read of raw paste's window size.
TROUBLE = (TransportError, OSError, ValueError, IndexError, struct.error, termios.error)
_BANNER = b"raw REPL; CTRL-B to exit\r\n"
_ROOM, _STOP = b"\x01", b"\x04"  # of raw paste (docs/reference/repl.rst)
_TRY_S = 2.0
_READ_S = 0.5
_WRITE_S = 5.0
_MOST_BYTES = 65536  # of one answer


class Transport(transport_serial.SerialTransport):  # type: ignore[misc]  # mpremote is untyped
    """mpremote's transport with an end to every wait, and its own way in."""

    deadline = float("inf")

    def read_until(
        self,
        min_num_bytes: int,  # noqa: ARG002
        ending: bytes,
        timeout: float | None = 10,  # noqa: ARG002
        data_consumer: Callable[[bytes], None] | None = None,
        timeout_overall: float | None = None,  # noqa: ARG002
    ) -> bytes:
        data = bytearray()
        while not data.endswith(ending):
            if time.monotonic() > self.deadline or len(data) > _MOST_BYTES:
                break
            piece = self.serial.read(1)
            data += piece
            if data_consumer and piece:
                data_consumer(piece)
        return bytes(data)

    def raw_paste_write(self, command_bytes: bytes) -> None:
        """Send a statement as the board has room for it; one that never has any is given up."""
        window = room = struct.unpack("<H", self.serial.read(2))[0]
        left = memoryview(command_bytes)
        while left:
            while not room or self.serial.in_waiting:
                word = self.serial.read(1)
                if word == _STOP:  # it has heard enough, and says why in its answer
                    self.serial.write(_STOP)
                    return
                if word != _ROOM or time.monotonic() > self.deadline:
                    raise TransportError("raw paste")
                room += window
            self.serial.write(left[:room])
            left, room = left[room:], max(0, room - len(left))
        self.serial.write(_STOP)
        if not self.read_until(1, _STOP).endswith(_STOP):
            raise TransportError("raw paste")

    def way_in(self, patience_s: float) -> None:
        """Interrupt what runs and enter the raw REPL, without a soft reset."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            self.deadline = min(end, time.monotonic() + _TRY_S)
            self.serial.write(b"\r\x03")
            self._skip()
            self.serial.write(b"\r\x01")
            if self.read_until(1, _BANNER).endswith(_BANNER) and self._obeys(end):
                self.in_raw_repl = True
                return
        raise TransportError("nothing")

    def _obeys(self, end: float) -> bool:
        """Whether the board does what it is told now.

        A board that was busy for longer than one try hears them all at once, and answers each:
        what those say has come when a word has that nobody said before.
        """
        word = secrets.token_hex(8)
        self.deadline = min(end, time.monotonic() + _TRY_S)
        self.serial.write(f"print('{word}', end='')\x04".encode())
        answer = f"{word}\x04\x04".encode()  # what the raw REPL sends before its next prompt
        return self.read_until(1, answer).endswith(answer)

    def _skip(self) -> None:
        """Drop what the interrupted program still prints, for a bounded time."""
        end = time.monotonic() + 2 * _READ_S
        while time.monotonic() < end and self.serial.in_waiting:
            self.serial.read(min(self.serial.in_waiting, _MOST_BYTES))


def open_port(port: str) -> Transport:
    """Open a device path or a pyserial URL, for us alone. Raise BoardError saying why not."""
    try:
        transport = Transport(port, timeout=_READ_S)
        transport.serial.write_timeout = _WRITE_S
    except TROUBLE:
        raise BoardError(_why_not(port)) from None
    return transport


def _why_not(port: str) -> str:
    """Open the port once more, to say why mpremote could not."""
    try:
        serial.serial_for_url(port, exclusive=True, timeout=_READ_S).close()
    except ValueError:
        return f"{port} is not a port that can be opened"
    except (OSError, termios.error) as error:
        number = getattr(error, "errno", None)
        reasons = {2: "there is no port", 13: "no permission to open", 16: "already in use:"}
        reason = reasons.get(number or 0)
        if reason:
            return f"{reason} {port}"
        if "exclusively lock" in str(error):
            return f"already in use: {port}"
        return f"{port} is not a serial port"
    return f"{port} could not be opened; try again"
