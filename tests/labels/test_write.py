"""Labels as files, and `firstlight label` as its user sees it."""

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firstlight import boards
from firstlight.cli.label import label
from firstlight.errors import ToolError, UsageError
from firstlight.labels import FORMS, Label, check, write
from firstlight.labels.template import DEFAULT, parse
from firstlight.record.record import Record
from tests.labels.reading import VERA, codes_in_png, codes_on, pages

UNITS = [Label("esp32-a1", "Pump 7"), Label("rp2:b2.c", "Pump 7")]


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(label, [str(word) for word in words])


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
def test_every_form_is_a_file_that_anybody_may_read(tmp_path: Path) -> None:
    made = write(UNITS, tmp_path / "labels", FORMS)
    each = ["qr.png", "datamatrix.png", "pdf", "zpl"]
    expected = [f"{name}.{form}" for form in each for name in ("esp32-a1", "rp2%3Ab2.c")]
    assert [path.name for path in made] == [*expected, "roll.pdf", "sheet.pdf"]
    assert {path.name for path in (tmp_path / "labels").iterdir()} == {path.name for path in made}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o644}


def test_a_file_that_is_right_is_left_and_another_is_replaced(tmp_path: Path) -> None:
    [path] = write(UNITS[:1], tmp_path, ["qr.png"])
    before = path.stat()
    assert write(UNITS[:1], tmp_path, ["qr.png"]) == [path]
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    right = path.read_bytes()
    path.write_bytes(right[:-1] + b"?")
    write(UNITS[:1], tmp_path, ["qr.png"])
    assert path.read_bytes() == right


def test_a_station_makes_labels_side_by_side(tmp_path: Path) -> None:
    template = parse(DEFAULT.replace("# font", f'font = "{VERA}" #'))
    forms = ("pdf", "zpl", "qr.png")
    units = [Label(f"esp32-{number:012x}", "Pump 7") for number in range(24)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda unit: write([unit], tmp_path / "many", forms, template), units))
    made = write(units, tmp_path / "one by one", forms, template)
    assert [path.read_bytes() for path in made] == [
        (tmp_path / "many" / path.name).read_bytes() for path in made
    ]


def test_a_template_is_tried_before_a_line_starts() -> None:
    check(FORMS, None, ["ESP32 / WROOM", "Pico W"])
    with pytest.raises(UsageError, match=r"names \{site\}"):
        check(["zpl"], parse(DEFAULT.replace("{made}", "{site}")), ["Pico W"])
    with pytest.raises(UsageError, match="Helvetica has no"):
        check(["pdf"], None, ["Pico W", "ポンプ"])


@pytest.mark.parametrize("wrong", ["form", "text", "twice", "none"])
def test_nothing_is_written_if_anything_is_wrong(tmp_path: Path, wrong: str) -> None:
    units = {"text": [*UNITS, Label("c3", "\0")], "twice": [*UNITS, UNITS[0]], "none": []}
    forms = ["zpl", "svg" if wrong == "form" else "pdf"]
    with pytest.raises(UsageError):
        write(units.get(wrong, UNITS), tmp_path / "labels", forms)
    assert not (tmp_path / "labels").exists()


def test_a_place_that_takes_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("a file")
    with pytest.raises(ToolError, match=r"labels/esp32-a1\.zpl cannot be written: File exists"):
        write(UNITS[:1], tmp_path / "labels", ["zpl"])
    (tmp_path / "esp32-a1.zpl").mkdir()
    with pytest.raises(ToolError, match="cannot be written: Is a directory"):
        write(UNITS[:1], tmp_path, ["zpl"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["esp32-a1.zpl", "labels"]


def test_the_command_makes_labels_of_ids(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        DEFAULT.replace('"{registration_id}"', '"{site}/{registration_id}"', 1).replace(
            '"datamatrix"', '"qr"'
        )
    )
    words: list[str | Path] = ["--form", "pdf", "--form", "qr.png", "--out", tmp_path]
    words += ["--template", own]
    done = call("make", "esp32-a1", *words, "--field", "site=Ulm", "--product", "Pump 7")
    assert done.exit_code == 0, done.output
    drawn, picture = (Path(line) for line in done.stdout.splitlines())
    assert codes_in_png(picture.read_bytes(), "qr") == ["Ulm/esp32-a1"]
    assert codes_on(pages(drawn.read_bytes())[0], "qr") == ["Ulm/esp32-a1"]


def test_zpl_goes_to_a_printer_through_standard_output(tmp_path: Path) -> None:
    done = call("make", "esp32-a1", "esp32-a2", "--form", "zpl", "--out", "-")
    assert done.stdout.count("^XA") == done.stdout.count("^XZ") == 2
    [one, two] = write([Label("esp32-a1"), Label("esp32-a2")], tmp_path, ["zpl"])
    assert done.stdout == one.read_text() + two.read_text()


def test_the_labels_of_finished_units_come_from_the_record(tmp_path: Path) -> None:
    place = tmp_path / "line.db"
    with Record.open(place, "bench", lambda: 1_800_000_000.0, notes=tmp_path / "notes") as record:
        for chip, stage in (("a1", "unit"), ("a2", "boot"), ("a3", "unit")):
            name = record.claim(chip, f"esp32-{chip}")
            said = {"stage": stage, "outcome": "done", "chip_id": chip, "registration_id": name}
            record.append(facts={"board": "ESP32_GENERIC"}, **said)
    words: list[str | Path] = ["make", "--from-record", place, "--form", "zpl", "--out", "-"]
    done = call(*words)
    assert done.exit_code == 0, done.exception
    assert ("esp32-a1" in done.stdout, "esp32-a3" in done.stdout) == (True, True)
    assert "esp32-a2" not in done.stdout
    product = boards.load("ESP32_GENERIC").product.replace("/", "_2F")
    assert done.stdout.count(f"^FD{product}^FS") == 2
    assert done.stdout.count("^FD2027-01-15^FS") == 2
    assert "esp32-a1" not in call(*words, "esp32-a3").stdout
    assert "no finished unit esp32-a2" in str(call(*words, "esp32-a2").exception)
    nowhere = call("make", "--from-record", tmp_path / "none.db", *words[3:])
    assert isinstance(nowhere.exception, ToolError)
    assert not (tmp_path / "none.db").exists()


def test_the_template_that_is_printed_is_the_one_that_is_used(tmp_path: Path) -> None:
    own = tmp_path / "label.toml"
    own.write_text(call("template").stdout)
    words = ["make", "esp32-a1", "--form", "zpl", "--out", "-"]
    assert call(*words, "--template", own).stdout == call(*words).stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "name the units"),
        (["a1", "--field", "x"], "--field must be NAME=VALUE"),
        (["a1", "--form", "pdf"], "takes one --form"),
        (["A1"], "did you mean a1"),
    ],
)
def test_a_wrong_call_gets_one_sentence(words: list[str], problem: str) -> None:
    done = call("make", *words, "--form", "zpl", "--out", "-")
    assert isinstance(done.exception, UsageError)
    assert problem in str(done.exception)
    assert done.stdout == ""
