"""The record in a file: killed, filled up, forged, put back, and what is no record at all."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from firstlight.errors import ToolError, UsageError
from firstlight.record import tables, verify
from firstlight.record.reader import Reader
from firstlight.record.record import Record
from tests.record.grounds import CHIP, SqliteGround, begin, opened
from tests.record.stations import go, kill, start, told

COLUMNS = [column.name for column in tables.entries.columns]


@pytest.fixture
def ground(tmp_path: Path) -> SqliteGround:
    return SqliteGround(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a record with a unit."""
    made = SqliteGround(tmp_path_factory.mktemp("whole"))
    with opened(made) as record:
        begin(record)
    return made.path.read_bytes()


@pytest.fixture(scope="module")
def forgery(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes
) -> Iterator[tuple[sqlite3.Connection, Reader]]:
    """A record without guards, and somebody who reads it meanwhile."""
    made = SqliteGround(tmp_path_factory.mktemp("forgery"))
    made.path.write_bytes(whole)
    with closing(sqlite3.connect(made.path, isolation_level=None)) as forger:
        for name in tables.triggers("sqlite"):
            forger.execute(f"DROP TRIGGER {name}")
        forger.execute("PRAGMA synchronous = OFF")
        forger.execute("CREATE TABLE kept AS SELECT * FROM firstlight_entries")
        forger.text_factory = bytes
        with Reader.read(made.path, notes=made.notes) as reader:
            yield forger, reader


_PLAIN = st.characters(codec="utf-8")
_VALUES = st.one_of(
    st.text(_PLAIN, max_size=5), st.binary(max_size=5), st.integers(-(2**63), 2**63 - 1)
)


@given(
    column=st.sampled_from(COLUMNS), number=st.integers(1, 3), value=_VALUES, as_text=st.booleans()
)
def test_any_edit_of_any_field_of_any_entry_is_found(
    forgery: tuple[sqlite3.Connection, Reader],
    column: str,
    number: int,
    value: str | bytes | int,
    as_text: bool,
) -> None:
    forger, reader = forgery
    place = "CAST(? AS TEXT)" if as_text else "?"
    with suppress(sqlite3.IntegrityError):  # of another type than the table takes
        forger.execute(
            f"UPDATE firstlight_entries SET {column} = {place} WHERE number = {number}",
            (value,),
        )
    every = "SELECT * FROM {} ORDER BY number"
    rows, before = (
        forger.execute(every.format(table)).fetchall() for table in ("firstlight_entries", "kept")
    )
    verdict = reader.verify()
    forger.execute("DELETE FROM firstlight_entries")
    forger.execute("INSERT INTO firstlight_entries SELECT * FROM kept")
    assert ("trigger" in verdict.wrong) == (rows == before)
    assert verdict.number <= number


def test_bytes_that_are_no_text_are_found(ground: SqliteGround, whole: bytes) -> None:
    ground.path.write_bytes(whole)
    ground.forge("UPDATE firstlight_entries SET seat = CAST(x'ff00' AS TEXT) WHERE number = 2")
    with Reader.read(ground.path, notes=ground.notes) as reader:
        assert reader.verify().number == 2
        with pytest.raises(ToolError, match="is damaged: entry 2"):
            list(reader.entries())


def test_bytes_that_are_no_text_end_no_list(ground: SqliteGround, whole: bytes) -> None:
    for statement, listed in (
        ("UPDATE firstlight_entries SET chip_id = CAST(x'ff' AS TEXT) WHERE number = 2", True),
        ("UPDATE firstlight_record SET id = CAST(x'ff' AS TEXT)", False),
        ("UPDATE firstlight_record SET made = CAST(x'ff' AS TEXT)", False),
    ):
        ground.path.write_bytes(whole)
        ground.forge(statement)
        with pytest.raises(ToolError, match="is damaged"):
            _units(ground) if listed else Reader.read(ground.path, notes=ground.notes)


def _units(ground: SqliteGround) -> None:
    with Reader.read(ground.path, notes=ground.notes) as reader:
        list(reader.units())


@pytest.mark.parametrize(
    ("number", "wrong"), [("2", "entry 2 is there twice"), ("NULL", "a number")]
)
def test_an_entry_hidden_between_two_pages_is_found(
    ground: SqliteGround,
    whole: bytes,
    monkeypatch: pytest.MonkeyPatch,
    number: str,
    wrong: str,
) -> None:
    monkeypatch.setattr(verify, "_PAGE", 2)
    ground.path.write_bytes(whole)
    others = ", ".join(name for name in COLUMNS if name != "number")
    ground.forge(
        "CREATE TABLE loose AS SELECT * FROM firstlight_entries",
        f"INSERT INTO loose (number, {others}) SELECT {number}, {others} FROM loose"
        " WHERE number = 2",
        "DROP TABLE firstlight_entries",
        "ALTER TABLE loose RENAME TO firstlight_entries",
    )
    with Reader.read(ground.path, notes=ground.notes) as reader:
        assert wrong in reader.verify().wrong


