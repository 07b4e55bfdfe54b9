"""A drive that behaves as the one of an RP2's boot ROM: a file system in a process of its own.

Run as `python fusedrive.py MOUNT RESULT WISHES`; says "mounted" when it is. What it takes and when
it goes is the boot ROM's (raspberrypi/pico-bootrom-rp2040, bootrom/virtual_disk.c), so it judges
both the copying and the file: every sector written is looked at by itself, whatever file it is of;
a sector of flash is erased at the first block of each sixteen *numbers*, and programming only
clears bits.
"""

import errno
import json
import os
import select
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RP2040, RP2350 = 0xE48BFF56, 0xE48BFF59
BASE = 0x10000000
FLASH_BYTES = 2 << 20
_SECTOR, _ERASED, _PAGE = 512, 4096, 256
_HEAD = struct.Struct("<8I")
_MARKS = (0x0A324655, 0x9E5D5157)
_READY_S = 20.0
_GONE_S = 10.0


@dataclass
class Wishes:
    """What the drive is to be, and what is to go wrong.

    ends: the host's call in which it goes away after the last block: write, fsync, flush (that
    is close), or later. pulled_at: blocks until it is pulled out; full_at, stuck_at: until it
    takes nothing more, or never answers. info: all of INFO_UF2.TXT.
    """

    board_id: str = "RPI-RP2"
    model: str = "Raspberry Pi RP2"
    family: int = RP2040
    ends: str = "fsync"
    pulled_at: int | None = None
    full_at: int | None = None
    stuck_at: int | None = None
    read_only: bool = False
    info: str | None = None


@dataclass
class BootROM:
    """What takes the blocks. flash: as it is then; complete: every block has come."""

    family: int
    flash: bytearray = field(default_factory=lambda: bytearray(b"\x00" * FLASH_BYTES))
    count: int = 0
    taken: set[int] = field(default_factory=set)
    erased: set[int] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        return self.count > 0 and len(self.taken) == self.count

    def sector(self, raw: bytes) -> None:
        """One sector that the host wrote; all but a block for this chip is ignored."""
        start0, start1, flags, address, used, number, count, family = _HEAD.unpack_from(raw)
        (end,) = struct.unpack_from("<I", raw, _SECTOR - 4)
        if (start0, start1, end) != (*_MARKS, 0x0AB16F30):
            return
        if not flags & 0x2000 or flags & 1 or family != self.family or used != _PAGE:
            return
        at = address - BASE
        if not count or at % _PAGE or not 0 <= at < FLASH_BYTES or number >= count:
            self.count = 0  # garbage ends the transfer
            return
        if count != self.count:
            self.count, self.taken, self.erased = count, set(), set()
        self._page(number, at, raw[_HEAD.size : _HEAD.size + _PAGE])

    def _page(self, number: int, at: int, data: bytes) -> None:
        if number in self.taken:
            return
        self.taken.add(number)
        group = number * _PAGE // _ERASED
        if group not in self.erased:
            self.erased.add(group)
            first = at // _ERASED * _ERASED
            self.flash[first : first + _ERASED] = b"\xff" * _ERASED
        old = self.flash[at : at + _PAGE]
        self.flash[at : at + _PAGE] = bytes(a & b for a, b in zip(old, data, strict=True))


