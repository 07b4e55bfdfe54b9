"""The record on a real PostgreSQL: what it does on SQLite, and what only a server can do to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from firstlight.errors import ToolError, UsageError
from firstlight.record import database as database_module
from firstlight.record import record as writing
from firstlight.record import tables
from firstlight.record.database import Lost
from firstlight.record.reader import Reader
from firstlight.record.record import Record
from tests.interop.cutter import Cutter
from tests.interop.postgres import PASSWORD, Server, programs
from tests.record.behaviour import Behaviour
from tests.record.grounds import begin, opened
from tests.record.stations import go, kill, start, told


@pytest.fixture(scope="module")
def server(program: Callable[[str], str]) -> Iterator[Server]:
    program("pg_ctlcluster")
    made = Server(programs())
    yield made
    made.remove()


class PostgresqlGround:
    """A schema of its own in a server's first database."""

    def __init__(self, server: Server, folder: Path) -> None:
        schema = server.new_schema()
        self.url = server.url("postgres", more=f"&options=-csearch_path%3D{schema}")
        self.notes = folder / "notes"
        self._server = server
        self._here = f"SET search_path = {schema}"

    def sql(self, statement: str) -> None:
        self._server.sql(self._here, statement)

    def forge(self, *statements: str) -> None:
        self._server.sql(self._here, "SET session_replication_role = replica", *statements)

    def lift(self, *constraints: str) -> None:
        for name in constraints:
            self.sql(f"ALTER TABLE firstlight_claims DROP CONSTRAINT {name}")


@pytest.fixture
def ground(server: Server, tmp_path: Path) -> PostgresqlGround:
    return PostgresqlGround(server, tmp_path)


@pytest.fixture
def database(server: Server) -> str:
    """The name of a database of its own."""
    return server.new_database()


class TestOnPostgresql(Behaviour):
    def test_no_table_is_emptied(self, ground: PostgresqlGround) -> None:
        with opened(ground) as found:
            begin(found)
        for table in tables.NAMES:
            with pytest.raises(psycopg.DatabaseError, match="append-only"):
                ground.sql(f"TRUNCATE {table} CASCADE")


def test_an_entry_whose_commit_was_not_answered_is_written_once(
    server: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cutter = Cutter(server.folder)
    try:
        url = f"postgresql://postgres@{cutter.url_part}/{database}"
        with Record.open(url, "station-1", notes=tmp_path) as found:
            monkeypatch.setattr(found, "_wait", lambda seconds: None)
            for count in range(1, 6):
                cutter.armed = True
                assert found.append(stage="flash", outcome="begun").number == count
            assert cutter.cut == 5
            assert found.verify(found.head()).entries == 5
    finally:
        cutter.close()


def test_a_connection_that_the_server_ended_is_opened_anew(
    server: Server, ground: PostgresqlGround
) -> None:
    with opened(ground) as found:
        begin(found)
        server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'firstlight'"
        )
        assert found.append(stage="flash", outcome="begun").number == 4


def test_a_commit_is_on_the_disk_even_where_the_database_would_not_wait(
    server: Server, database: str, tmp_path: Path
) -> None:
    server.sql(f"ALTER DATABASE {database} SET synchronous_commit = off")
    opened_there = Record.open(server.url(database), "station-1", notes=tmp_path)
    with opened_there as found, found._database.writing() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_a_station_needs_no_right_but_to_read_and_add(
    server: Server, database: str, tmp_path: Path
) -> None:
    server.sql("CREATE ROLE adder LOGIN")
    url = server.url(database, "adder")
    with pytest.raises(ToolError, match="its owner must open it once, and then GRANT"):
        Record.open(url, "station-1", notes=tmp_path)
    Record.open(server.url(database), "owner", notes=tmp_path).close()
    granted = f"GRANT SELECT, INSERT ON {', '.join(tables.NAMES)} TO adder"
    server.sql(granted, database=database)
    with Record.open(url, "station-2", notes=tmp_path) as found:
        begin(found)
        assert found.verify().good


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE firstlight_entries DISABLE TRIGGER ALL",
        "ALTER TABLE firstlight_entries ENABLE REPLICA TRIGGER firstlight_entries_only_grows",
        "DROP TRIGGER firstlight_entries_only_grows ON firstlight_entries;"
        " CREATE TRIGGER firstlight_entries_only_grows BEFORE UPDATE ON firstlight_entries"
        " FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION firstlight_append_only()",
        "CREATE OR REPLACE FUNCTION firstlight_append_only() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN NULL; END $$",
    ],
)
def test_a_trigger_that_does_nothing_is_found(ground: PostgresqlGround, statement: str) -> None:
    with opened(ground) as found:
        assert found.verify().good
        ground.sql(statement)
        assert "_only_grows, which keeps them so" in found.verify().wrong