def test_a_trigger_that_does_nothing_is_found(ground: SqliteGround, whole: bytes) -> None:
    ground.path.write_bytes(whole)
    name = "firstlight_entries_no_update"
    ground.sql(f"DROP TRIGGER {name}")
    ground.sql(f"CREATE TRIGGER {name} BEFORE UPDATE ON firstlight_entries BEGIN SELECT 1; END")
    with Reader.read(ground.path, notes=ground.notes) as reader:
        assert f"{name}, which keeps them so, is gone or was changed" in reader.verify().wrong


def test_a_damaged_file_is_told_in_one_sentence(ground: SqliteGround, whole: bytes) -> None:
    """Whatever byte is flipped: it is found, or it is in a place that holds nothing."""
    found = []
    places = [place for place, byte in enumerate(whole) if byte]
    for place in places[:: len(places) // 50]:
        ground.path.write_bytes(_flipped(whole, place))
        found += _trouble(ground)
    assert len(found) > 10
    assert "\n" not in "".join(found)


def _trouble(ground: SqliteGround) -> list[str]:
    try:
        with Reader.read(ground.path, notes=ground.notes) as reader:
            wrong = reader.verify().wrong
    except ToolError as error:
        return [str(error)]
    return [wrong] if wrong else []


def _flipped(whole: bytes, place: int) -> bytes:
    return whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR REPLACE INTO firstlight_entries SELECT * FROM firstlight_entries",
        "INSERT OR REPLACE INTO firstlight_entries SELECT 4, at, station, seat, chip_id,"
        " registration_id, stage, outcome, facts, 'p', 'd', once FROM firstlight_entries"
        " WHERE number = 2",
        "INSERT INTO firstlight_entries SELECT 9, at, station, seat, chip_id, registration_id,"
        " stage, outcome, facts, 'p', 'd', 'o' FROM firstlight_entries WHERE number = 2",
        "INSERT OR REPLACE INTO firstlight_claims SELECT * FROM firstlight_claims",
        "INSERT OR REPLACE INTO firstlight_record SELECT * FROM firstlight_record",
        "UPDATE OR REPLACE firstlight_entries SET number = 1 WHERE number = 2",
    ],
)
def test_nothing_is_replaced(ground: SqliteGround, whole: bytes, statement: str) -> None:
    ground.path.write_bytes(whole)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        ground.sql(statement)


@pytest.mark.parametrize("table", ["firstlight_entries", "firstlight_claims"])
def test_a_row_that_a_strangers_trigger_swallows_is_missed_at_once(
    ground: SqliteGround, table: str
) -> None:
    with opened(ground) as record:
        ground.sql(f"CREATE TRIGGER x BEFORE INSERT ON {table} BEGIN SELECT RAISE(IGNORE); END")
        with pytest.raises(ToolError, match="did not take an entry"):
            record.claim(CHIP, "lamp-1")
        assert (record.claimed(CHIP), record.head()[0]) == (None, 0)


def test_a_station_that_is_killed_leaves_every_entry_that_was_acknowledged(
    ground: SqliteGround,
) -> None:
    stations = start(("append", ground.url, "station-1", ground.notes))
    go(stations)
    acknowledged = told(stations[0], 30)
    acknowledged += kill(stations)[0]
    with Reader.read(ground.path, notes=ground.notes) as reader:
        assert reader.verify_with_notes().good
        there = [f"{entry.number}:{entry.digest}" for entry in reader.entries()]
    assert there[: len(acknowledged)] == acknowledged
    assert len(there) <= len(acknowledged) + 1  # one that it could not tell of any more


def test_what_returned_is_on_the_disk(ground: SqliteGround) -> None:
    """EXTRA: the journal, the file, and the folder in which the journal was."""
    with opened(ground) as record, record._database.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 3
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"


def test_the_file_is_its_owners_alone(ground: SqliteGround) -> None:
    opened(ground).close()
    assert ground.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in ground.path.parent.iterdir() if path.is_file()] == ["line.db"]


def test_a_full_disk_is_told_and_loses_nothing(ground: SqliteGround) -> None:
    with opened(ground) as record:
        name = begin(record)

        @sa.event.listens_for(record._database._engine, "begin")
        def full(connection: sa.Connection) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")

        with pytest.raises(ToolError, match="disk is full"):
            _fill(record)
        sa.event.remove(record._database._engine, "begin", full)
        with record._database.reading() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        assert record.verify(record.head()).good
        record.append(stage="unit", outcome="done", chip_id=CHIP, registration_id=name)


