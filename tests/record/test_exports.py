"""exports.py: a record for spreadsheets, and for the provisioning service."""

import csv
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from firstlight.errors import UsageError
from firstlight.record import chain, exports
from firstlight.record.chain import Entry
from firstlight.record.record import Record
from tests.emulator.dps.calls import Api
from tests.record.grounds import CHIP, OTHER, SqliteGround, begin, opened


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with opened(SqliteGround(tmp_path)) as found:
        yield found


def units(record: Record) -> list[exports.Unit]:
    return [exports.unit(history) for history in record.units()]


def finish(record: Record, chip: str) -> str:
    name = begin(record, chip)
    record.append(stage="unit", outcome="done", chip_id=chip, registration_id=name)
    return name


def test_whoever_has_the_csv_can_check_the_chain_himself(record: Record) -> None:
    finish(record, CHIP)
    rows = list(csv.DictReader(exports.entries_csv(record.entries())))
    previous = record._genesis[1]
    for row in rows:
        said = {name: value for name, value in row.items() if name != "digest"}
        said |= {"number": int(row["number"]), "facts": json.loads(row["facts"])}
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert sha256(text.encode()).hexdigest() == row["digest"]
        assert row["previous"] == previous
        previous = row["digest"]
    assert (int(rows[-1]["number"]), previous) == record.head()


@pytest.mark.parametrize("text", ["=cmd()|x", "+1", "-1+1", "@sum", '="a",b'])
def test_no_cell_is_a_formula(text: str) -> None:
    entry = chain.sealed((0, ""), _said(station=text))
    header, row = csv.reader(exports.entries_csv([entry]))
    assert dict(zip(header, row, strict=True))["station"] == f"'{text}"


def _said(**other: str) -> dict[str, object]:
    names = ("at", "station", "seat", "chip_id", "registration_id", "stage", "outcome", "once")
    said: dict[str, object] = dict.fromkeys(names, "")
    return said | {"facts": {}} | other


def test_a_unit_says_how_far_it_came(record: Record) -> None:
    name = finish(record, CHIP)
    facts = {"board": "RPI_PICO_W", "image": "ab" * 32, "device_key": "0123456789abcdef"}
    record.append(stage="prove", outcome="done", chip_id=CHIP, registration_id=name, facts=facts)
    record.append(stage="flash", outcome="failed", chip_id=OTHER, seat="1-1")
    failed, done = units(record)
    assert (failed.chip_id, failed.registration_id, failed.state) == (OTHER, "", "flash failed")
    assert (done.registration_id, done.state, done.board) == (name, "done", "RPI_PICO_W")
    assert (done.image_sha256, done.key_fingerprint) == ("ab" * 32, "0123456789abcdef")
    assert done.begun_at == done.done_at == done.last_at != failed.done_at == ""


def test_a_unit_has_what_its_last_injection_gave_it_a_key_or_a_certificate(record: Record) -> None:
    name = finish(record, CHIP)
    keyed = {"group_key": "0" * 16, "device_key": "1" * 16}
    certified = {
        "authority": "2" * 16,
        "issuer": "3" * 64,
        "certificate": "4" * 64,
        "serial": "5" * 40,
        "good_until": "2036-11-19T17:13:19Z",
    }
    wanted: list[tuple[dict[str, str], str]] = [
        (keyed, "key " + "1" * 16),
        (certified, "certificate " + "5" * 40),
        (keyed, "key " + "1" * 16),
    ]
    for facts, credential in wanted:
        for outcome in ("begun", "done"):
            record.append(
                stage="inject", outcome=outcome, chip_id=CHIP, registration_id=name, facts=facts
            )
        (unit,) = units(record)
        assert unit.credential == credential
        given = (unit.authority, unit.issuer_sha256, unit.certificate_sha256)
        assert given == tuple(facts.get(n, "") for n in ("authority", "issuer", "certificate"))
        until = (unit.certificate_serial, unit.certificate_until, unit.key_fingerprint)
        assert until == tuple(facts.get(n, "") for n in ("serial", "good_until", "device_key"))
        assert unit.group_fingerprint == facts.get("group_key", "")
    header, row = csv.reader(exports.units_csv(units(record)))
    assert dict(zip(header, row, strict=True))["group_fingerprint"] == "0" * 16


def test_a_units_own_serial_number_is_not_a_certificates(record: Record) -> None:
    record.claim(CHIP, None, lambda serial: f"lamp-{serial}")
    (unit,) = units(record)
    assert (unit.state, unit.certificate_serial, unit.credential) == ("claimed", "", "")


def test_a_unit_that_fails_after_it_was_done_does_not_look_well(record: Record) -> None:
    name = finish(record, CHIP)
    record.append(stage="prove", outcome="failed", chip_id=CHIP, registration_id=name)
    (unit,) = units(record)
    assert (unit.state, bool(unit.done_at)) == ("prove failed", True)


def test_units_are_read_page_by_page(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstlight.record.reader.PAGE", 2)
    chips = [f"{number:02x}" for number in range(7)]
    for chip in reversed(chips):
        begin(record, chip)
    assert [unit.chip_id for unit in units(record)] == chips
    assert len(list(csv.reader(exports.units_csv(units(record))))) == 8
    assert len(list(record.entries())) == 21


def test_the_service_takes_the_bulk_form_and_has_no_key_from_us() -> None:
    api = Api()
    many = [_unit(f"lamp-{number}") for number in range(23)] + [_unit("")]
    bodies = list(exports.dps_bulk(many, disabled=True))
    for body in bodies:
        answer = api.call("POST", "/enrollments", json.loads(body))
        assert answer.document == {"isSuccessful": True, "errors": []}
    assert [len(json.loads(body)["enrollments"]) for body in bodies] == [10, 10, 3]
    assert api.call("GET", "/enrollments/lamp-22").document["provisioningStatus"] == "disabled"
    assert 'Key":' not in "".join(bodies)
    for body in exports.dps_bulk(many, "delete"):
        assert api.call("POST", "/enrollments", json.loads(body)).document["isSuccessful"]
    assert api.error("GET", "/enrollments/lamp-22") == (404, 404201)


def test_the_bulk_form_has_no_row_for_a_certificate_that_the_record_does_not_have() -> None:
    facts = {"certificate": "4" * 64, "serial": "5" * 40}
    entry: Entry = chain.sealed((0, ""), _said(chip_id="ff") | {"facts": facts})
    with pytest.raises(UsageError, match="has a certificate, not a key of DPS's"):
        list(exports.dps_bulk([_unit("lamp-1"), exports.unit([entry])]))


def _unit(name: str) -> exports.Unit:
    entry: Entry = chain.sealed((0, ""), _said(chip_id="ff", registration_id=name))
    return exports.unit([entry])
