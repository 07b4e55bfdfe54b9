"""Whole batches of devices enrolled, ten a call: against the local Azure's own service API."""

import csv
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from firstlight import azure, batch, keys
from firstlight.azurecalls import Json, NotNow
from firstlight.custody import write_private
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from firstlight.errors import ServiceError, ToolError, UsageError
from firstlight.record.record import Record
from tests.host.enrolling import Call, call, kept, local, registers, service, told

__all__ = ("call", "local", "service")  # fixtures


def ids_file(folder: Path, names: Sequence[str]) -> Path:
    path = folder / "ids.txt"
    path.write_text("# a batch\n" + "".join(f"{name}\n" for name in names))
    return path


def rows(path: Path) -> dict[str, tuple[str, str]]:
    with path.open() as file:
        return {row[0]: (row[1], row[2]) for row in list(csv.reader(file))[1:]}


class Service:
    """A service that has `there`, refuses `bad`, and first says "not now" as told."""

    def __init__(self, *nots: NotNow, there: Sequence[str] = (), bad: Sequence[str] = ()) -> None:
        self.nots, self.there, self.bad = list(nots), list(there), bad
        self.calls: list[list[str]] = []

    def bulk(self, mode: str, documents: Sequence[Json]) -> dict[str, tuple[int, str]]:
        assert mode == "create"
        if self.nots:
            raise self.nots.pop(0)
        names = [one["registrationId"] for one in documents]
        self.calls.append(names)
        known = {name: (409000, "exists") for name in names if name in self.there}
        refused = known | {name: (400004, "Invalid") for name in names if name in self.bad}
        self.there += [name for name in names if name not in refused]
        return refused

    def key_pair(self, kind: str, name: str) -> tuple[str, str]:
        if name in self.bad:
            raise azure.NoKeys(f"{name} is not enrolled with symmetric keys")
        return f"{name}-1", f"{name}-2"


def nothing(*_: object) -> None:
    pass


def documents(count: int) -> list[Json]:
    return [azure.individual(f"unit-{n:02}", "", {}) for n in range(count)]


def test_a_batch_goes_ten_at_a_time_and_every_device_is_told_of() -> None:
    service = Service(there=["unit-03"], bad=["unit-12"])
    steps: list[int] = []
    outcome = batch.enroll(service, documents(23), lambda o, _: steps.append(o.count), nothing)
    assert [len(call) for call in service.calls] == [10, 10, 3]
    assert steps == [10, 20, 23]
    assert (outcome.already, outcome.refused) == (
        ["unit-03"],
        {"unit-12": "Invalid (code 400004)"},
    )
    assert len(outcome.enrolled) == 21
    with pytest.raises(ServiceError, match="1 of 23 devices were refused"):
        batch.check(outcome)


def test_a_service_that_asks_to_wait_is_given_that_time() -> None:
    waits: list[float] = []
    nots = [NotNow("429", 429, 7), NotNow("no answer"), NotNow("503", 503, 0)]
    batch.enroll(Service(*nots), documents(1), nothing, nothing, waits.append)
    assert waits == [7, 4, 1]
    waits.clear()
    silent = Service(*[NotNow("no answer")] * 6)
    with pytest.raises(NotNow):
        batch.enroll(silent, documents(1), nothing, nothing, waits.append)
    assert waits == [2, 4, 8, 16, 32]


def test_a_batch_that_was_interrupted_completes_when_it_is_repeated() -> None:
    service = Service()

    def interrupt(outcome: batch.Outcome, _: Sequence[str]) -> None:
        if outcome.count == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.enroll(service, documents(25), interrupt, nothing)
    outcome = batch.enroll(service, documents(25), nothing, nothing)
    assert (len(outcome.already), len(outcome.enrolled)) == (20, 5)


