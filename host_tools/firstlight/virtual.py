"""A virtual board: a folder that is a board without power, and the switch that powers it.

Never keeps anything of the board's state in memory: what a power cut leaves is what lies on disk.
"""

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from . import boards
from .boardlog import LogReader, everything
from .errors import BoardError, UsageError
from .unitfolder import (
    AIR_FILE,
    ESP32,
    FLASH_FILE,
    PICO_W,
    POWER_FILE,
    SETTINGS_FILE,
    VIRTUAL,
    Settings,
    create,
    is_locked,
    write_beside,
)

__all__ = ("AIR_FILE", "QUIRKS", "SETTINGS_FILE", "Settings", "VirtualBoard", "make")
QUIRKS = ("lies", "scan fails", "no lease", "lease lost", "no W5500")  # boards/VIRTUAL/network.py
_BLOCK = 4096
_ANNOUNCE_S = 15.0
_OFF_S = 5.0
_LOOK_S = 0.01


def make(
    folder: Path,
    *,
    unique_id: bytes | None = None,
    wifi: dict[str, str] | None = None,
    heap_bytes: int = 160 * 1024,
    flash_bytes: int = 2 * 1024 * 1024,
    join_ms: int = 200,
    kind: str = VIRTUAL,
) -> "VirtualBoard":
    """Make a board with an erased flash in folder, which must not hold one yet.

    unique_id: the chip's, 1 to 16 bytes; None: a random one. heap_bytes: what its code may use
    (64-bit objects: about twice what they take on a real board). flash_bytes: of its file system,
    a multiple of 4096 and at least 32 KB; 2 MB is a 4 MB ESP32's. kind: of unitfolder.KINDS; one
    with a boot loader has the whole flash that its board.json says. Raise UsageError otherwise.
    """
    chosen = _any_id(kind) if unique_id is None else unique_id
    settings = Settings(chosen, dict(wifi or {}), heap_bytes, join_ms, kind=kind)
    settings.check()
    if kind != VIRTUAL:
        flash_bytes = boards.load(kind).flash_bytes or flash_bytes
    if flash_bytes % _BLOCK or flash_bytes < 8 * _BLOCK:
        raise UsageError("flash_bytes must be a multiple of 4096, and at least 32768")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        create(folder / SETTINGS_FILE, settings.as_json())
        create(folder / FLASH_FILE, b"\xff" * flash_bytes)
    except FileExistsError:
        raise UsageError(f"{folder} holds a virtual board already") from None
    except OSError as error:
        raise UsageError(f"cannot make a virtual board in {folder}: {error.strerror}") from None
    return VirtualBoard(folder)


def _any_id(kind: str) -> bytes:
    """A random id as a chip of that kind has: an ESP32's is a MAC address of Espressif's."""
    if kind == ESP32:
        return bytes.fromhex("240ac4") + secrets.token_bytes(3)
    return secrets.token_bytes(8 if kind == PICO_W else 6)


