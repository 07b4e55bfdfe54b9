"""The board's file system as one piece of flash: a littlefs that MicroPython mounts.

Never holds an identity: an image is for many boards, and an identity is one board's. The same
files make the same bytes, so that an image's hash can be kept.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from littlefs import LittleFS
from littlefs.errors import LittleFSError

from ..boards import Board
from ..errors import UsageError
from ..stage import StagedFile

_BLOCK = 4096
_READ = _LOOKAHEAD = 32  # VfsLfs2's own, which no port changes (docs/library/vfs.rst)
_PROG = 32  # an ESP32's; an RP2's is in its board.json
_DISK_VERSION = 0x00020000  # a littlefs before 2.6 mounts no newer one, and any mounts this
_IDENTITY = "/identity."  # inject.py's document, and what it is called while it is written


def littlefs(board: Board, files: Sequence[StagedFile], size: int) -> bytes:
    """A file system of size bytes with these files.

    Raise UsageError if they do not fit, or if one of them is for one board alone.
    """
    fs = _formatted(size, board.filesystem.prog if board.filesystem else _PROG)
    try:
        fs.mount()
        for file in files:
            _write(fs, file)
        fs.unmount()
    except (LittleFSError, OSError) as error:
        total = sum(len(file.data) for file in files)
        full = getattr(error, "code", 0) == LittleFSError.Error.LFS_ERR_NOSPC
        raise UsageError(
            f"the files ({total} bytes) do not fit into the board's file system of {size} bytes"
            if full
            else f"{file.path[:80]} is no path for a littlefs"
        ) from None
    return bytes(fs.context.buffer)


def _formatted(size: int, prog: int) -> LittleFS:
    """An empty one. Its cache is MicroPython's (extmod/vfs_lfsx.c): it bounds inlined files."""
    if size % _BLOCK or size < 2 * _BLOCK:
        raise UsageError(f"a littlefs is of whole blocks of {_BLOCK} bytes, and not of {size}")
    fs = LittleFS(
        mount=False,
        block_size=_BLOCK,
        block_count=size // _BLOCK,
        prog_size=prog,
        read_size=_READ,
        lookahead_size=_LOOKAHEAD,
        cache_size=4 * max(_READ, prog),
        disk_version=_DISK_VERSION,
        name_max=255,
    )
    fs.context.buffer[:] = b"\xff" * size  # as an erased flash is
    fs.format()
    return fs


def _write(fs: LittleFS, file: StagedFile) -> None:
    path = PurePosixPath(file.path)
    if file.path.startswith(_IDENTITY):
        raise UsageError(f"{file.path} is one board's own, and does not belong into an image")
    if len(path.parts) > 2:
        fs.makedirs(str(path.parent), exist_ok=True)
    with fs.open(str(path), "wb") as out:
        out.write(file.data)
