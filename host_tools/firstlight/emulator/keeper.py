"""The journal of a local Azure from its start to its end: opened, committed, closed.

Knows no record. A change that an answer follows is committed by whoever carries the answer; what
nobody is told of (a last will, a message that expired) is committed here, soon after.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UsageError
from .journal import Journal, Nowhere
from .state import SqliteJournal

_COMMIT_EVERY_S = 1.0
_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)


class Keeper:
    """Holds the journal: a file's if there is a path. complain: told why a commit failed.

    Raises UsageError and ToolError, as SqliteJournal does.
    """

    def __init__(self, path: Path | None, complain: Callable[[str], None]) -> None:
        self._path = path
        self._complain = complain
        self._timer: asyncio.TimerHandle | None = None
        self.journal: Journal = Nowhere() if path is None else SqliteJournal(path)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """While the services are made: what goes wrong closes the file, as it was.

        A record that a service cannot read is the file's fault: raise UsageError.
        """
        try:
            yield
        except BaseException as error:
            self.journal.close()
            is_old = isinstance(self.journal, SqliteJournal) and not self.journal.is_new
            if not is_old or not isinstance(error, _UNREADABLE):
                raise
            raise UsageError(
                f"{self._path} holds a record that this firstlight cannot read "
                f"({type(error).__name__}); it was left as it is; name another file"
            ) from error

    def start(self) -> None:
        """From now on commit what waits, every second. Needs a running loop."""
        if self._path is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_COMMIT_EVERY_S, self._tick)

    def stop(self) -> None:
        """Commit, and close the file in any case; do nothing the second time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._commit()
        self.journal.close()

    def _tick(self) -> None:
        self._commit()
        self.start()

    def _commit(self) -> None:
        try:
            self.journal.commit()
        except OSError as error:
            self._complain(f"not kept in {self._path}: {error.strerror}")
