"""Where the services write what must outlive them, one record at a time; by default nowhere.

No I/O: state.py has the journal that is a file. A service puts or deletes a record the moment it
changes, and loads its records when it is made. Whoever carries an answer commits first, so that
nothing is acknowledged that could be lost.
"""

from collections.abc import Iterable
from typing import Protocol

from .answers import Json


class Journal(Protocol):
    """Records by kind and key. A document is JSON; it may hold keys."""

    def put(self, kind: str, key: str, document: Json) -> None:
        """Add a record, or replace it in its place."""

    def delete(self, kind: str, key: str) -> None:
        """Remove a record; no matter if there is none."""

    def load(self, kind: str) -> Iterable[tuple[str, Json]]:
        """Every record of a kind, in the order in which they were added."""

    def commit(self) -> None:
        """Make everything so far outlive the process; raise OSError if that cannot be done."""


class Nowhere:
    """The journal of a service that forgets."""

    def put(self, kind: str, key: str, document: Json) -> None:
        """Do nothing."""

    def delete(self, kind: str, key: str) -> None:
        """Do nothing."""

    def load(self, kind: str) -> Iterable[tuple[str, Json]]:
        """Nothing."""
        return ()

    def commit(self) -> None:
        """Do nothing."""
