"""What can be read out of a record, a page at a time: a long look holds no station up."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from .. import keys
from ..errors import ToolError, UsageError
from . import chain, places, rules, schema, verify
from .chain import Entry, Head
from .database import Database
from .heads import Heads, folder
from .tables import claims, entries
from .verify import Verdict

PAGE = 500  # rows read in one go
_Columns = tuple[sa.Column[Any], ...]
_BY_NUMBER: _Columns = (entries.c.number,)
_BY_CHIP: _Columns = (entries.c.chip_id, entries.c.number)  # an index has these


class Reader:
    """A record that is open to be read. id: its own random one; shown: its place, in messages."""

    def __init__(self, database: Database, known: tuple[str, Head], notes: Heads) -> None:
        self._database = database
        self._notes = notes
        self.shown = database.shown
        self.id, self._genesis = known

    @classmethod
    def read(cls, url: str | Path, *, notes: Path | None = None) -> Self:
        """Open a record that is there, to read it; nothing of it is written. Raises ToolError."""
        place = places.parse(url)
        database = Database(place, may_write=False)
        try:
            return cls(database, schema.find(database), Heads(notes or folder(), place))
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the database. No more calls after this."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def head(self) -> Head:
        """Return the last entry's number and digest; 0 and the record's own if there is none."""
        with self._database.reading() as connection:
            return last(connection) or self._genesis

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, oldest first. Raises ToolError if the record is damaged."""
        yield from self._pages(sa.true())

    def history(self, chip_id: str) -> list[Entry]:
        """Return the entries of a chip, oldest first."""
        return list(self._pages(entries.c.chip_id == rules.chip_id(chip_id)))

    def history_of(self, registration_id: str) -> list[Entry]:
        """Return the entries of a registration id, oldest first."""
        name = keys.registration_id(registration_id)
        return list(self._pages(entries.c.registration_id == name))

    def claimed(self, chip_id: str) -> str | None:
        """Return the registration id that the chip has, None if it has none yet."""
        query = sa.select(claims.c.registration_id).where(
            claims.c.chip_id == rules.chip_id(chip_id)
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def units(self) -> Iterator[list[Entry]]:
        """Yield the entries of each chip, oldest first; the chips in order of their ids."""
        history: list[Entry] = []
        for entry in self._pages(entries.c.chip_id != "", _BY_CHIP):
            if history and entry.chip_id != history[0].chip_id:
                yield history
                history = []
            history.append(entry)
        if history:
            yield history

    def verify(self, head: Head | None = None) -> Verdict:
        """Say whether anything was changed. head: an entry noted elsewhere, as head() gave it.

        Raises ToolError only if the database cannot be read at all.
        """
        return verify.verify(self._database, self._genesis, [head] if head else [])

    def verify_with_notes(self, head: Head | None = None) -> Verdict:
        """Do the same, and compare what the stations of this PC noted when they wrote."""
        noted = [note.head for note in self._notes.all()]
        return verify.verify(self._database, self._genesis, noted + ([head] if head else []))

    def _pages(
        self, which: sa.ColumnElement[bool], order: _Columns = _BY_NUMBER
    ) -> Iterator[Entry]:
        query = sa.select(entries).where(which).order_by(*order).limit(PAGE)
        rows = self._page(query)
        while rows:
            for row in rows:
                yield self._entry(row)
            after = sa.tuple_(*(rows[-1][column.name] for column in order))
            rows = self._page(query.where(sa.tuple_(*order) > after))

    def _page(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        with self._database.reading() as connection:
            return [row._asdict() for row in connection.execute(query)]

    def _entry(self, row: dict[str, Any]) -> Entry:
        try:
            return chain.from_row(row)
        except chain.Broken as error:
            raise ToolError(
                f"the record in {self.shown} is damaged: {error}; run: firstlight record verify"
            ) from None


def last(connection: sa.Connection) -> Head | None:
    """Return the head of a record that has entries."""
    query = sa.select(entries.c.number, entries.c.digest).order_by(entries.c.number.desc())
    row = connection.execute(query.limit(1)).first()
    return (row.number, row.digest) if row else None


def digest_of(connection: sa.Connection, number: int) -> str | None:
    """Return the digest of an entry, None if there is no such entry."""
    query = sa.select(entries.c.digest).where(entries.c.number == number)
    return connection.execute(query).scalar()


def parse_head(text: str) -> Head:
    """Return the head in NUMBER:DIGEST, as verify tells it. Raises UsageError."""
    number, _, digest = text.partition(":")
    if not re.fullmatch("[0-9]{1,18}:[0-9A-Fa-f]{64}", text):
        raise UsageError("a head is NUMBER:DIGEST, as firstlight record verify tells it")
    return int(number), digest.lower()