def test_a_half_written_line_of_keys_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    batch.KeysFile(path).add(Service(), ["a", "b"], nothing)
    path.write_bytes(path.read_bytes()[:-3])
    batch.KeysFile(path).add(Service(), ["a", "b", "c"], nothing)
    assert rows(path) == {name: (f"{name}-1", f"{name}-2") for name in "abc"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_keys_that_was_cut_as_it_was_made_is_made_whole(tmp_path: Path) -> None:
    for size in (0, 12, 42):
        path = tmp_path / f"{size}.csv"
        write_private(path, "registration_id,primary_key,secondary_key\n"[:size])
        batch.KeysFile(path).add(Service(), ["a"], nothing)
        assert rows(path) == {"a": ("a-1", "a-2")}


def test_a_device_without_keys_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    kept, outcome = batch.KeysFile(tmp_path / "keys.csv"), batch.Outcome(["a"], ["x", "b"])
    outcome.without(kept.add(Service(bad=["x"]), ["a", "x", "b"], nothing))
    assert (outcome.enrolled, outcome.already) == (["a"], ["b"])
    assert outcome.refused == {"x": "x is not enrolled with symmetric keys"}
    assert list(rows(tmp_path / "keys.csv")) == ["a", "b"]


def test_another_file_is_not_taken_for_keys(tmp_path: Path) -> None:
    head = "registration_id,primary_key,secondary_key\n"
    for text in ("mine\n", f"{head}a,b\n", f"{head}{'x' * 200_000}\n"):
        path = tmp_path / "keys.csv"
        path.unlink(missing_ok=True)
        write_private(path, text)
        with pytest.raises(UsageError, match="name a new"):
            batch.KeysFile(path)
        assert path.read_text() == text
    path.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        batch.KeysFile(path)


def test_a_batch_at_the_service_gives_its_keys_to_one_file(
    local: RunningAzure, call: Call, tmp_path: Path
) -> None:
    names = [f"bulk-{n}" for n in range(12)]
    ids, out = ids_file(tmp_path, names), tmp_path / "keys.csv"
    assert "would enroll 12, already there 0" in told(call("batch", ids, "--dry-run"))
    assert "enrolled 12, already there 0" in told(call("batch", ids, "--keys-out", out))
    found = rows(out)
    assert list(found) == names
    assert registers(local, "bulk-7", found["bulk-7"][0]) == "assigned"
    assert registers(local, "bulk-7", found["bulk-8"][0]) == "401"
    out.write_text("".join(out.read_text().splitlines(keepends=True)[:5]))
    again = told(call("batch", ids_file(tmp_path, [*names, "late"]), "--keys-out", out))
    assert "enrolled 1, already there 12, refused 0" in again
    assert set(rows(out)) == {*names, "late"}
    assert rows(out)["bulk-11"] == found["bulk-11"]
    assert not any(key in again for pair in found.values() for key in pair)
    assert "bulk-3: enrolled already" in told(call("batch", ids, "--dry-run"))


def test_an_interrupted_command_says_how_to_go_on(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk = azure.Service.bulk
    ids = ids_file(tmp_path, [f"cut-{n}" for n in range(15)])

    def interrupted(at: azure.Service, mode: str, part: Sequence[Json]) -> object:
        if len(part) < 10:
            raise KeyboardInterrupt
        return bulk(at, mode, part)

    monkeypatch.setattr(azure.Service, "bulk", interrupted)
    said = call("batch", ids).output
    assert "enrolled 10, already there 0, refused 0" in said
    assert "5 are still to do: repeat the same command" in said
    monkeypatch.undo()
    said = told(call("batch", ids))
    assert "cut-0: enrolled already, left as it is" in said
    assert "enrolled 5, already there 10, refused 0" in said


def test_a_batch_of_a_group_key_fits_boards_of_the_line(
    local: RunningAzure, call: Call, tmp_path: Path
) -> None:
    group = keys.derive(b64encode(b"a key from which to make one").decode(), "any")
    source = kept(tmp_path / "group.key", group)
    ids = ids_file(tmp_path, ["own-1", "own-2"])
    said = told(call("batch", ids, "--group-key", source, "--disabled"))
    assert group not in said
    assert registers(local, "own-1", keys.derive(group, "own-1")) == "disabled"
    assert "own-1 is enabled" in told(call("enable", "device", "own-1"))
    assert "own-1 is enabled already" in told(call("enable", "device", "own-1"))
    assert registers(local, "own-1", keys.derive(group, "own-1")) == "assigned"
    assert registers(local, "own-2", keys.derive(group, "own-1")) == "401"
    refused = call("batch", ids, "--group-key", source, "--keys-out", tmp_path / "x")
    assert isinstance(refused.exception, UsageError)


def test_the_units_that_a_line_has_proven_are_a_batch(
    local: RunningAzure, call: Call, tmp_path: Path
) -> None:
    with Record.open(tmp_path / "line.db", "station-1", notes=tmp_path / "notes") as record:
        for chip, outcome in (("a1b2c3d4e5f6", "done"), ("a1b2c3d4e5f7", "failed")):
            name = record.claim(chip, f"esp32-{chip}")
            record.append(stage="prove", outcome=outcome, chip_id=chip, registration_id=name)
    said = told(call("batch", "--from-record", tmp_path / "line.db", "--dry-run"))
    assert "esp32-a1b2c3d4e5f6: would be enrolled" in said
    assert "f7" not in said


def test_units_that_have_certificates_are_not_enrolled_by_keys(call: Call, tmp_path: Path) -> None:
    chip, place = "a1b2c3d4e5f6", tmp_path / "line.db"
    with Record.open(place, "station-1", notes=tmp_path / "notes") as record:
        name = record.claim(chip, f"esp32-{chip}")
        for stage, facts in (("inject", {"certificate": "ab" * 32}), ("prove", {})):
            record.append(
                stage=stage, outcome="done", chip_id=chip, registration_id=name, facts=facts
            )
    refused = call("batch", "--from-record", place)
    assert "have certificates, esp32-a1b2c3d4e5f6 first" in str(refused.exception)
    with Record.open(place, "station-1", notes=tmp_path / "notes") as record:
        facts = {"device_key": "0123456789abcdef"}
        record.append(
            stage="inject", outcome="done", chip_id=chip, registration_id=name, facts=facts
        )
    assert "would be enrolled" in told(call("batch", "--from-record", place, "--dry-run"))


def test_devices_that_the_service_refuses_are_named_one_by_one(call: Call, tmp_path: Path) -> None:
    result = call("batch", ids_file(tmp_path, ["no-1", "no-2"]), "--hub", "no hub")
    assert isinstance(result.exception, ServiceError)
    assert result.exception.exit_code == 4
    for name in ("no-1", "no-2"):
        assert f"{name}: refused: Invalid iotHubs" in result.output
    assert "enrolled 0, already there 0, refused 2" in result.output


def test_a_throttled_call_says_how_long_to_wait(tmp_path: Path) -> None:
    settings = Settings(
        mqtt_port=0, https_port=0, operations_per_minute=1, folder=tmp_path / "azure"
    )
    with running_azure(settings) as slow:
        service = azure.Service(azure.parse_connection(slow.connection_string), slow.root_pem)
        service.find("enrollments", "a")
        with pytest.raises(NotNow, match="429") as caught:
            service.find("enrollments", "a")
    assert caught.value.wait_s is not None


def test_a_file_of_ids_from_a_spreadsheet_is_read(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_bytes(b"\xef\xbb\xbf# from Excel\r\nsheet-1\r\n\r\nsheet-2 # late\r\n")
    assert "would enroll 2, already there 0" in told(call("batch", path, "--dry-run"))
    path.write_bytes(b"\xef\xbb\xbfsheet-1\nsheet-1\n")
    assert "line 2: sheet-1 is there twice" in str(call("batch", path).exception)
    for raw in (b"", b"\xef\xbb\xbf", b"a\0b\n", b"a\x0bb\n", b"\xff\xfea\0"):
        path.write_bytes(raw)
        assert isinstance(call("batch", path, "--dry-run").exception, UsageError), raw


def test_what_cannot_be_a_batch_is_refused(call: Call, tmp_path: Path) -> None:
    upper = ids_file(tmp_path, ["Unit-1"])
    for words in (
        ["batch"],
        ["batch", upper],
        ["batch", upper, "--from-record", "x"],
        ["list", "units"],
        ["list", "device", "group"],
        ["disable", "group", "g", "--hub-connection", "file:x"],
    ):
        error = call(*words).exception
        assert isinstance(error, ToolError | click.ClickException), words
        assert error.exit_code == 2
