"""What a virtual board printed while nobody held its port, and what its pins did.

Each in two files of bounded size. Written by the bridge alone; readers never write. Nothing typed
to the board is kept.
"""

import os
from pathlib import Path

_LIMIT = 256 * 1024  # bytes in each file


class BoardLog:
    """The writer. Starts empty: a log is of one power-on."""

    def __init__(self, folder: Path, name: str = "console") -> None:
        self._path, self._older = _paths(folder, name)
        self._older.unlink(missing_ok=True)
        self._file = self._begin()
        self._size = 0

    def append(self, data: bytes) -> None:
        """Add data; the oldest goes when there is too much."""
        if self._size + len(data) > _LIMIT and self._size:
            self._turn()
        os.write(self._file, data[-_LIMIT:])
        self._size += len(data)

    def close(self) -> None:
        """Close the file; it stays to be read."""
        os.close(self._file)

    def _turn(self) -> None:
        os.close(self._file)
        os.replace(self._path, self._older)
        self._file, self._size = self._begin(), 0

    def _begin(self) -> int:
        self._path.unlink(missing_ok=True)
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)


class LogReader:
    """Follows a log from its beginning, over the change of files."""

    def __init__(self, folder: Path) -> None:
        self._path, self._older = _paths(folder)
        self._file: int | None = None

    def read(self) -> bytes:
        """Return what is new; empty if nothing is."""
        data = self._rest()
        if self._file is None or self._outlived():
            data += self._rest() + self._next()
        return data

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _rest(self) -> bytes:
        parts = []
        while self._file is not None and (part := os.read(self._file, 65536)):
            parts.append(part)
        return b"".join(parts)

    def _outlived(self) -> bool:
        try:
            return self._file is None or os.stat(self._path).st_ino != os.fstat(self._file).st_ino
        except FileNotFoundError:
            return False

    def _next(self) -> bytes:
        self.close()
        try:
            self._file = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return b""
        return self._rest()


def everything(folder: Path, name: str = "console") -> bytes:
    """All that is kept, oldest first."""
    path, older = _paths(folder, name)
    return b"".join(file.read_bytes() for file in (older, path) if file.exists())


def _paths(folder: Path, name: str = "console") -> tuple[Path, Path]:
    return folder / f"{name}.log", folder / f"{name}.old.log"
