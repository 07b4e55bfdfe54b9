"""database.py: what a database says goes wrong, and what the operator is told to do."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from firstlight.errors import ToolError
from firstlight.record import places
from firstlight.record.database import Lost, trouble

FILE = places.parse(Path("line.db"))
SERVER = places.parse("postgresql://line:hunter-2-hunter@server/line")


class _Said(Exception):
    """As a driver says it. sqlite_errorname and sqlstate: SQLite's code and PostgreSQL's."""

    def __init__(self, text: str, sqlite: str | None = None, sqlstate: str | None = None) -> None:
        super().__init__(text)
        self.sqlite_errorname = sqlite
        self.sqlstate = sqlstate


def told(place: places.Place, said: _Said, is_away: bool = False) -> ToolError:
    error = sa.exc.OperationalError("SELECT a_row", {"key": "value"}, said)
    error.connection_invalidated = is_away
    return trouble(place, error)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("SQLITE_READONLY_DIRECTORY", "you must be allowed to write it and into its folder"),
        ("SQLITE_READONLY_ROLLBACK", "you must be allowed to write it and into its folder"),
        ("SQLITE_READONLY_DBMOVED", "put it back"),
        ("SQLITE_BUSY", "end that one"),
        ("SQLITE_IOERR_WRITE", "the disk fails, or is full"),
        ("SQLITE_FULL", "make room"),
        ("SQLITE_CORRUPT_INDEX", "put back the last good one"),
        ("SQLITE_CONSTRAINT_UNIQUE", "firstlight record verify"),
        ("SQLITE_TOOBIG", "failed: SQLITE_TOOBIG"),
        (None, "failed: _Said"),
    ],
)
def test_a_files_trouble_is_told_with_what_to_do(code: str | None, advice: str) -> None:
    error = told(FILE, _Said("SELECT a_row", code))
    assert str(error).startswith("the record in line.db ")
    assert advice in str(error)
    assert "a_row" not in str(error)
    assert not isinstance(error, Lost)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("28P01", "~/.pgpass"),
        ("3D000", "createdb"),
        ("42501", "GRANT SELECT, INSERT"),
        ("42P01", "is damaged"),
        ("53100", "the server's disk is full"),
        ("55P03", "is held by another station"),
        ("57014", "takes too long"),
        ("25006", "name the server that may be written"),
        ("23505", "firstlight record verify"),
        ("XX001", "failed: XX001"),
    ],
)
def test_a_servers_trouble_is_told_with_what_to_do(code: str, advice: str) -> None:
    error = told(SERVER, _Said("ERROR: a_row", sqlstate=code))
    assert str(error).startswith("the record in postgresql://line@server/line ")
    assert advice in str(error)
    assert "a_row" not in str(error)
    assert not isinstance(error, Lost)


@pytest.mark.parametrize("code", [None, "08006", "57P01", "57P03"])
def test_a_server_that_is_away_is_told_apart_and_without_the_password(code: str | None) -> None:
    said = _Said("connection failed: FATAL:  no hunter-2-hunter\nand more", sqlstate=code)
    error = told(SERVER, said)
    assert isinstance(error, Lost)
    assert "does not answer (no ***); see that" in str(error)
    assert isinstance(told(SERVER, _Said("gone", sqlstate="XX000"), is_away=True), Lost)
