"""The journal that is a file: what a local Azure knows, in SQLite, for its next start.

Holds keys, so the file is its owner's alone from its first moment; no text or error shows what is
in it. Never acknowledges what is not on the disk, never writes into a file that is not its own,
and is used from one thread of one process at a time.

A file is ours by its application_id; user_version is the layout's:

    records(number, kind, key, document)     one row a record; number is the order of adding

Changes wait in memory until commit() writes them in one transaction. If that fails (a full
disk), they go on waiting, and the next commit tries again: the file and the services never part.
The write-ahead log is synced at each commit, so that neither kill -9 nor a power cut loses what
was committed.
"""

import contextlib
import errno
import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..custody import check_private
from ..errors import ToolError, UsageError
from .answers import Json

APPLICATION_ID = 0x666C617A  # "flaz"
VERSION = 1
# Once a commit has failed, this many changes may wait for the disk; beyond, all is given up.
MAX_WAITING = 10_000

_SCHEMA = (
    "CREATE TABLE records (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL,"
    " document TEXT NOT NULL, UNIQUE (kind, key))",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
_PUT = (
    "INSERT INTO records (kind, key, document) VALUES (?, ?, ?)"
    " ON CONFLICT (kind, key) DO UPDATE SET document = excluded.document"
)
_DELETE = "DELETE FROM records WHERE kind = ? AND key = ?"
_LOAD = "SELECT key, document FROM records WHERE kind = ? ORDER BY number"
_LOG_BYTES = 16 * 1024 * 1024  # what is left of the write-ahead log after a burst
_PATIENCE_S = 0.5  # two that start at once: one gives way, the other must see it go
# What SQLite says, and what that means to the user. (Its error codes need Python 3.11.)
_DAMAGED = "is damaged and was left as it is; put a copy in its place, or name another file"
_TROUBLES = (
    ("not a database", "is not a state file of firstlight; name another file"),
    ("locked", "is in use by another emulator; stop that one, or name another file"),
    ("malformed", _DAMAGED),
    ("no such", _DAMAGED),
    ("readonly", "cannot be written; you must be allowed to write into its folder too"),
    ("unable to open", "cannot be opened; you must be allowed to write into its folder too"),
    ("full", "cannot be written: the disk is full"),
)


class _Change(NamedTuple):
    """What waits for the disk. document: None to delete; anew: at the end, not in its place."""

    document: str | None
    anew: bool = False


class SqliteJournal:
    """A journal.Journal over one SQLite file, which is made if there is none.

    Raises UsageError if the file is another program's, damaged, of a newer firstlight, readable
    by others, in use or not to be had; it is then as it was. load() raises it for a bad record.
    is_new: whether there was nothing in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: dict[tuple[str, str], _Change] = {}
        self._gave_up = False
        self.is_new = True
        try:
            _claim(path)
            self._file = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)
        except OSError as error:
            raise UsageError(f"{path} cannot be used: {error.strerror}") from None
        except sqlite3.Error as error:
            raise _trouble(path, error) from None
        try:
            self._prepare()
        except BaseException:
            self._file.close()
            raise

    def __repr__(self) -> str:
        """The file's name, and nothing that is in it."""
        return f"SqliteJournal({str(self._path)!r})"

    def put(self, kind: str, key: str, document: Json) -> None:
        """Add a record, or replace it in its place; raise ValueError if it is not JSON."""
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        (kind + key).encode()  # a lone surrogate would fail in commit(), for everybody
        if not self._gave_up:
            known = self._waiting.get((kind, key))
            if known is not None and known.document is None:
                del self._waiting[kind, key]  # it was deleted: it comes back at the end
                known = _Change(None, anew=True)
            self._waiting[kind, key] = _Change(text, known is not None and known.anew)

    def delete(self, kind: str, key: str) -> None:
        """Remove a record; no matter if there is none."""
        (kind + key).encode()
        if not self._gave_up:
            # To the end: what is put after this comes after what was put before it.
            self._waiting.pop((kind, key), None)
            self._waiting[kind, key] = _Change(None)

    def load(self, kind: str) -> Iterator[tuple[str, Json]]:
        """Every record of a kind, in the order in which they were added, committed or not."""
        try:
            texts = dict(self._file.execute(_LOAD, (kind,)).fetchall())
        except sqlite3.Error as error:
            raise _trouble(self._path, error) from None
        for (its_kind, key), change in self._waiting.items():
            if its_kind == kind:
                if change.document is None or change.anew:
                    texts.pop(key, None)
                if change.document is not None:
                    texts[key] = change.document
        for key, text in texts.items():
            yield key, self._parsed(text)

    def commit(self) -> None:
        """Put on the disk what waits; cheap if nothing does. Raise OSError naming the file."""
        if self._gave_up:
            raise OSError(errno.EIO, "too much waited for the disk; start again", str(self._path))
        if not self._waiting:
            return
        try:
            self._write()
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):  # it may have rolled back by itself
                self._file.execute("ROLLBACK")
            if len(self._waiting) > MAX_WAITING:
                self._gave_up = True
                self._waiting.clear()
            number = errno.ENOSPC if "full" in str(error) else errno.EIO
            raise OSError(number, os.strerror(number), str(self._path)) from None
        self._waiting.clear()

    def close(self) -> None:
        """Let go of the file; what was not committed is gone. Do nothing the second time."""
        self._waiting.clear()
        self._file.close()

    def _prepare(self) -> None:
        try:
            # Held until the end of the process, however that comes. No -shm file is needed then.
            self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
            self.is_new = self._is_new()
            self._file.execute("PRAGMA temp_store = MEMORY")  # no key in a file elsewhere
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = FULL")
            self._file.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            self._file.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA if self.is_new else ():
                self._file.execute(statement)
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            raise _trouble(self._path, error) from None

    def _is_new(self) -> bool:
        """Whether there is nothing in the file yet; raise UsageError if it is not ours."""
        mark, version = self._number("application_id"), self._number("user_version")
        count = self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if mark == version == count == 0:
            return True
        if mark != APPLICATION_ID:
            raise UsageError(f"{self._path} is not a state file of firstlight; name another file")
        if version != VERSION:
            raise UsageError(
                f"{self._path} has layout {version}, and this firstlight reads layout {VERSION}; "
                "use the firstlight that wrote it, or name another file"
            )
        if self._file.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("malformed")
        return False

    def _number(self, pragma: str) -> int:
        return int(self._file.execute(f"PRAGMA {pragma}").fetchone()[0])

    def _write(self) -> None:
        self._file.execute("BEGIN IMMEDIATE")
        for (kind, key), change in self._waiting.items():
            if change.document is None or change.anew:
                self._file.execute(_DELETE, (kind, key))
            if change.document is not None:
                self._file.execute(_PUT, (kind, key, change.document))
        self._file.execute("COMMIT")

    def _parsed(self, text: str) -> Json:
        try:
            document = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise _trouble(self._path, sqlite3.DatabaseError("malformed"))
        return document


def _claim(path: Path) -> None:
    """Make the file if there is none; raise UsageError if it is not ours alone, or OSError.

    Never opens a file that is there: to close it would end the locks of this process on it.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path} is not a file; name another")
    check_private(found, path, "keys")
    # SQLite would open it for reading, and fail later and less clearly.
    if not os.access(
        path, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids
    ):
        raise UsageError(f"{path} cannot be written by you; change that, or name another file")


def _trouble(path: Path, error: sqlite3.Error) -> ToolError:
    for sign, what in _TROUBLES:
        if sign in str(error):
            return UsageError(f"{path} {what}")
    return ToolError(f"{path} cannot be used: {error}")
