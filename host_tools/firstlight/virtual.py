"""A virtual board: a folder that is a board without power, and the switch that powers it.

Never keeps anything of the board's state in memory: what a power cut leaves is what lies on disk.
"""

import fcntl
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from .boardlog import LogReader, everything
from .errors import BoardError, UsageError

SETTINGS_FILE = "virtual.json"
POWER_FILE = "power.json"  # while the board is on: who runs it, and its port
LOCK_FILE = "power.lock"  # held by the bridge while the board is on
AIR_FILE = "air.json"  # what is around the board, as it was changed since it was made
QUIRKS = ("lies", "scan fails", "no lease", "lease lost", "no W5500")  # boards/VIRTUAL/network.py
_BLOCK = 4096
_ANNOUNCE_S = 15.0
_OFF_S = 5.0
_LOOK_S = 0.01
_MOST_SPEED = 100_000


@dataclass(frozen=True)
class Settings:
    """What virtual.json says. wifi: the networks in reach, SSID to password ("": open).

    speed: so many times shorter are its waits (boards/VIRTUAL/_fast.py), its watchdog's too;
    tls_in_heap: a TLS session's buffers lie in heap_bytes, as on a Pico W (_tls.py). For tests,
    which write them into the file.
    """

    unique_id: bytes
    wifi: dict[str, str]
    heap_bytes: int
    join_ms: int
    speed: int = 1
    tls_in_heap: bool = False

    @classmethod
    def load(cls, folder: Path) -> "Settings":
        """Read and check virtual.json. Raise UsageError if the folder is not a virtual board."""
        try:
            facts = json.loads((folder / SETTINGS_FILE).read_bytes())
            settings = cls(
                bytes.fromhex(facts["unique_id"]),
                dict(facts["wifi"]),
                int(facts["heap_bytes"]),
                int(facts["join_ms"]),
                int(facts.get("speed", 1)),
                facts.get("tls_in_heap") is True,
            )
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(f"{folder} is not a virtual board: make one there first") from None
        settings.check()
        return settings

    def check(self) -> None:
        """Raise UsageError naming the first setting that no board could have."""
        if not 1 <= len(self.unique_id) <= 16:
            raise UsageError("unique_id must be 1 to 16 bytes")
        for ssid, password in self.wifi.items():
            if not isinstance(password, str) or not 1 <= len(ssid.encode()) <= 32:
                raise UsageError("wifi must name networks of 1 to 32 bytes, with their passwords")
        if self.heap_bytes < 16 * 1024 or not 0 <= self.join_ms <= 60_000:
            raise UsageError("heap_bytes must be at least 16 KB, join_ms 0 to 60000")
        if not 1 <= self.speed <= _MOST_SPEED:
            raise UsageError(f"speed must be from 1 to {_MOST_SPEED}")

    def as_json(self) -> bytes:
        """The content of virtual.json."""
        facts = {"unique_id": self.unique_id.hex(), "wifi": self.wifi}
        numbers = {"heap_bytes": self.heap_bytes, "join_ms": self.join_ms}
        return json.dumps({**facts, **numbers}, indent=1, ensure_ascii=False).encode()


def make(
    folder: Path,
    *,
    unique_id: bytes | None = None,
    wifi: dict[str, str] | None = None,
    heap_bytes: int = 160 * 1024,
    flash_bytes: int = 2 * 1024 * 1024,
    join_ms: int = 200,
) -> "VirtualBoard":
    """Make a board with an erased flash in folder, which must not hold one yet.

    unique_id: the chip's, 1 to 16 bytes; None: six random bytes. heap_bytes: what its code may use
    (64-bit objects: about twice what they take on a real board). flash_bytes: of its file system,
    a multiple of 4096 and at least 32 KB; 2 MB is a 4 MB ESP32's. Raise UsageError otherwise.
    """
    chosen = secrets.token_bytes(6) if unique_id is None else unique_id
    settings = Settings(chosen, dict(wifi or {}), heap_bytes, join_ms)
    settings.check()
    if flash_bytes % _BLOCK or flash_bytes < 8 * _BLOCK:
        raise UsageError("flash_bytes must be a multiple of 4096, and at least 32768")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(folder / SETTINGS_FILE, settings.as_json())
        _create(folder / "flash.img", b"\xff" * flash_bytes)
    except FileExistsError:
        raise UsageError(f"{folder} holds a virtual board already") from None
    except OSError as error:
        raise UsageError(f"cannot make a virtual board in {folder}: {error.strerror}") from None
    return VirtualBoard(folder)


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

        Raise BoardError if the board is on already or does not start, UsageError if MicroPython is
        not installed.
        """
        if self.port is not None:
            raise BoardError(f"the virtual board in {self.folder} is on already")
        self._log.close()
        self._log, self._unread = LogReader(self.folder), b""
        self._bridge = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-m",
                "firstlight.bridge",
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
            os.kill(pid, signal.SIGTERM)
            _wait(lambda: self.port is None, _OFF_S, "the virtual board does not switch off")

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
    def port(self) -> str | None:
        """The serial port's path; None while the board is off."""
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
            is_off = self.port is None
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
        if not _is_locked(self.folder / LOCK_FILE):
            return {}
        try:
            power = json.loads((self.folder / POWER_FILE).read_bytes())
        except (OSError, ValueError):
            return {}
        return power if isinstance(power, dict) else {}


def write_beside(path: Path, data: bytes) -> None:
    """Replace the file in one step; readable by its owner alone."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    _create(beside, data)
    os.replace(beside, path)


def _create(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _is_locked(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _announced(bridge: subprocess.Popen[bytes]) -> str:
    """Wait for the bridge's one line. Return the port; raise what it says otherwise."""
    assert bridge.stdout is not None  # noqa: S101  it was opened as a pipe
    ready, _, _ = select.select([bridge.stdout], [], [], _ANNOUNCE_S)
    line = bridge.stdout.readline(4096) if ready else b""
    try:
        news = json.loads(line)
        if "port" in news:
            return str(news["port"])
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
