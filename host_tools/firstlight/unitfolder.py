"""A virtual board's folder: the files that it is made of, and the one that tells what it is.

Never keeps anything of the board's state in memory: what a power cut leaves is what lies on disk.
"""

import fcntl
import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import UsageError

SETTINGS_FILE = "virtual.json"
POWER_FILE = "power.json"  # while the board is on: who runs it, and its port
LOCK_FILE = "power.lock"  # held by the bridge while the board is on
AIR_FILE = "air.json"  # what is around the board, as it was changed since it was made
PORT_LINK = "port"  # while the board shows a serial port: where that is
FLASH_FILE = "flash.img"
NVS_FILE = "nvs.img"
NEXT_FLASH_FILE = "flash.next"  # becomes the flash when the board starts next
REFUSED_FLASH_FILE = "flash.refused"
VIRTUAL, ESP32, PICO_W = "VIRTUAL", "VIRTUAL_ESP32", "VIRTUAL_PICO_W"
KINDS = (VIRTUAL, ESP32, PICO_W)  # boards/: how it is flashed
_MOST_SPEED = 100_000


@dataclass(frozen=True)
class Settings:
    """What virtual.json says. wifi: the networks in reach, SSID to password ("": open).

    speed: so many times shorter are its waits (boards/VIRTUAL/_fast.py), its watchdog's too;
    tls_in_heap: a TLS session's buffers lie in heap_bytes, as on a Pico W (_tls.py). For tests,
    which write them into the file. kind: of KINDS. worn_at: where the flash of a VIRTUAL_ESP32 is
    worn out, and keeps nothing.
    """

    unique_id: bytes
    wifi: dict[str, str]
    heap_bytes: int
    join_ms: int
    speed: int = 1
    tls_in_heap: bool = False
    kind: str = VIRTUAL
    worn_at: int | None = None

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
                facts.get("kind", VIRTUAL),
                int(facts["worn_at"]) if "worn_at" in facts else None,
            )
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise UsageError(f"{folder} is not a virtual board: make one there first") from None
        settings.check()
        return settings

    def check(self) -> None:
        """Raise UsageError naming the first setting that no board could have."""
        if self.kind not in KINDS:
            raise UsageError(f"kind must be one of: {', '.join(KINDS)}")
        exact = {ESP32: 6, PICO_W: 8}.get(self.kind)
        if exact is not None and len(self.unique_id) != exact:
            raise UsageError(f"unique_id of a {self.kind} must be {exact} bytes")
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
        facts = {"kind": self.kind, "unique_id": self.unique_id.hex(), "wifi": self.wifi}
        numbers = {"heap_bytes": self.heap_bytes, "join_ms": self.join_ms}
        return json.dumps({**facts, **numbers}, indent=1, ensure_ascii=False).encode()


def write_beside(path: Path, data: bytes) -> None:
    """Replace the file in one step; readable by its owner alone."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    create(beside, data)
    os.replace(beside, path)


def create(path: Path, data: bytes) -> None:
    """Write a file that is not there yet; readable by its owner alone."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def is_locked(folder: Path) -> bool:
    """Whether the board in the folder is on."""
    try:
        lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def link_port(folder: Path, path: str) -> None:
    """Let FOLDER/port name the terminal at path, in one step, whatever it named before."""
    beside = folder / (PORT_LINK + ".new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(path)
    os.replace(beside, folder / PORT_LINK)


def unlink_port(folder: Path) -> None:
    """Take the link away: the board shows no serial port now."""
    (folder / PORT_LINK).unlink(missing_ok=True)


def take_next_flash(folder: Path) -> str:
    """Let flash.next, if there is one, become the flash. Return why not, or "".

    One of another size than the flash is put aside: a chip's flash does not grow.
    """
    after, flash = folder / NEXT_FLASH_FILE, folder / FLASH_FILE
    with suppress(FileNotFoundError):
        found, wanted = after.lstat(), flash.stat().st_size
        if stat.S_ISREG(found.st_mode) and found.st_size == wanted:
            os.replace(after, flash)
            return ""
        os.replace(after, folder / REFUSED_FLASH_FILE)
        return f"{NEXT_FLASH_FILE} has {found.st_size} bytes, the flash {wanted}: refused"
    return ""