class VirtualBoard:
    """The switch of the board in a folder. As a context manager: on inside, off after."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.settings = Settings.load(self.folder)
        self._bridge: subprocess.Popen[bytes] | None = None
        self._log = LogReader(self.folder)
        self._unread = b""

    def power_on(self, *, outlive: bool = False) -> str:
        """Switch on; return the path of the serial port. outlive: stay on when this process ends.

        A board that shows no serial port, for its boot loader has the chip, returns "".

        Raise BoardError if the board is on already or does not start, UsageError if MicroPython is
        not installed.
        """
        if self.is_on:
            raise BoardError(f"the virtual board in {self.folder} is on already")
        self._log.close()
        self._log, self._unread = LogReader(self.folder), b""
        self._bridge = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-m",
                "firstlight.bridge" if self.settings.kind == VIRTUAL else "firstlight.loaderunit",
                str(self.folder),
                *["outlive"] * outlive,
            ],
            stdin=subprocess.DEVNULL if outlive else subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            return _announced(self._bridge)
        except BaseException:
            self.power_off()
            raise

    def power_off(self) -> None:
        """Cut the power: the interpreter is killed where it stands. Off already: do nothing."""
        pid = self._power().get("pid")
        if self._bridge is not None:
            _stop(self._bridge)
            self._bridge = None
        elif isinstance(pid, int):
            with suppress(ProcessLookupError):  # it ended by itself just now
                os.kill(pid, signal.SIGTERM)
            _wait(lambda: not self.is_on, _OFF_S, "the virtual board does not switch off")

    def set_air(
        self,
        *,
        wifi: dict[str, str] | None = None,
        rssi: dict[str, int | list[int]] | None = None,
        hidden: list[str] | None = None,
        quirks: list[str] | None = None,
        cable: bool | None = None,
    ) -> None:
        """Change what is around the board, on or off; without arguments: as it was made.

        wifi: the networks in reach, as in Settings. rssi: dBm of a network, or of each of its
        access points; -50 by default. hidden: SSIDs that no scan shows. quirks: of QUIRKS. cable:
        whether the cable of a W5500 is in; a board that was switched on with None has no W5500.
        A network that is gone takes no TCP connection with it. Raise UsageError for what no board
        could meet.
        """
        said = {"wifi": wifi, "rssi": rssi, "hidden": hidden, "quirks": quirks, "cable": cable}
        air = {name: value for name, value in said.items() if value is not None}
        replace(self.settings, wifi=wifi or {}).check()
        if not set(quirks or ()) <= set(QUIRKS):
            raise UsageError(f"a quirk must be one of: {', '.join(QUIRKS)}")
        write_beside(self.folder / AIR_FILE, json.dumps(air, ensure_ascii=False).encode())

    @property
    def kind(self) -> str:
        """The name of its kind, as boards.load() takes it."""
        return self.settings.kind

    @property
    def is_on(self) -> bool:
        """Whether the board has power."""
        return is_locked(self.folder)

    @property
    def port(self) -> str | None:
        """The serial port's path; None while the board is off, or shows none."""
        return self._power().get("port")

    @property
    def interpreter_pid(self) -> int:
        """The process that plays the CPU. Raise BoardError if the board is off."""
        pid = self._power().get("interpreter")
        if not isinstance(pid, int):
            raise BoardError("the virtual board is off")
        return pid

    @property
    def console(self) -> bytes:
        """What was printed since power-on while nobody held the port; the newest 256 KB."""
        return everything(self.folder)

    def read_console_until(self, text: str, timeout_s: float) -> bytes:
        """Return what was printed up to and with text, from where the last call ended.

        Raise BoardError if it has not come after timeout_s seconds.
        """
        wanted, deadline = text.encode(), time.monotonic() + timeout_s
        while wanted not in self._unread:
            more = self._log.read()
            self._unread += more
            if not more and time.monotonic() > deadline:
                shown = self._unread[-200:].decode(errors="replace")
                raise BoardError(f"{text!r} was not printed in {timeout_s:g} s, but: {shown!r}")
            if not more:
                time.sleep(_LOOK_S)
        end = self._unread.index(wanted) + len(wanted)
        found, self._unread = self._unread[:end], self._unread[end:]
        return found

    def follow(self) -> Iterator[bytes]:
        """What is printed, as it comes, until the board is off; from where the last read ended."""
        while True:
            is_off = not self.is_on
            data, self._unread = self._unread + self._log.read(), b""
            if data:
                yield data
            elif is_off:
                return
            else:
                time.sleep(_LOOK_S)

    def __enter__(self) -> "VirtualBoard":
        self.power_on()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.power_off()
        self._log.close()

    def _power(self) -> dict[str, Any]:
        """What the bridge says of itself; empty while nobody holds the lock."""
        if not is_locked(self.folder):
            return {}
        try:
            power = json.loads((self.folder / POWER_FILE).read_bytes())
        except (OSError, ValueError):
            return {}
        return power if isinstance(power, dict) else {}


def _announced(bridge: subprocess.Popen[bytes]) -> str:
    """Wait for the bridge's one line. Return the port; raise what it says otherwise."""
    assert bridge.stdout is not None  # noqa: S101  it was opened as a pipe
    ready, _, _ = select.select([bridge.stdout], [], [], _ANNOUNCE_S)
    line = bridge.stdout.readline(4096) if ready else b""
    try:
        news = json.loads(line)
        if "port" in news:
            return str(news["port"] or "")
        reason = str(news["error"])
    except (ValueError, KeyError, TypeError):
        raise BoardError("the virtual board's bridge did not start") from None
    raise BoardError(reason)


def _stop(bridge: subprocess.Popen[bytes]) -> None:
    bridge.terminate()
    try:
        bridge.wait(_OFF_S)
    except subprocess.TimeoutExpired:
        bridge.kill()  # its end hangs up the interpreter's terminal, which ends that too
        bridge.wait(_OFF_S)
    for pipe in (bridge.stdin, bridge.stdout):
        if pipe is not None:
            pipe.close()


def _wait(done: Any, timeout_s: float, complaint: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise BoardError(complaint)
        time.sleep(_LOOK_S)