def test_a_row_that_a_strangers_trigger_swallows_is_missed_at_once(
    ground: PostgresqlGround,
) -> None:
    with opened(ground) as found:
        ground.sql(
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN NULL; END $$"
        )
        ground.sql(
            "CREATE TRIGGER x BEFORE INSERT ON firstlight_entries FOR EACH ROW"
            " EXECUTE FUNCTION swallow()"
        )
        with pytest.raises(ToolError, match="did not take an entry"):
            found.append(stage="flash", outcome="begun")


def test_a_server_that_is_frozen_is_not_waited_for(
    server: Server, ground: PostgresqlGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel still acknowledges every byte, and no timeout of its own ends anything."""
    monkeypatch.setattr(database_module, "_KEEP_ALIVE", {"connect_timeout": 2})
    with opened(ground) as found:
        found.append(stage="flash", outcome="begun")
        with server.frozen(), monkeypatch.context() as impatient:
            impatient.setattr(database_module, "ANSWER_S", 0.3)
            impatient.setattr(writing, "WAITS_S", ())
            with pytest.raises(Lost, match="does not answer"):
                found.append(stage="flash", outcome="begun")
        assert found.append(stage="flash", outcome="begun").number == 2


def test_a_database_that_cannot_hold_every_text_is_refused(server: Server, tmp_path: Path) -> None:
    name = server.new_database("ENCODING 'SQL_ASCII'")
    with pytest.raises(UsageError, match="UTF-8"):
        Record.open(server.url(name), "station-1", notes=tmp_path)


@pytest.mark.parametrize(
    ("user", "database", "more", "said"),
    [
        ("postgres", "nowhere", "", "nowhere"),
        ("closed", "postgres", "", "password"),
        ("closed", "postgres", f"&password=not-{PASSWORD}", "authentication failed"),
        ("postgres", "postgres", f"&password={PASSWORD}&{PASSWORD}=1", "invalid connection"),
    ],
)
def test_who_is_not_let_in_is_told_why_and_no_password(
    server: Server, tmp_path: Path, user: str, database: str, more: str, said: str
) -> None:
    with pytest.raises(Lost, match=said) as caught:
        Record.open(server.url(database, user, more), "station-1", notes=tmp_path)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_password_comes_from_the_environment(
    server: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    url = server.url(database, "closed")
    with Record.open(url, "station-1", notes=tmp_path) as found:
        begin(found)
        assert PASSWORD not in repr(found._database._engine) + found.shown


def test_a_server_killed_in_the_middle_has_every_entry_that_was_acknowledged(
    server: Server, ground: PostgresqlGround
) -> None:
    stations = start(("append", ground.url, "station-1", ground.notes))
    go(stations)
    acknowledged = told(stations[0], 30)
    server.kill()
    server.start()
    acknowledged += told(stations[0], 10)
    kill(stations)
    with Reader.read(ground.url, notes=ground.notes) as found:
        assert found.verify_with_notes().good
        written = list(found.entries())
    there = [f"{entry.number}:{entry.digest}" for entry in written]
    assert there[: len(acknowledged)] == acknowledged
    assert [entry.facts["n"] for entry in written] == [str(n) for n in range(len(written))]
