"""What the stand-ins share: the way to the bridge, the clock's offset, the flash, the settings.

Never mounts anything; board code reaches none of it by name.
"""

import json

import utime as _host_time  # `time` is the stand-in
import vfs

_BLOCK = 4096
_EPOCH_2000 = 946684800  # 2000-01-01 UTC in Unix seconds

settings = {}
reset_cause = 1
ballast = None  # what of the interpreter's heap is not the board's
clock = [0]  # nanoseconds to add to the PC's clock

_parts = {}  # what of the flash is not a file of its own: file, first byte, size
_bridge = None
_host_files = None  # the PC's file system, not mounted
_folder = ""


def connect(text: str) -> bool:
    """Take the bridge's word: folder, control descriptor, clock, cause. Return: run main.py?"""
    global _host_files, _folder, _bridge, reset_cause
    word = json.loads(text)
    _host_files = vfs.VfsPosix()
    _folder = word["folder"]
    _bridge = open(word["control"], "wb")  # noqa: SIM115  open as long as the board is
    reset_cause = word["reset_cause"]
    clock[0] = word["offset_ns"]
    _parts.update(word["parts"])
    with open_file("virtual.json", "r") as file:
        settings.update(json.load(file))
    return word["run_main"]


def open_file(name: str, mode: str):
    """Open one of the files that make up the board, in its folder on the PC."""
    return _host_files.open(_folder + "/" + name, mode)


def open_part(name: str, mode: str):
    """Open a part of the flash: a file of its own, or so much of a whole chip's."""
    if name not in _parts:
        return open_file(name, mode)
    file, at, size = _parts[name]
    return Part(open_file(file, "r+b"), at, size)


def replace_file(old: str, new: str) -> None:
    """Let one such file take another's place, in one step."""
    _host_files.rename(_folder + "/" + old, _folder + "/" + new)


def tell(line: str) -> None:
    """Send one line to the bridge; short enough to be written whole."""
    _bridge.write(line.encode() + b"\n")


def halt(line: str) -> None:
    """Tell the bridge to stop this interpreter, and never return."""
    tell(line)
    while True:
        try:
            _host_time.sleep(1)
        except KeyboardInterrupt:
            pass


def set_clock(unix_s: int, subsecond_us: int) -> None:
    """Set the board's clock, here and for the boots until the power is cut."""
    clock[0] = unix_s * 1000000000 + subsecond_us * 1000 - _host_time.time_ns()
    tell(f"clock {clock[0]}")


def program(file, at: int, data) -> None:
    """Write to a flash chip: what is written can only clear bits (NOR)."""
    there = bytearray(len(data))
    file.seek(at)
    file.readinto(there)
    for i, byte in enumerate(data):
        there[i] &= byte
    _write(file, at, there)


def erase(file, at: int) -> None:
    """Set every bit of a flash chip's block, an eighth at a time."""
    for part in range(at, at + _BLOCK, _BLOCK // 8):
        _write(file, part, b"\xff" * (_BLOCK // 8))


def _write(file, at: int, data) -> None:
    """Each write and each erasure of a chip passes here. A setting, cut_after, lets the power go
    in the middle of one: the n-th, counted from 0; half of its bytes are as they shall be.
    """
    left = settings.get("cut_after")
    if left == 0:
        data = data[: len(data) // 2]
    file.seek(at)
    file.write(data)
    if left == 0:
        cut()
    if left is not None:
        settings["cut_after"] = left - 1


def cut() -> None:
    """The power is gone: do nothing more, for the switch to be turned off."""
    print("\npower cut")
    halt("cut")


class Part:
    """Some bytes of a file, used as a file; nobody goes beyond them."""

    def __init__(self, file, at, size):
        self._file = file
        self._at = at
        self._size = size
        self.readinto = file.readinto
        self.read = file.read
        self.write = file.write

    def seek(self, to, whence=0):
        to += self._size if whence == 2 else 0
        self._file.seek(self._at + to)
        return to


class Flash:
    """The flash chip: a block device over flash.img (docs/library/os.rst, block devices)."""

    def __init__(self):
        self._file = open_part("flash.img", "r+b")
        self._count = self._file.seek(0, 2) // _BLOCK

    def is_erased(self) -> bool:
        block = bytearray(_BLOCK)
        self.readblocks(0, block)
        return block == b"\xff" * _BLOCK

    def readblocks(self, number, buffer, offset=0):
        self._file.seek(number * _BLOCK + offset)
        self._file.readinto(buffer)

    def writeblocks(self, number, buffer, offset=0):
        program(self._file, number * _BLOCK + offset, buffer)

    def ioctl(self, operation, number):
        if operation == 4:
            return self._count
        if operation == 5:
            return _BLOCK
        if operation == 6:
            erase(self._file, number * _BLOCK)
        return 0
