"""A unit on its way: pulled out, mixed up with another, given another key; the record is right."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firstlight import boards
from firstlight.errors import BoardError, ToolError, UsageError
from firstlight.inject import IDENTITY_PATH, checked
from firstlight.line import messages, reach, unit
from firstlight.line.seats import Sighting
from firstlight.line.stages import MADE_WITH, STAGES, remaining
from firstlight.line.station import Labelling, Station
from firstlight.line.unit import Result, Unit
from firstlight.record.record import Record
from firstlight.repl import Implementation, Repl
from firstlight.roots import azure_roots
from firstlight.stage import StagedFile, plan
from firstlight.virtual import VirtualBoard, make
from tests.line import stations

VIRTUAL = boards.load("VIRTUAL")
CHIPS = ("0a0b0c01", "0a0b0c02")
OTHER = stations.group_keys(b64encode(bytes(range(64, 128))).decode())


class Hub:
    """A hub of two seats; a test plugs boards in."""

    def __init__(self) -> None:
        self.ports: dict[str, str] = {}

    def at(self, seat: str) -> Sighting | None:
        port = self.ports.get(seat)
        return Sighting(seat, VIRTUAL, port, None) if port else None


@pytest.fixture(scope="module")
def files() -> list[StagedFile]:
    return plan(True, azure_roots())


@pytest.fixture(scope="module")
def tray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[VirtualBoard]]:
    folder = tmp_path_factory.mktemp("tray")
    one, two = (make(folder / chip, unique_id=bytes.fromhex(chip)) for chip in CHIPS)
    with one, two:
        yield [one, two]


@pytest.fixture
def hub(tray: list[VirtualBoard], monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub with the first board at seat 1-1; a board that is away is soon given up."""
    monkeypatch.setattr(reach, "BACK_S", 0.5)
    found = Hub()
    found.ports["1-1"] = tray[0].port or ""
    return found


@pytest.fixture
def station(tmp_path: Path, files: list[StagedFile], hub: Hub) -> Iterator[Station]:
    """A line that flashes nothing, with a record of its own."""
    with Record.open(tmp_path / "line.db", "bench", notes=tmp_path / "heads") as record:
        yield stations.station(
            record, {}, files, seats=hub, flashing=None, wanted=("inject", "prove", "unit")
        )


def run(station: Station, seat: str = "1-1") -> Result:
    sighting = station.seats.at(seat)
    assert sighting is not None
    return Unit(station, sighting).run()


def told(station: Station, chip: str = CHIPS[0]) -> list[tuple[str, str]]:
    return [(entry.stage, entry.outcome) for entry in station.record.history(chip)]


def left(station: Station, chip: str = CHIPS[0]) -> list[str]:
    return remaining(station.record.history(chip), station.wanted, "")


def holds_identity(board: VirtualBoard) -> bool:
    with Repl(board.port or "") as repl:
        return bool(repl.hashes([IDENTITY_PATH])[IDENTITY_PATH])


def forget_identity(board: VirtualBoard) -> None:
    with Repl(board.port or "") as repl:
        repl.remove(IDENTITY_PATH)


