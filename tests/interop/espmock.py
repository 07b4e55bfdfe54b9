"""Chips of the ESP32 family on loopback: esp32-mock-bootloader, each with its own flash and MAC.

Its faults are the wire's: a connection that is cut, bits that flip on their way to the chip.
"""

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pytest
from esp32_mock_bootloader import protocol, registers, server

_LOOK_S = 0.1
_mine = threading.local()  # the MAC of the chip that this thread plays


@contextmanager
def own_macs() -> Iterator[None]:
    """While it lasts each chip has its own MAC; the mock makes one of the chip's name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registers, "mac_bytes_for_chip", lambda chip: tuple(_mine.mac))
        patch.setattr(registers, "rom_profile", registers.rom_profile.__wrapped__)
        yield


@contextmanager
def locked() -> Iterator[None]:
    """While it lasts a C3 says that it is in secure download mode."""

    def say(session: Any) -> bytes:
        flags, chip_id = 1 << 2, session.image_chip_id()
        told = struct.pack("<I8xII2x", flags, chip_id, 0)
        head = struct.pack("<BBHI", 1, protocol.CMD_GET_SECURITY_INFO, len(told), 0)
        answer: bytes = server.slip_encode(head + told)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "handle_get_security_info", say)
        yield


@dataclass(frozen=True)
class Fault:
    """On the wire to the chip: cut after so many bytes, or a bit flipped in each of those."""

    cut_after: int | None = None
    flipped: Sequence[int] = ()


class Chip:
    """A chip in its boot loader, for as long as the `with` lasts. flash: what it holds."""

    def __init__(self, kind: str, mac: bytes, fault: Fault | None = None) -> None:
        self.kind, self.mac, self.fault = kind, mac, fault or Fault()
        self._image: Any = server.FlashImage()
        self.heard = 0  # bytes
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> str:
        """Where esptool finds it."""
        return f"socket://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def flash(self) -> bytearray:
        """Its 4 MB."""
        held: bytearray = self._image.data
        return held

    def __enter__(self) -> "Chip":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        _mine.mac = self.mac
        self._listener.settimeout(_LOOK_S)
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            wire = server.BootloaderConnection(sock=_Wire(self, connection))
            server.handle_client(wire, self._stop, self.kind, flash=self._image)


class _Wire:
    """A socket as the mock uses it, with the chip's fault."""

    def __init__(self, chip: Chip, connection: socket.socket) -> None:
        self._chip, self._connection = chip, connection
        self.settimeout, self.sendall = connection.settimeout, connection.sendall
        self.close = connection.close

    def recv(self, size: int) -> bytes:
        chip, fault = self._chip, self._chip.fault
        data = bytearray(self._connection.recv(size))
        for at in fault.flipped:
            if chip.heard <= at < chip.heard + len(data):
                data[at - chip.heard] ^= 0x04
        chip.heard += len(data)
        if fault.cut_after is not None and chip.heard > fault.cut_after:
            return b""  # the connection is over
        return bytes(data)