class Files:
    """The file system's calls. It keeps no file, as the boot ROM does not."""

    def __init__(self, mount: Path, result: Path, wishes: Wishes) -> None:
        info = wishes.info
        if info is None:
            info = f"UF2 Bootloader v3.0\nModel: {wishes.model}\nBoard-ID: {wishes.board_id}\n"
        self._fixed = {"/INFO_UF2.TXT": info.encode(), "/INDEX.HTM": b"<html></html>\n"}
        self._sizes: dict[str, int] = {}
        self._mount, self._result, self._wishes = mount, result, wishes
        self._rom = BootROM(wishes.family)
        self._goes = False

    def go(self) -> None:
        """Go away as the board does: whatever the host still asks fails."""
        self._result.write_bytes(self._rom.flash)
        subprocess.Popen(["fusermount3", "-u", "-z", str(self._mount)])
        os._exit(0)

    def end(self, call: str) -> None:
        if self._rom.complete and self._wishes.ends == call:
            self.go()
        if self._rom.complete and self._wishes.ends == "later" and not self._goes:
            self._goes = True
            threading.Timer(0.1, self.go).start()

    def write(self, path: str, data: bytes, offset: int) -> int:
        for at in range(0, len(data) - _SECTOR + 1, _SECTOR):
            taken = len(self._rom.taken)
            if taken == self._wishes.pulled_at:
                os._exit(1)  # what is mounted stays, and fails
            if taken == self._wishes.full_at:
                raise OSError(errno.ENOSPC, "full")
            if taken == self._wishes.stuck_at:
                time.sleep(3600)
            self._rom.sector(bytes(data[at : at + _SECTOR]))
        self._sizes[path] = max(self._sizes.get(path, 0), offset + len(data))
        self.end("write")
        return len(data)

    def status(self, path: str) -> dict[str, Any]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path in self._fixed:
            fixed = len(self._fixed[path])
            return {"st_mode": stat.S_IFREG | 0o444, "st_nlink": 1, "st_size": fixed}
        if path not in self._sizes:
            raise OSError(errno.ENOENT, "none")
        return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": self._sizes[path]}

    def truncate(self, path: str, length: int) -> None:
        self._sizes[path] = length

    def read(self, path: str, size: int, offset: int) -> bytes:
        if path in self._fixed:
            return self._fixed[path][offset : offset + size]
        return bytes(max(0, min(size, self._sizes[path] - offset)))

    def names(self) -> list[str]:
        return [".", "..", *(path[1:] for path in [*self._fixed, *self._sizes])]


def main(argv: list[str]) -> None:  # noqa: C901  eleven calls of a line each
    """Serve a drive until it is unmounted, or until it goes."""
    import mfusepy  # type: ignore[import-untyped]  # noqa: PLC0415  it looks for libfuse

    mount, result, wishes = Path(argv[1]), Path(argv[2]), Wishes(**json.loads(argv[3]))
    files = Files(mount, result, wishes)

    class Drive(mfusepy.Operations):  # type: ignore[misc, unused-ignore]
        """mfusepy's form of Files."""

        use_ns = True

        def init_with_config(self, conn_info: Any, config_3: Any) -> None:
            print("mounted", flush=True)

        def getattr(self, path: str, fh: Any = None) -> dict[str, Any]:
            return files.status(path)

        def readdir(self, path: str, fh: Any) -> list[str]:
            return files.names()

        def create(self, path: str, mode: int, fi: Any = None) -> int:
            files.truncate(path, 0)
            return 0

        def open(self, path: str, flags: int) -> int:
            return 0

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return files.read(path, size, offset)

        def truncate(self, path: str, length: int, fh: Any = None) -> int:
            files.truncate(path, length)
            return 0

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            return files.write(path, data, offset)

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            files.end("fsync")
            return 0

        def flush(self, path: str, fh: int) -> int:
            files.end("flush")
            return 0

    mfusepy.FUSE(Drive(), str(mount), foreground=True, nothreads=True, ro=wishes.read_only)


class Drive:
    """A drive that is mounted, for a test."""

    def __init__(self, path: Path, result: Path, process: "subprocess.Popen[bytes]") -> None:
        self.path, self._result, self._process = path, result, process

    def flash(self) -> bytes:
        """The flash, once the board has taken its file and reset itself."""
        self._process.wait(_GONE_S)
        return self._result.read_bytes()


@contextmanager
def drive(folder: Path, fusermount: str, wishes: Wishes | None = None) -> Iterator[Drive]:
    """A drive at folder, which is made; nothing stays mounted."""
    folder.mkdir(parents=True)
    result = folder.with_name(folder.name + ".flash")
    words = json.dumps((wishes or Wishes()).__dict__)
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder), str(result), words], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _READY_S)
        assert ready, "the drive does not start"
        assert process.stdout.readline() == b"mounted\n"
        yield Drive(folder, result, process)
    finally:
        process.kill()
        process.wait(_GONE_S)
        if process.stdout:
            process.stdout.close()
        subprocess.run([fusermount, "-u", "-z", str(folder)], check=False, capture_output=True)
        assert str(folder).replace(" ", r"\040") not in Path("/proc/mounts").read_text()


if __name__ == "__main__":
    main(sys.argv)
