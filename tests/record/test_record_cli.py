"""`firstlight record`: what its user sees."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firstlight.cli.record import record as verb
from firstlight.errors import ToolError, UsageError
from tests.record.grounds import CHIP, OTHER, SqliteGround, begin, opened


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteGround:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = SqliteGround(tmp_path)
    made.notes = tmp_path / "firstlight" / "heads"
    with opened(made) as record:
        name = begin(record)
        record.append(
            stage="unit", outcome="done", chip_id=CHIP, registration_id=name, facts={"board": "X"}
        )
        begin(record, OTHER)
    return made


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(verb, [str(word) for word in words], standalone_mode=False)


def shown(*words: str | Path) -> list[str]:
    done = call(*words, "--record", "line.db")
    assert done.exception is None
    return done.stdout.splitlines()


def refused(kind: type[ToolError], text: str, *words: str | Path) -> None:
    done = call(*words)
    assert type(done.exception) is kind  # its exit_code is the process's
    assert text in str(done.exception)
    assert done.stdout == ""


def test_a_right_record_gives_a_head_to_note(ground: SqliteGround) -> None:
    first, second = shown("verify")
    assert first == "7 entries, all as they were written"
    head = second.rpartition(" ")[2]
    assert shown("verify", "--head", head)[0] == first


def test_a_wrong_record_ends_with_1_and_names_the_entry(ground: SqliteGround) -> None:
    head = shown("verify")[1].rpartition(" ")[2]
    ground.forge("DELETE FROM firstlight_entries WHERE number = 7")
    cut = "is wrong: entry 7 is missing, and all after it"
    refused(ToolError, cut, "verify", "--record", "line.db")
    for note in ground.notes.iterdir():
        note.unlink()
    refused(ToolError, cut, "verify", "--record", "line.db", "--head", head)
    assert shown("verify")[0].startswith("6 entries")
    ground.forge("UPDATE firstlight_entries SET seat = '' WHERE number = 2")
    refused(ToolError, "is wrong: entry 2 was changed", "verify", "--record", "line.db")


@pytest.mark.parametrize(
    "head", ["7", "7:00", "7:" + "g" * 64, "x:" + "0" * 64, "9" * 30 + ":" + "0" * 64]
)
def test_a_head_has_its_form(ground: SqliteGround, head: str) -> None:
    refused(UsageError, "NUMBER:DIGEST", "verify", "--record", "line.db", "--head", head)


def test_units_are_listed(ground: SqliteGround) -> None:
    rows = [line.split() for line in shown("units")[1:]]
    assert [row[:3] for row in rows] == [
        ["lamp-000002", OTHER, "flash"],
        ["lamp-000001", CHIP, "X"],
    ]


@pytest.mark.parametrize("unit", ["lamp-000001", CHIP])
def test_a_units_life_is_shown_by_either_name(ground: SqliteGround, unit: str) -> None:
    lines = shown("show", unit)
    assert lines[0] == f"lamp-000001  chip {CHIP}"
    assert [line.split()[3] for line in lines[1:] if line[5].isdigit()] == [
        "claim", "flash", "flash", "unit",
    ]  # fmt: skip
    refused(UsageError, "nothing of a unit 'lamp-9'", "show", "lamp-9", "--record", "line.db")
    refused(UsageError, "nothing of a unit 'No'", "show", "No", "--record", "line.db")


def test_what_a_forger_wrote_does_not_move_the_cursor(ground: SqliteGround) -> None:
    ground.forge("UPDATE firstlight_entries SET seat = char(27) || '[2J' WHERE number = 2")
    assert "\x1b" not in "".join(shown("show", CHIP))


def test_exports_go_to_the_screen_or_into_a_new_file(ground: SqliteGround) -> None:
    assert len(list(csv.DictReader(shown("export", "--form", "csv")))) == 7
    assert len(list(csv.DictReader(shown("export", "--form", "units")))) == 2
    shown("export", "--form", "dps", "--out", "bulk.jsonl")
    names = [
        item["registrationId"]
        for item in json.loads(Path("bulk.jsonl").read_text())["enrollments"]
    ]
    assert names == ["lamp-000001"]
    assert len(json.loads(shown("export", "--form", "dps", "--all")[0])["enrollments"]) == 2
    words = ("export", "--record", "line.db", "--form", "csv", "--out")
    refused(UsageError, "is there already", *words, "bulk.jsonl")
    refused(UsageError, "cannot be written", *words, "none/x.csv")


def test_units_with_certificates_are_left_out_of_the_bulk_form_and_that_is_told(
    ground: SqliteGround,
) -> None:
    facts = {"certificate": "ab" * 32, "serial": "0c" * 20, "authority": "d" * 16}
    with opened(ground) as record:
        record.append(stage="inject", outcome="done", chip_id=OTHER, facts=facts)
    assert shown("units")[1].endswith(f"  certificate {'0c' * 20}")
    assert f"serial: {'0c' * 20}" in "".join(shown("show", OTHER))
    words = ("export", "--form", "dps", "--all", "--record", "line.db", "--out", "bulk.jsonl")
    for mode in ("create", "delete"):
        refused(ToolError, "1 units have certificates and are left out", *words, "--mode", mode)
        (body,) = map(json.loads, Path("bulk.jsonl").read_text().splitlines())
        assert [each["registrationId"] for each in body["enrollments"]] == ["lamp-000001"]
        Path("bulk.jsonl").unlink()


def test_a_damaged_record_leaves_no_half_export(ground: SqliteGround) -> None:
    ground.forge("UPDATE firstlight_entries SET facts = 'x' WHERE number = 5")
    words = ("export", "--record", "line.db", "--form", "csv", "--out", "x.csv")
    refused(ToolError, "entry 5 was changed", *words)
    assert not Path("x.csv").exists()


def test_asking_makes_no_record(ground: SqliteGround) -> None:
    for words in (("verify",), ("units",), ("show", "lamp-1"), ("export", "--form", "csv")):
        refused(UsageError, "there is no record in firstlight-line.db", *words)
    assert not Path("firstlight-line.db").exists()


def test_what_the_screen_cannot_show_is_printed_all_the_same(ground: SqliteGround) -> None:
    with opened(ground, "Süd ☂") as record:
        record.append(stage="prove", outcome="failed", chip_id=CHIP)
    start = [sys.executable, "-c", "from firstlight.cli import main; main()", "record"]
    said = {
        words[0]: subprocess.run(
            [*start, *words, "--record", "line.db"],
            capture_output=True,
            check=True,
            env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        ).stdout
        for words in (("show", CHIP), ("export", "--form", "csv"))
    }
    assert "Süd \\u2602".encode("latin-1") in said["show"]
    assert said["show"].startswith(f"lamp-000001  chip {CHIP}".encode())
    assert "Süd ☂".encode() in said["export"]  # as in a file


def test_a_password_in_the_url_is_refused(ground: SqliteGround) -> None:
    refused(UsageError, "~/.pgpass", "verify", "--record", "postgresql://line:hunter2@server/line")


def test_the_url_may_be_kept_elsewhere(
    ground: SqliteGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Path("url")
    kept.touch(0o600)
    kept.write_text("line.db\n")
    assert call("verify", "--record", "file:url").exception is None
