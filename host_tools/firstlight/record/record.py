"""The record as stations write it: an entry for each step of each unit, on the disk on return.

    with Record.open("line.db", "station-1") as record:            # or postgresql://user@host/db
        name = record.claim("a1b2c3d4e5f6", None, lambda serial: f"lamp-{serial:06}")
        record.append(stage="flash", outcome="done", chip_id="a1b2c3d4e5f6",
                      registration_id=name, facts={"board": "ESP32_GENERIC"})

    Record.open(url: str | Path, station: str, clock: Callable[[], float] = time.time, *,
                notes: Path | None = None) -> Record               # is a context manager
    Record.read(url: str | Path, *, notes: Path | None = None) -> Reader     # never writes
    record.append(*, stage, outcome, seat="", chip_id="", registration_id="", facts={}) -> Entry
    record.claim(chip_id: str, wanted: str | None, make: Callable[[int], str] | None = None) -> str
    record.claimed(chip_id: str) -> str | None      record.history(chip_id: str) -> list[Entry]
    record.entries() -> Iterator[Entry]             record.head() -> tuple[int, str]
    record.units() -> Iterator[list[Entry]]         record.history_of(id: str) -> list[Entry]
    record.verify(head: tuple[int, str] | None = None) -> Verdict          record.close()

All may be called from any thread, and by any number of processes and stations at once. Never
changes or deletes an entry, never holds a key, and writes an entry once or not at all: a call
whose answer was lost is tried again under the same random mark (Entry.once).
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

import sqlalchemy as sa

from .. import keys
from ..errors import ToolError, UsageError
from . import chain, places, rules, schema
from .chain import Entry, Head
from .database import Database, Lost
from .heads import Heads, Note, folder
from .reader import Reader, digest_of, last
from .tables import claims, entries

_T = TypeVar("_T")
_SERIALS_TRIED = 100
# Before trying again: a server that is started anew comes back within these.
WAITS_S: tuple[float, ...] = (0.1, 0.4, 1.0, 2.0, 4.0)


class DoneAlready(ToolError):
    """This unit is done, and the record says so; it must not say so twice."""


class Record(Reader):
    """A record that is open to be written by one station."""

    def __init__(self, database: Database, known: tuple[str, Head], notes: Heads) -> None:
        super().__init__(database, known, notes)
        self._station = ""
        self._clock: Callable[[], float] = time.time
        self._wait: Callable[[float], None] = time.sleep
        self._own = self._genesis  # the last entry that this station wrote, as far as is known
        self._one_writer = threading.Lock()

    @classmethod
    def open(
        cls,
        url: str | Path,
        station: str,
        clock: Callable[[], float] = time.time,
        *,
        notes: Path | None = None,
    ) -> Self:
        """Open the record at a path or a URL, and make it if there is none.

        clock: Unix seconds. notes: the folder in which is noted what this station last wrote.
        Raises ToolError if the record was put back or replaced since this station last wrote;
        UsageError if that is no record.
        """
        place = places.parse(url)
        heads = Heads(notes or folder(), place)
        note = heads.noted(rules.station(station))
        if note and note.head[0] and place.path is not None and not place.path.exists():
            raise _rewound(place.shown, note)
        database = Database(place)
        try:
            record = cls(database, schema.prepare(database, _iso(clock())), heads)
            record._station, record._clock = station, clock
            record._know(note)
        except BaseException:
            database.close()
            raise
        return record

    def append(
        self,
        *,
        stage: str,
        outcome: str,
        seat: str = "",
        chip_id: str = "",
        registration_id: str = "",
        facts: Mapping[str, str] | None = None,
    ) -> Entry:
        """Write an entry; it is on the disk on return. outcome: one of rules.OUTCOMES.

        A registration id must be one that claim() gave (to this chip, if one is named). Raises
        DoneAlready for the second end ("unit", "done") of one; UsageError for what may not be in
        the record; ToolError if the record cannot be written: then no such entry is in it, unless
        the error is a Lost one (then nobody knows).
        """
        said = rules.entry(stage, outcome, seat, chip_id, registration_id, facts or {})
        if stage == rules.CLAIM:
            raise UsageError("a claim is made by claim(), not appended")

        def write(connection: sa.Connection, once: str) -> Entry:
            _check_claimed(connection, chip_id, registration_id)
            if (stage, outcome) == (rules.UNIT, "done"):
                _check_not_done(connection, registration_id)
            return self._add(connection, once, said)

        return self._writing(write)

    def claim(
        self, chip_id: str, wanted: str | None, make: Callable[[int], str] | None = None
    ) -> str:
        """Return the registration id of a chip: its own, else wanted, else make(serial number).

        It has it for ever: no two chips get one id, and no chip gets two, whichever station asks.
        A serial number is used once; some may be left out. Raises UsageError.
        """
        rules.chip_id(chip_id)
        if wanted is not None:
            keys.registration_id(wanted)

        def write(connection: sa.Connection, once: str) -> Entry | str:
            query = sa.select(claims.c.registration_id).where(claims.c.chip_id == chip_id)
            has = connection.execute(query).scalar()
            if has is not None:
                return _its_own(chip_id, str(has), wanted)
            name, serial = _free_name(connection, wanted, make)
            facts = {} if serial is None else {"serial": str(serial)}
            entry = self._add(
                connection, once, rules.entry(rules.CLAIM, "done", "", chip_id, name, facts)
            )
            row = {"registration_id": name, "chip_id": chip_id, "serial": serial}
            self._insert(connection, claims, {**row, "entry": entry.number})
            return entry

        given = self._writing(write)
        return given.registration_id if isinstance(given, Entry) else given

    def _know(self, note: Note | None) -> None:
        """Compare the record with what this station noted of it; note it if nothing was."""
        if note is None or note.head[0] == 0:
            self._notes.note(self._station, self.id, self._genesis)
            return
        self._own = note.head
        with self._database.reading() as connection:
            if note.record_id != self.id or not self._still_there(connection):
                raise _rewound(self.shown, note)

    def _still_there(self, connection: sa.Connection) -> bool:
        return self._own[0] == 0 or digest_of(connection, self._own[0]) == self._own[1]

    def _writing(self, write: Callable[[sa.Connection, str], _T]) -> _T | Entry:
        """Call write in a transaction, again if the database went away; note what it wrote."""
        if not self._station:
            raise UsageError(f"the record in {self.shown} was opened to be read")
        once = secrets.token_hex(16)
        for wait_s in WAITS_S:
            try:
                return self._attempt(write, once)
            except Lost:
                self._wait(wait_s)
        return self._attempt(write, once)

    def _attempt(self, write: Callable[[sa.Connection, str], _T], once: str) -> _T | Entry:
        with self._one_writer:
            with self._database.writing() as connection:
                if not self._still_there(connection):
                    raise _rewound(self.shown, self._notes.noted(self._station))
                query = sa.select(entries).where(entries.c.once == once)
                row = connection.execute(query).first()  # by an attempt whose answer was lost
                result = chain.from_row(row._asdict()) if row else write(connection, once)
            if isinstance(result, Entry):
                self._own = result.number, result.digest
                with suppress(ToolError):  # the entry is written; the older note serves as well
                    self._notes.note(self._station, self.id, self._own)
            return result

    def _add(self, connection: sa.Connection, once: str, said: dict[str, object]) -> Entry:
        fields = said | {"at": _iso(self._clock()), "station": self._station, "once": once}
        entry = chain.sealed(last(connection) or self._genesis, fields)
        self._insert(connection, entries, chain.to_row(entry))
        return entry

    def _insert(
        self, connection: sa.Connection, table: sa.Table, row: Mapping[str, object]
    ) -> None:
        statement = sa.insert(table).values(row).execution_options(preserve_rowcount=True)
        if connection.execute(statement).rowcount != 1:  # a stranger's trigger may swallow a row
            raise ToolError(
                f"the record in {self.shown} did not take an entry: it has a trigger that is not "
                "firstlight's; take that away, then run: firstlight record verify"
            )


def _free_name(
    connection: sa.Connection, wanted: str | None, make: Callable[[int], str] | None
) -> tuple[str, int | None]:
    if wanted is not None:
        owner = _owner(connection, wanted)
        if owner is not None:
            raise UsageError(
                f"{wanted} is the registration id of chip {owner}, for ever; name another"
            )
        return wanted, None
    if make is None:
        raise UsageError("a chip without a registration id needs one, or a pattern for one")
    serial = connection.execute(sa.select(sa.func.max(claims.c.serial))).scalar() or 0
    for number in range(serial + 1, serial + 1 + _SERIALS_TRIED):
        name = keys.registration_id(make(number))
        if _owner(connection, name) is None:
            return name, number
    raise UsageError("the pattern for registration ids gives only ids that other chips have")


def _owner(connection: sa.Connection, registration_id: str) -> str | None:
    query = sa.select(claims.c.chip_id).where(claims.c.registration_id == registration_id)
    return connection.execute(query).scalar()


def _its_own(chip_id: str, has: str, wanted: str | None) -> str:
    if wanted not in (None, has):
        raise UsageError(
            f"chip {chip_id} is {has}, for ever, and cannot become {wanted}; leave it its name"
        )
    return has


def _check_claimed(connection: sa.Connection, chip_id: str, registration_id: str) -> None:
    if not registration_id:
        return
    owner = _owner(connection, registration_id)
    if owner is None or chip_id not in ("", owner):
        whose = "nobody claimed it" if owner is None else f"it is chip {owner}'s"
        raise UsageError(f"{registration_id} cannot be recorded for this chip: {whose}")


def _check_not_done(connection: sa.Connection, registration_id: str) -> None:
    if not registration_id:
        raise UsageError("a unit that is done must have a registration id")
    query = sa.select(entries.c.number).where(
        entries.c.registration_id == registration_id,
        entries.c.stage == rules.UNIT,
        entries.c.outcome == "done",
    )
    number = connection.execute(query).scalar()
    if number is not None:
        raise DoneAlready(f"{registration_id} is done already: entry {number} of the record")


def _rewound(shown: str, note: Note | None) -> ToolError:
    where = f"; if that is meant, delete {note.path}" if note else ""
    return ToolError(
        f"the record in {shown} was put back, replaced or taken away: entry "
        f"{note.head[0] if note else 0}, which this station wrote, is no longer in it{where}"
    )


def _iso(at: float) -> str:
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
