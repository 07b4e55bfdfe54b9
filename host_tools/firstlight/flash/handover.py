"""Bytes that a child process shall read as files, handed over so that nobody else can read them.

They may hold a device's key. On Linux they never touch a disk; elsewhere they lie in a folder that
only this user may enter, and that is gone when the `with` ends, however it ends.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import ToolError


@dataclass(frozen=True)
class Handed:
    """Paths for the child to open, in the order of the bytes; fds: what it must be given."""

    paths: tuple[str, ...]
    fds: tuple[int, ...] = ()


@contextmanager
def handed_over(blobs: Sequence[bytes]) -> Iterator[Handed]:
    """Keep blobs as files that a child can open while the `with` lasts. Raises ToolError."""
    in_memory = sys.platform == "linux" and Path("/dev/fd").is_dir()
    with _memory(blobs) if in_memory else _folder(blobs) as handed:
        yield handed


@contextmanager
def _memory(blobs: Sequence[bytes]) -> Iterator[Handed]:
    fds: list[int] = []
    try:
        for blob in blobs:
            fds.append(_memory_file())
            _write(fds[-1], blob)
        yield Handed(tuple(f"/dev/fd/{fd}" for fd in fds), tuple(fds))
    finally:
        for fd in fds:
            os.close(fd)


@contextmanager
def _folder(blobs: Sequence[bytes]) -> Iterator[Handed]:
    folder = tempfile.mkdtemp(prefix="firstlight-")  # 0700
    try:
        paths = [os.path.join(folder, str(number)) for number in range(len(blobs))]
        for path, blob in zip(paths, blobs, strict=True):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _write(fd, blob)
            finally:
                os.close(fd)
        yield Handed(tuple(paths))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _memory_file() -> int:
    try:
        fd = os.memfd_create("firstlight")
    except OSError as error:
        raise ToolError(f"no memory for what is to be written: {error.strerror}") from None
    os.fchmod(fd, 0o600)
    return fd


def _write(fd: int, blob: bytes) -> None:
    left = memoryview(blob)
    try:
        while left:
            left = left[os.write(fd, left) :]
    except OSError as error:
        raise ToolError(f"no room for what is to be written: {error.strerror}") from None
