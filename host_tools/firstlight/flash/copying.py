"""A UF2 file onto the drive of a board, piece by piece, with an end to every wait.

The board resets itself when it has the last block, and may take the drive away under the last
write, its fsync or the close: all before must have succeeded, those need not. Never reads back:
the drive keeps no files.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from ..errors import BoardError

_FILE = "firmware.uf2"
_BLOCK = 512  # of UF2, and of the drive
_PIECE = 128 * _BLOCK  # 32 KB of flash: about a third of a second
_GONE = {
    errno.EIO,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOENT,
    errno.ENOTCONN,
    errno.ECONNABORTED,
    errno.ESTALE,
    errno.ENOMEDIUM if hasattr(errno, "ENOMEDIUM") else errno.EIO,
}
_AGAIN = "unplug the board, hold BOOTSEL, plug it in, and flash it again"

Tell = Callable[[float | OSError | None], None]


def copy(uf2: bytes, drive: Path, progress: Callable[[float], None], stall_s: float) -> None:
    """Write a UF2 file to a drive. progress: from 0.0 to 1.0.

    Raise BoardError if it was not all taken, or if nothing moves for stall_s seconds. That the
    board accepted it is not known before its drive is gone.
    """
    news: SimpleQueue[float | OSError | None] = SimpleQueue()
    # In a thread that is left behind if need be: nothing ends a write to a drive that hangs.
    Thread(target=_pour, args=(uf2, drive / _FILE, news.put), daemon=True).start()
    done = 0.0
    while True:
        try:
            word = news.get(timeout=stall_s)
        except Empty:
            raise BoardError(f"the drive {drive} takes nothing more: {_AGAIN}") from None
        if word is None:
            return
        if isinstance(word, OSError):
            raise BoardError(_told(word, drive, done)) from None
        done = word
        progress(done)


def _pour(uf2: bytes, target: Path, tell: Tell) -> None:
    last = max(0, len(uf2) - _BLOCK)
    sent, at_end = 0, False
    try:
        with open(target, "wb", buffering=0) as file:
            while sent < last:
                sent += _write(file.fileno(), uf2[sent : min(sent + _PIECE, last)])
                tell(sent / len(uf2))
            at_end = True
            _write(file.fileno(), uf2[last:])
    except OSError as error:
        if not at_end or error.errno not in _GONE:
            tell(error)
            return
    tell(1.0)
    tell(None)


def _write(fd: int, data: bytes) -> int:
    """Write it all, as far as to the drive; return how much that was."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
    os.fsync(fd)
    return len(data)


def _told(error: OSError, drive: Path, done: float) -> str:
    if error.errno in _GONE:
        return f"the drive {drive} went away when {done:.0%} was written: {_AGAIN}"
    if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return f"the drive {drive} is full, as after a copy that was cut off: {_AGAIN}"
    if error.errno == errno.EROFS:
        return f"the drive {drive} is mounted read-only: {_AGAIN}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"no permission to write to the drive {drive}: unmount it, and mount it as yourself "
            "(udisksctl mount -b DEVICE)"
        )
    return f"the drive {drive} takes no file ({error.strerror}): {_AGAIN}"
