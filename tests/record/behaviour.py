"""What a record does, on every database alike: a class of tests that each database's tests take.

Who takes it gives the fixture `ground`: a new database.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from firstlight.errors import ToolError, UsageError
from firstlight.record import chain, database, reader
from firstlight.record.database import Database, Lost
from firstlight.record.reader import Reader
from firstlight.record.record import WAITS_S, DoneAlready, Record
from tests.record.grounds import CHIP, OTHER, Ground, begin, opened
from tests.record.stations import go, rest, start

CHANGES = (
    "UPDATE firstlight_entries SET outcome = 'done'",
    "UPDATE firstlight_claims SET chip_id = 'ff'",
    "UPDATE firstlight_record SET id = ''",
    "DELETE FROM firstlight_entries WHERE number = 3",
    "DELETE FROM firstlight_claims",
    "DELETE FROM firstlight_record",
)


class Behaviour:
    @pytest.fixture
    def record(self, ground: Ground) -> Iterator[Record]:
        with opened(ground) as found:
            yield found

    def test_what_was_appended_is_there_for_the_next_to_open(
        self, ground: Ground, record: Record
    ) -> None:
        name = begin(record)
        said = record.append(
            stage="prove",
            outcome="failed",
            seat="Süd 1",
            chip_id=CHIP,
            registration_id=name,
            facts={"error": "no answer — 5 s", "board": "RPI_PICO_W"},
        )
        with opened(ground, "station-2") as other:
            found = other.history(CHIP)
            assert found == list(other.entries())
            assert other.history_of(name) == [found[0], *found[2:]]
        assert found[-1] == said
        assert (said.number, said.at, said.station) == (4, "2027-01-15T08:00:00.250Z", "station-1")
        assert [entry.stage for entry in found] == ["claim", "flash", "flash", "prove"]
        assert found[0].facts == {"serial": "1"}

    def test_a_chain_is_right_and_its_head_is_the_last_entry(self, record: Record) -> None:
        empty = record.head()
        begin(record)
        head = record.head()
        begin(record, OTHER)
        assert empty[0] == 0
        assert record.verify(empty).good
        assert record.verify(head).good
        assert record.verify() == record.verify(record.head())
        assert record.verify().entries == 6

    def test_units_are_read_a_page_at_a_time(
        self, record: Record, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader, "PAGE", 2)
        names = [begin(record, chip) for chip in (CHIP, OTHER)]
        record.append(stage="flash", outcome="failed", chip_id=CHIP, registration_id=names[0])
        record.append(stage="flash", outcome="failed")  # of no chip that was read
        assert list(record.units()) == [record.history(chip) for chip in (OTHER, CHIP)]
        assert [entry.number for entry in record.entries()] == [*range(1, 9)]

    def test_a_unit_is_done_once(self, record: Record) -> None:
        name = begin(record)
        record.append(stage="unit", outcome="done", chip_id=CHIP, registration_id=name)
        with pytest.raises(DoneAlready, match=r"entry 4"):
            record.append(stage="unit", outcome="done", chip_id=CHIP, registration_id=name)
        record.append(stage="prove", outcome="done", chip_id=CHIP, registration_id=name)
        assert record.head()[0] == 5

    def test_a_chip_keeps_its_id(self, record: Record) -> None:
        assert record.claimed(CHIP) is None
        name = record.claim(CHIP, "esp32-a1b2c3", None)
        assert record.claim(CHIP, None, None) == record.claim(CHIP, name) == name
        assert record.claim(CHIP, None, "lamp-{}".format) == record.claimed(CHIP) == name
        with pytest.raises(UsageError, match="for ever"):
            record.claim(CHIP, "esp32-other")
        assert record.head()[0] == 1

    def test_an_id_is_given_to_one_chip(self, record: Record) -> None:
        record.claim(CHIP, "lamp-000001")
        with pytest.raises(UsageError, match=CHIP):
            record.claim(OTHER, "lamp-000001")
        assert record.claim(OTHER, None, "lamp-{:06}".format) == "lamp-000002"
        assert record.claim("03", None, "lamp-{:06}".format) == "lamp-000003"

    def test_a_pattern_without_a_number_is_tried_within_bounds(self, record: Record) -> None:
        record.claim(CHIP, "lamp")
        with pytest.raises(UsageError, match="other chips"):
            record.claim(OTHER, None, lambda serial: "lamp")
        with pytest.raises(UsageError, match="needs one"):
            record.claim(OTHER, None)

    def test_an_id_is_recorded_for_its_own_chip_only(self, record: Record) -> None:
        name = begin(record)
        with pytest.raises(UsageError, match="nobody"):
            record.append(stage="prove", outcome="done", registration_id="lamp-000009")
        with pytest.raises(UsageError, match=CHIP):
            record.append(stage="prove", outcome="done", chip_id=OTHER, registration_id=name)
        with pytest.raises(UsageError, match="claim"):
            record.append(stage="claim", outcome="done", chip_id=OTHER)
        assert record.head()[0] == 3

    def test_the_database_itself_refuses_every_change(
        self, ground: Ground, record: Record
    ) -> None:
        begin(record)
        for statement in CHANGES:
            with pytest.raises(Exception, match="append-only"):
                ground.sql(statement)
        assert record.verify(record.head()).good

    @pytest.mark.parametrize(
        ("number", "wrong", "statement"),
        [
            (2, "changed", "UPDATE firstlight_entries SET outcome = 'done' WHERE number = 2"),
            (2, "missing", "DELETE FROM firstlight_entries WHERE number = 2"),
            (2, "missing", "UPDATE firstlight_entries SET number = 9 WHERE number = 2"),
            (1, "claims an id", "DELETE FROM firstlight_claims"),
            (1, "claims an id", "UPDATE firstlight_claims SET serial = 7"),
            (1, "claims an id", "UPDATE firstlight_claims SET chip_id = 'ff'"),
            (
                2,
                "claims no such id",
                "INSERT INTO firstlight_claims VALUES ('lamp-9', 'ff', NULL, 2)",
            ),
            (1, "does not follow", "UPDATE firstlight_record SET id = 'of another'"),
        ],
    )
    def test_the_first_wrong_entry_is_told(
        self, ground: Ground, record: Record, number: int, wrong: str, statement: str
    ) -> None:
        begin(record)
        ground.forge(statement)
        with Reader.read(ground.url, notes=ground.notes) as found:
            verdict = found.verify()
        assert not verdict.good
        assert verdict.number == number
        assert wrong in verdict.wrong

    def test_what_constraints_kept_away_is_found_without_them(
        self, ground: Ground, record: Record
    ) -> None:
        begin(record)
        ground.lift("firstlight_claims_pkey", "firstlight_claims_chip_id_key",
                    "firstlight_claims_serial_key", "firstlight_claims_entry_key")  # fmt: skip
        ground.forge("INSERT INTO firstlight_claims SELECT * FROM firstlight_claims")
        assert "claimed before" in record.verify().wrong

    def test_a_cut_end_shows_by_a_noted_head(self, ground: Ground, record: Record) -> None:
        begin(record)
        head = record.head()
        ground.forge("DELETE FROM firstlight_entries WHERE number = 3")
        assert record.verify().good
        assert record.verify(head).number == 3
        assert "cut off" in record.verify(head).wrong

    def test_a_chain_written_anew_shows_by_a_noted_head(
        self, ground: Ground, record: Record
    ) -> None:
        begin(record)
        noted = record.head()
        old = list(record.entries())[-1]
        ground.forge("DELETE FROM firstlight_entries WHERE number = 3")
        said = {name: value for name, value in vars(old).items() if name != "digest"}
        forged = chain.digest(said | {"facts": {}, "outcome": "failed"})
        ground.forge(
            "INSERT INTO firstlight_entries (number, at, station, seat, chip_id, registration_id,"
            " stage, outcome, facts, previous, digest, once) VALUES"
            f" (3, '{old.at}', 'station-1', '', '{CHIP}', 'lamp-000001',"
            f" 'flash', 'failed', '{{}}', '{old.previous}', '{forged}', '{old.once}')"
        )
        assert record.verify().good
        assert record.verify(noted).number == 3
        assert record.verify(noted).entries == 2
        assert "written anew" in record.verify(noted).wrong

    def test_a_station_notices_that_what_it_wrote_is_gone(
        self, ground: Ground, record: Record
    ) -> None:
        begin(record)
        ground.forge("DELETE FROM firstlight_entries WHERE number = 3")
        with pytest.raises(ToolError, match=r"put back.* delete .*json"):
            record.append(stage="flash", outcome="begun")
        with pytest.raises(ToolError, match="entry 3, which this station wrote"):
            opened(ground)
        with Reader.read(ground.url, notes=ground.notes) as found:
            assert found.verify_with_notes().number == 3
        opened(ground, "station-2").close()

    def test_a_newer_record_is_left_alone(self, ground: Ground, record: Record) -> None:
        ground.forge("UPDATE firstlight_record SET version = 2")
        with pytest.raises(UsageError, match="newer firstlight"):
            opened(ground)

    def test_what_is_not_there_is_not_read(self, ground: Ground) -> None:
        with pytest.raises(UsageError, match="there is no record"):
            Reader.read(ground.url)

    def test_threads_do_not_fork_the_chain(self, record: Record) -> None:
        def work(seat: int) -> None:
            for _ in range(6):
                record.append(stage="flash", outcome="begun", seat=str(seat))

        threads = [threading.Thread(target=work, args=(seat,)) for seat in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        verdict = record.verify()
        assert (verdict.good, verdict.entries) == (True, 36)

    def test_two_stations_never_issue_one_registration_id_twice(self, ground: Ground) -> None:
        chips = [[f"{station}{chip:03}" for chip in range(15)] for station in (1, 2)]
        calls = [
            ("claim", ground.url, f"at-{own[0]}", ground.notes, "lamp-7", own[0], "ff", *own)
            for own in chips
        ]
        stations = start(*calls)
        go(stations)
        told = [rest(station) for station in stations]
        assert sorted([told[0][0], told[1][0]]) == ["!", "lamp-7"]  # both wanted it
        assert told[0][1] == told[1][1]  # both had this chip
        assert len({*told[0], *told[1]} - {"!"}) == 31
        with opened(ground) as record:
            assert record.verify().good
            assert record.head()[0] == 31

    def test_an_entry_whose_answer_was_lost_is_written_once(
        self, record: Record, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[float] = []
        monkeypatch.setattr(record, "_wait", waits.append)
        monkeypatch.setattr(record, "_database", _Forgetful(record._database, failures=2))
        name = record.claim(CHIP, None, "lamp-{}".format)
        entry = record.append(stage="flash", outcome="done", chip_id=CHIP, registration_id=name)
        assert waits == list(WAITS_S[:2])
        assert (name, entry.number, record.head()) == ("lamp-1", 2, (2, entry.digest))

    def test_a_database_that_stays_away_is_told_within_bounds(
        self, record: Record, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[float] = []
        monkeypatch.setattr(record, "_wait", waits.append)
        monkeypatch.setattr(record, "_database", _Forgetful(record._database, failures=99))
        with pytest.raises(Lost):
            record.append(stage="flash", outcome="begun")
        assert waits == list(WAITS_S)

    def test_a_station_that_waits_too_long_for_another_says_so(
        self, record: Record, ground: Ground, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database, "PATIENCE_S", 0.1)
        with opened(ground, "station-2") as other:
            with record._database.writing(), pytest.raises(ToolError, match="held by another"):
                other.append(stage="flash", outcome="begun")
            assert other.append(stage="flash", outcome="begun").number == 1

    def test_an_error_in_a_step_leaves_nothing_behind(self, record: Record) -> None:
        def burst(serial: int) -> str:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            record.claim(CHIP, None, burst)
        assert (record.head()[0], record.claimed(CHIP)) == (0, None)


class _Forgetful:
    """A database that does what it is told, and loses the answer."""

    def __init__(self, real: Database, failures: int) -> None:
        self._real = real
        self._failures = failures
        self.shown = real.shown

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with self._real.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        with self._real.writing() as connection:
            yield connection
        if self._failures:
            self._failures -= 1
            raise Lost("the answer was lost")

    def close(self) -> None:
        self._real.close()
