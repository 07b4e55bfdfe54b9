"""An ESP32's boot loader behind a virtual board's serial port: the mock that esptool talks to.

Only carries bytes between the port and esp32-mock-bootloader, and says why that ended. Never
answers esptool itself, and never starts the application.
"""

import importlib
import select
import threading
from enum import Enum
from typing import Any

from .boardport import Port, read_some, write_some
from .errors import UsageError

SYNC = b"\xc0\x00\x08\x24\x00"  # how esptool begins: SLIP, a request, SYNC, 36 bytes long
_FRAME_END = 0xC0
_WAIT_S = 0.02
_PATIENCE_S = 3.0  # for a host that does not read
_LONGEST = 1 << 17  # bytes of one frame


class End(Enum):
    """Why a session with the loader ended."""

    HUNG_UP = "the host closed the port"
    TYPED = "the host talks to the application"
    OFF = "the power is off"


class EspPort(Port):
    """A serial port that knows when the host asks for the boot loader.

    esptool resets a chip into it by RTS and DTR, which a pseudo-terminal has not: so its first
    word is the reset.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept = b""  # the host's first words to the loader, or to the application

    def read(self) -> bytes:
        """What was typed for the application; b"" when it is the loader's turn."""
        data = super().read()
        at = data.find(SYNC)
        if at < 0:
            return data
        self.wants_loader, self.kept = True, data[at:]
        return data[:at]


class Cells:
    """Flash of which some bytes are worn out: they read 0, whatever is written there."""

    def __init__(self, data: Any, worn: slice) -> None:
        self._data, self._worn = data, worn
        self._wear()

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, key: Any) -> Any:
        return self._data[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._data[key] = value
        if isinstance(key, slice) or self._worn.start <= key < self._worn.stop:
            self._wear()

    def _wear(self) -> None:
        self._data[self._worn] = bytes(self._worn.stop - self._worn.start)


class Loader:
    """The loader of one chip. data: its flash, 4 MB; mac: its base MAC address, 6 bytes."""

    def __init__(self, mac: bytes, data: Any) -> None:
        try:
            self._server = importlib.import_module("esp32_mock_bootloader.server")
            registers: Any = importlib.import_module("esp32_mock_bootloader.registers")
        except ImportError:
            raise UsageError(
                "a virtual ESP32 needs a boot loader: pip install firstlight[virtual]"
            ) from None
        registers.mac_bytes_for_chip = lambda _chip: tuple(
            mac
        )  # the mock's: one for each chip name
        self._image = self._server.FlashImage()
        self._image.data = data

    def serve(self, port: EspPort, leash: int, wake: int) -> End:
        """Answer one esptool, from its first sync on. Return why it ended."""
        line = _Line(port, (leash, wake))
        self._server.handle_client(
            line, line.ended, "esp32", exit_on_disconnect=True, flash=self._image
        )
        port.wants_loader = False
        return line.end


class _Line:
    """The port as the mock's connection (its BootloaderConnection)."""

    def __init__(self, port: EspPort, off: tuple[int, int]) -> None:
        self._port, self._off = port, off
        self._frame = bytearray()
        self.ended, self.end = threading.Event(), End.HUNG_UP

    def recv(self, _size: int) -> bytes:
        """Return a whole frame, or frames; b"" at the end."""
        data, self._port.kept = self._port.kept, b""
        while not self.ended.is_set():
            if not self._frame and data and data[0] != _FRAME_END:
                self._port.kept = data
                return self._finish(End.TYPED)
            self._frame += data
            if len(self._frame) > 1 and self._frame[-1] == _FRAME_END:
                break
            data = self._more()
        frames, self._frame = bytes(self._frame), bytearray()
        return frames

    def sendall(self, data: bytes) -> None:
        """Write all, or end the session with a host that does not read."""
        poll = self._poll(select.POLLOUT)
        while data and not self.ended.is_set():
            ready = dict(poll.poll(_PATIENCE_S * 1000))
            if not ready.get(self._port.fd, 0) & select.POLLOUT or len(ready) > 1:
                self._finish(End.OFF if len(ready) > 1 else End.HUNG_UP)
            data = data[write_some(self._port.fd, data) :]

    def set_timeout(self, timeout: float) -> None:
        """The waits are ours."""

    def ignore_eof_for_disconnect(self) -> bool:
        """An end is an end."""
        return False

    def abort_empty_session(self) -> bool:
        """So is one before the first byte."""
        return False

    def close(self) -> None:
        """The port stays: it is the board's."""

    def _more(self) -> bytes:
        ready = dict(self._poll(select.POLLIN).poll(_WAIT_S * 1000))
        if any(fd in ready for fd in self._off):
            return self._finish(End.OFF)
        if not self._port.held() or len(self._frame) > _LONGEST:
            return self._finish(End.HUNG_UP)
        return read_some(self._port.fd) if ready else b""

    def _finish(self, end: End) -> bytes:
        self._frame.clear()
        self.end = end
        self.ended.set()
        return b""

    def _poll(self, events: int) -> select.poll:
        poll = select.poll()
        poll.register(self._port.fd, events)
        for fd in self._off:
            poll.register(fd, select.POLLIN)
        return poll
