"""Where a record under test lies, and hands that change it behind its back."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

from firstlight.record import tables
from firstlight.record.record import Record

CHIP = "a1b2c3d4e5f6"
OTHER = "0102030405060708"


class Ground(Protocol):
    """A database for a record. url: its place; notes: the folder for the stations' notes."""

    url: str
    notes: Path

    def sql(self, statement: str) -> None:
        """Do what a stranger may, with the guards in place; raise if he may not."""

    def forge(self, *statements: str) -> None:
        """Do what only the owner of the database can: the guards and constraints are off."""

    def lift(self, *constraints: str) -> None:
        """Remove a table's constraints for good: rows may then be anything."""


class SqliteGround:
    """A file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "line.db"
        self.url = str(self.path)
        self.notes = folder / "notes"

    def sql(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement)

    def forge(self, *statements: str) -> None:
        guards = tables.triggers("sqlite")
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for name in guards:
                connection.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                connection.execute(statement)
            for guard in guards.values():
                connection.execute(guard)

    def lift(self, *constraints: str) -> None:
        """Make the table of claims anew, with none."""
        self.forge(
            "CREATE TABLE loose AS SELECT * FROM firstlight_claims",
            "DROP TABLE firstlight_claims",
            "ALTER TABLE loose RENAME TO firstlight_claims",
        )


def opened(ground: Ground, station: str = "station-1") -> Record:
    return Record.open(ground.url, station, lambda: 1_800_000_000.25, notes=ground.notes)


def begin(record: Record, chip: str = CHIP) -> str:
    """A unit's first steps: three entries."""
    name = record.claim(chip, None, "lamp-{:06}".format)
    record.append(stage="flash", outcome="begun", seat="1-1.2", chip_id=chip)
    record.append(stage="flash", outcome="done", chip_id=chip, registration_id=name)
    return name
