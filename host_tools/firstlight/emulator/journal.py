"""Where the services write what must outlive them, one record at a time; by default nowhere.

No I/O: state.py has the journal that is a file. A service puts or deletes a record the moment it
changes, and loads its records when it is made. Whoever carries an answer commits first, so that
nothing is acknowledged that could be lost.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from .answers import Json


class Journal(Protocol):
    """Records by kind and key. A document is JSON; it may hold keys."""

    def put(self, kind: str, key: str, document: Json) -> None:
        """Add a record, or replace it in its place; raise ValueError if it is not JSON."""

    def delete(self, kind: str, key: str) -> None:
        """Remove a record; no matter if there is none."""

    def load(self, kind: str) -> Iterable[tuple[str, Json]]:
        """Every record of a kind, in the order in which they were added, committed or not."""

    def commit(self) -> None:
        """Make everything so far outlive the process; raise OSError if that cannot be done."""

    def close(self) -> None:
        """Let go of what the journal holds; what was not committed is gone."""


class Nowhere:
    """The journal of a service that forgets."""

    def put(self, kind: str, key: str, document: Json) -> None:
        """Do nothing."""

    def delete(self, kind: str, key: str) -> None:
        """Do nothing."""

    def load(self, kind: str) -> Iterable[tuple[str, Json]]:  # noqa: ARG002
        """Nothing."""
        return ()

    def commit(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def remember(journal: Journal, kind: str, key: str, make: Callable[[], Json]) -> Json:
    """The record that is there, or a new one, put there: for what is made up once, as a key."""
    for found, document in journal.load(kind):
        if found == key:
            return document
    document = make()
    journal.put(kind, key, document)
    return document