def _fill(record: Record) -> None:
    for _ in range(200):
        record.append(stage="flash", outcome="begun", facts={"error": "e" * 400})


def test_a_backup_put_back_is_noticed(ground: SqliteGround) -> None:
    with opened(ground) as record:
        begin(record)
        backup = ground.path.read_bytes()
        record.append(stage="prove", outcome="done", chip_id=CHIP)
    ground.path.write_bytes(backup)
    with pytest.raises(ToolError, match=r"put back.*entry 4.*delete .*\.json"):
        opened(ground)
    (note,) = ground.notes.iterdir()
    note.unlink()
    opened(ground).close()


def test_a_record_taken_away_is_noticed_before_a_new_one_is_made(ground: SqliteGround) -> None:
    with opened(ground) as record:
        begin(record)
    ground.path.unlink()
    with pytest.raises(ToolError, match="taken away"):
        opened(ground)
    assert not ground.path.exists()


def test_a_record_taken_away_while_it_is_open_is_not_written_into_the_void(
    ground: SqliteGround,
) -> None:
    with opened(ground) as record:
        begin(record)
        ground.path.rename(ground.path.with_name("away.db"))
        with pytest.raises(ToolError, match="moved or deleted"):
            record.append(stage="flash", outcome="begun")


def test_an_empty_record_may_be_made_again(ground: SqliteGround) -> None:
    for _ in range(2):
        opened(ground).close()
        ground.path.unlink()


def test_a_record_replaced_by_another_is_noticed(ground: SqliteGround, whole: bytes) -> None:
    with opened(ground) as record:
        begin(record)
    ground.path.write_bytes(whole)
    with pytest.raises(ToolError, match="replaced"):
        opened(ground)
    with Reader.read(ground.path, notes=ground.notes) as reader:
        assert reader.verify().good
        assert not reader.verify_with_notes().good
        assert "another record" in reader.verify((0, "0" * 64)).wrong


@pytest.mark.parametrize("text", ["", "{", "[]", '{"number": "1"}', "\xff"])
def test_a_note_that_cannot_be_read_is_told(ground: SqliteGround, text: str) -> None:
    opened(ground).close()
    (note,) = ground.notes.iterdir()
    note.write_text(text, "latin-1")
    with pytest.raises(ToolError, match=r"delete that file, then run: firstlight record verify"):
        opened(ground)


def test_a_folder_for_notes_that_cannot_be_written_is_told_at_once(ground: SqliteGround) -> None:
    ground.notes.write_text("")
    with pytest.raises(ToolError, match="head cannot be written"):
        opened(ground)


def test_a_note_that_fails_later_does_not_undo_the_entry(ground: SqliteGround) -> None:
    with opened(ground) as record:
        for path in ground.notes.iterdir():
            path.unlink()
        ground.notes.rmdir()
        ground.notes.write_text("")
        begin(record)
        assert record.verify().entries == 3


def test_what_is_no_record_is_left_as_it_is(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("CREATE TABLE firstlight_record (one)")
    noise = tmp_path / "noise.db"
    noise.write_bytes(bytes(range(256)) * 20)
    for path, said in ((other, "another program's"), (noise, "no record")):
        before = path.read_bytes()
        with pytest.raises(ToolError, match=said):
            Record.open(path, "station-1", notes=tmp_path)
        with pytest.raises(ToolError, match=said):
            Reader.read(path)
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (".", "not a file"),
        ("none/line.db", "No such file"),
        ("/proc/line.db", "cannot be made"),
        ("\0", "path is none"),
    ],
)
def test_where_no_file_can_be_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        Record.open(place, "station-1", notes=tmp_path)


def test_an_archive_is_read_where_nothing_can_be_written(
    ground: SqliteGround, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.path.write_bytes(whole)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with Reader.read(ground.path, notes=ground.notes) as reader:
        assert reader.verify().entries == 3


def test_who_opened_it_to_read_does_not_write(ground: SqliteGround, whole: bytes) -> None:
    ground.path.write_bytes(whole)
    with Record.read(ground.path) as record, pytest.raises(UsageError, match="to be read"):
        record.append(stage="flash", outcome="begun")


def test_an_odd_path_is_a_file_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "a %41?mode=ro#ü\udcff.db"
    Record.open(f"sqlite:///{tmp_path}/plain.db", "s", notes=tmp_path / "n").close()
    Record.open(path, "s", notes=tmp_path / "n").close()
    assert path.stat().st_size > 0