def test_a_unit_that_goes_on_at_another_seat_is_not_recorded_as_failed_at_the_first(
    station: Station, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = replace(station, wanted=("inject", "prove", "boot", "unit"))
    seen: list[Result] = []

    def watch(port: str, _timeout_s: float, _say: Callable[[str], None]) -> None:
        if "1-1" in hub.ports:  # is pulled out, and plugged in at the other seat
            hub.ports = {"1-2": hub.ports["1-1"]}
            seen.append(run(station, "1-2"))
            raise BoardError(f"{port} is gone")

    monkeypatch.setattr(unit, "watch", watch)
    first = run(station)
    assert (first.state, first.advice) == ("failed", messages.GONE)
    assert [result.state for result in seen] == ["passed"]
    assert "failed" not in [outcome for _, outcome in told(station)]
    assert told(station).count(("unit", "done")) == 1
    assert left(station) == []


@pytest.mark.parametrize("stage", ["inject", "prove"])
def test_a_unit_that_is_swapped_for_another_at_its_seat_does_not_lend_it_its_name(
    station: Station,
    hub: Hub,
    tray: list[VirtualBoard],
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    forget_identity(tray[1])
    begin = Unit._begin

    def swapped(self: Unit, now: str) -> None:
        begin(self, now)
        if now == stage:
            hub.ports["1-1"] = tray[1].port or ""

    monkeypatch.setattr(Unit, "_begin", swapped)
    result = run(station)
    assert (result.state, result.advice) == ("failed", messages.AGAIN)
    assert "another board" in result.cause
    assert not holds_identity(tray[1])
    assert told(station)[-1] == (stage, "failed")
    assert left(station)[0] == stage


def test_a_first_boot_of_another_unit_is_not_this_ones(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch(_port: str, _timeout_s: float, say: Callable[[str], None]) -> None:
        say("12 ms  id     no identity (none); give it one: firstlight inject")
        say("12 ms  id     virtual-0a0b0c02")

    monkeypatch.setattr(unit, "watch", watch)
    result = run(replace(station, wanted=("inject", "prove", "boot", "unit")))
    assert "another board" in result.cause
    assert told(station)[-1] == ("boot", "failed")


def test_two_units_of_one_chip_id_are_not_both_made(
    station: Station, hub: Hub, tray: list[VirtualBoard], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.ports["1-2"] = hub.ports["1-1"]
    begin = Unit._begin
    seen: list[Result] = []

    def beside(self: Unit, now: str) -> None:
        begin(self, now)
        if now == "prove" and not seen:
            seen.append(Result("", "", ""))
            seen[:] = [run(station, "1-2")]

    monkeypatch.setattr(Unit, "_begin", beside)
    result = run(station)
    assert [seen[0].state, result.state] == ["passed", "failed"]
    assert "is at work at 1-2 of bench" in result.cause
    assert told(station).count(("unit", "done")) == 1
    assert holds_identity(tray[0])


def test_a_unit_that_lost_its_identity_gets_it_again(
    station: Station, tray: list[VirtualBoard]
) -> None:
    assert run(station).state == "passed"
    assert run(station).state == "skipped"
    forget_identity(tray[0])
    assert run(station).state == "passed"
    assert ("inject", "failed") in told(station)
    assert told(station).count(("unit", "done")) == 1


def test_a_unit_with_a_wrong_key_fails_its_proof_and_is_mended_when_it_comes_again(
    station: Station, tray: list[VirtualBoard]
) -> None:
    assert run(station).state == "passed"
    name = f"virtual-{CHIPS[0]}"
    document = station.document | {"registration_id": name} | OTHER.make(name).section
    with Repl(tray[0].port or "") as repl:
        repl.write_file(IDENTITY_PATH, checked(document))
    again = replace(station, again=True)
    failed = run(again)
    assert (failed.state, failed.advice) == ("failed", messages.ASIDE)
    assert left(station) == ["inject", "prove"]
    assert run(again).state == "passed"
    assert run(again).state == "re-proved"


def test_a_line_with_another_group_key_proves_nothing_and_breaks_nothing(
    station: Station, tray: list[VirtualBoard]
) -> None:
    assert run(station).state == "passed"
    before = told(station)
    result = run(replace(station, again=True, credentials=OTHER))
    assert (result.state, result.advice) == ("failed", messages.CALL)
    assert "give it the right --group-key" in result.cause
    assert told(station) == before


def test_an_unfinished_unit_is_given_the_key_that_the_line_has_now(station: Station) -> None:
    partly = replace(station, wanted=("inject", "prove"))
    assert run(replace(partly, credentials=OTHER)).state == "passed"
    assert run(station).state == "passed"
    assert told(station).count(("inject", "done")) == 2


def test_labels_that_cannot_be_written_are_made_when_the_unit_comes_again(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> list[Path]:
        raise ToolError("labels/x.zpl cannot be written: No space left on device")

    labelled = replace(
        station,
        wanted=(*station.wanted, "label"),
        labelling=Labelling(tmp_path / "labels", ("zpl",)),
    )
    with monkeypatch.context() as patched:
        patched.setattr(unit, "write_labels", full)
        result = run(labelled)
    assert (result.state, result.advice) == ("failed", messages.CALL)
    assert told(station)[-1] == ("label", "failed")
    assert run(labelled).state == "passed"
    assert [path.name for path in (tmp_path / "labels").iterdir()] == [f"{result.name}.zpl"]
    assert run(labelled).state == "skipped"


def test_nothing_is_done_to_a_unit_that_the_record_does_not_take(
    station: Station, tray: list[VirtualBoard], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_identity(tray[0])

    def full(**_: Any) -> None:
        raise ToolError("the record cannot be written: database or disk is full")

    monkeypatch.setattr(station.record, "append", full)
    result = run(station)
    assert "disk is full" in result.cause
    assert result.advice == messages.CALL
    assert not holds_identity(tray[0])


def test_a_line_that_stops_stops_a_unit_between_two_files(station: Station) -> None:
    is_told: list[bool] = []
    sighting = station.seats.at("1-1")
    assert sighting is not None
    one = Unit(station, sighting, lambda: bool(is_told))
    say = one._say

    def stop(text: str) -> None:
        is_told.append(True)
        say(text)

    one._say = stop  # type: ignore[method-assign]
    assert one.run().state == "stopped"
    assert told(station)[-1] == ("inject", "begun")
    assert run(station).state == "passed"


@pytest.mark.parametrize(
    ("machine", "is_right"),
    [
        ("Generic ESP32 module with ESP32", True),
        ("Lolin with ESP32-D0WDQ6", True),  # of no kind that is known
        ("Generic ESP32S3 module with ESP32S3", False),
        ("Generic ESP32C3 module with ESP32-C3", False),
        ("", True),
    ],
)
def test_a_board_with_another_chip_than_its_kinds_is_refused(
    station: Station, machine: str, is_right: bool
) -> None:
    class Board:
        def implementation(self) -> Implementation:
            return Implementation("micropython", (1, 28, 0), 0, machine, "esp32")

    board: Any = Board()
    one = Unit(station, Sighting("1-1", boards.load("ESP32_GENERIC"), "port", None))
    if is_right:
        one._check_kind(board)
    else:
        with pytest.raises(UsageError, match="has an esp32, not an esp32"):
            one._check_kind(board)


@pytest.mark.parametrize("fact", MADE_WITH)
def test_a_group_key_or_ca_that_changed_redoes_what_is_not_finished_alone(fact: str) -> None:
    class Note:
        def __init__(self, stage: str) -> None:
            self.stage, self.outcome = stage, "done"
            self.facts = {fact: "old", "image": ""}

    partly = [Note(stage) for stage in STAGES[:3]]
    assert remaining(partly, STAGES, "", "new") == list(STAGES[1:])
    assert remaining(partly, STAGES, "", "old") == list(STAGES[3:])
    assert remaining([Note(stage) for stage in STAGES], STAGES, "", "new") == []
