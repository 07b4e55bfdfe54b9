"""Whether a record is what its stations wrote: the first entry that is not, and what is wrong.

Reads all of it, a page at a time, and changes nothing. What it can tell: an entry changed,
missing, put in or moved; claims that the entries do not say; and, by a head noted elsewhere, an
end cut off or a whole chain written anew.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from . import chain, schema
from .chain import Broken, Entry, Head
from .database import Database
from .rules import CLAIM
from .tables import claims, entries

_PAGE = 500


@dataclass(frozen=True)
class Verdict:
    """good: nothing is wrong. number: the first wrong entry, 0 if it is none; wrong: a sentence.

    entries, head: how many are right from the start, and the last of these.
    """

    good: bool
    entries: int
    head: Head
    number: int = 0
    wrong: str = ""


def verify(database: Database, genesis: Head, noted: Iterable[Head]) -> Verdict:
    """Return what is wrong with a record. noted: heads that must be in it. Raises ToolError."""
    wanted: dict[int, set[str]] = {}
    for number, digest in noted:
        wanted.setdefault(number, set()).add(digest)
    head = genesis
    try:
        _check_noted(wanted, genesis)
        for entry in chain.follow(_all(database), genesis):
            _check_noted(wanted, (entry.number, entry.digest))
            head = entry.number, entry.digest
        _check_reached(wanted, head)
        for check in (_check_file, _check_numbers, _check_claims, _check_guards):
            with database.reading() as connection:  # a short look each: stations wait meanwhile
                check(connection)
    except Broken as error:
        return Verdict(False, head[0], head, error.number, str(error))
    return Verdict(True, head[0], head)


def _all(database: Database) -> Iterator[Entry]:
    """Every row, whatever its number says: a negative one is wrong, and must be seen."""
    after: int | None = None
    while True:
        query = sa.select(entries).order_by(entries.c.number).limit(_PAGE)
        if after is not None:
            query = query.where(entries.c.number > after)
        with database.reading() as connection:
            rows = [row._asdict() for row in connection.execute(query)]
        if not rows:
            return
        for row in rows:
            yield chain.from_row(row)
        after = rows[-1]["number"]


def _check_noted(wanted: dict[int, set[str]], head: Head) -> None:
    if wanted.get(head[0], {head[1]}) == {head[1]}:
        return
    if head[0] == 0:
        raise Broken(0, "it is another record than the one that was noted")
    raise Broken(head[0], "is not the one that was noted: the record was written anew")


def _check_reached(wanted: dict[int, set[str]], head: Head) -> None:
    furthest = max(wanted, default=0)
    if furthest > head[0]:
        raise Broken(
            head[0] + 1,
            f"is missing, and all after it: the end was cut off, for entry {furthest} was noted",
        )


def _check_file(connection: sa.Connection) -> None:
    if connection.dialect.name == "sqlite":
        said = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        if said != "ok":
            raise Broken(0, "every entry is right, but the file is damaged elsewhere")


def _check_numbers(connection: sa.Connection) -> None:
    """Find what _all() passes over at a page's end, once numbers may come twice, or be none."""
    odd = sa.or_(sa.func.count() > 1, entries.c.number.is_(None))
    query = sa.select(entries.c.number).group_by(entries.c.number).having(odd)
    row = connection.execute(query.order_by(entries.c.number).limit(1)).first()
    if row is not None:
        said = "an entry without a number is there" if row.number is None else "is there twice"
        raise Broken(row.number or 0, said)


def _check_claims(connection: sa.Connection) -> None:
    """Compare the claims with the entries that say them, both ways, and every use of an id."""
    same = sa.and_(
        claims.c.entry == entries.c.number,
        claims.c.chip_id == entries.c.chip_id,
        claims.c.registration_id == entries.c.registration_id,
    )
    says = sa.and_(entries.c.stage == CLAIM, entries.c.outcome == "done")
    numbered = sa.case(
        (claims.c.serial.is_(None), "{}"),
        else_=sa.literal('{"serial":"') + sa.cast(claims.c.serial, sa.Text) + '"}',
    )
    said = sa.exists().where(same, numbered == entries.c.facts)
    lost = sa.select(entries.c.number).where(says, ~said)
    forged = sa.select(claims.c.entry).where(~sa.exists().where(same, says))
    its_own = sa.exists().where(
        claims.c.registration_id == entries.c.registration_id,
        sa.or_(claims.c.chip_id == entries.c.chip_id, entries.c.chip_id == ""),
    )
    taken = sa.select(entries.c.number).where(entries.c.registration_id != "", ~its_own)
    _none(connection, lost, "claims an id, but the table of claims does not say so")
    _none(connection, forged, "claims no such id, but the table of claims says so")
    _none(connection, taken, "has a registration id that its chip never claimed")
    _check_unique(connection)


def _check_unique(connection: sa.Connection) -> None:
    """What the constraints keep from happening, had they been taken away."""
    for column in (claims.c.registration_id, claims.c.chip_id, claims.c.serial):
        twice = (
            sa.select(sa.func.max(claims.c.entry))
            .where(column.is_not(None))
            .group_by(column)
            .having(sa.func.count() > 1)
        )
        _none(connection, twice, f"claims a {column.name} that was claimed before")
    done = (
        sa.select(sa.func.max(entries.c.number))
        .where(entries.c.stage == "unit", entries.c.outcome == "done")
        .group_by(entries.c.registration_id)
        .having(sa.func.count() > 1)
    )
    _none(connection, done, "says of a unit that it is done, for the second time")


def _none(connection: sa.Connection, query: sa.Select[Any], wrong: str) -> None:
    first = query.order_by(sa.literal_column("1")).limit(1)
    number = connection.execute(first).scalar()
    if number is not None:
        raise Broken(number, wrong)


def _check_guards(connection: sa.Connection) -> None:
    missing = schema.missing_guards(connection)
    if missing:
        raise Broken(
            0,
            f"every entry is right, but the trigger {missing[0]}, which keeps them so, is gone or "
            "was changed",
        )
