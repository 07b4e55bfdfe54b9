"""A file replaced in one step: whatever ends this process, the old one is there or the new one.

Knows nothing of what is in it. What it raises is the system's: who calls says what it means.
"""

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)  # as folders of some network drives


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put data at path, on the disk when this returns, and readable by nobody else before.

    mode: what it is to be then. Raises OSError; nothing is left beside path.
    """
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, mode)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Have the new name on the disk, too, where folders can be synced."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one that may be written into, and not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)
