"""What a record is taken out as: entries and units for spreadsheets, enrollments for DPS in bulk.

No I/O: entries come in, text goes out a line at a time. Holds no key, since the record has none.
What is in the columns of a unit comes from facts, the last one written of each name:

    column             fact
    board                board        the board's name, as board.json's folder has it
    image_sha256         image        of the MicroPython that was flashed
    key_fingerprint      device_key   of the unit's primary key (keys.fingerprint)
    group_fingerprint    group_key    of the key that this one was derived from
    certificate_sha256   certificate  of the unit's certificate, its DER
    certificate_serial   serial       the certificate's serial number, in hexadecimal
    certificate_until    good_until   when it expires
    issuer_sha256        issuer       of the certificate of the batch's CA
    authority            authority    the first 16 digits of its root's SHA-256

A unit that was injected anew has what the last injection gave it: keys, or a certificate.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields

from ..errors import UsageError
from .chain import Entry, canonical
from .rules import CLAIM, UNIT

MODES = ("create", "delete")
_AT_ONCE = 10  # enrollments that the service takes in one call (protocol.md 7)
_INJECT = "inject"
_CREDENTIALS = (
    "device_key", "group_key", "certificate", "serial", "good_until", "issuer", "authority",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Unit:
    """A chip, and how far it came. state: "done", or its last step, as "prove failed".

    done_at: when it was done for the first time, "" if it never was.
    """

    registration_id: str
    chip_id: str
    board: str
    state: str
    begun_at: str
    done_at: str
    last_at: str
    station: str
    image_sha256: str
    key_fingerprint: str
    group_fingerprint: str
    certificate_sha256: str
    certificate_serial: str
    certificate_until: str
    issuer_sha256: str
    authority: str

    @property
    def credential(self) -> str:
        """What it proves itself with, for a list: a key's fingerprint, a certificate's serial."""
        if self.certificate_serial:
            return f"certificate {self.certificate_serial}"
        return f"key {self.key_fingerprint}" if self.key_fingerprint else ""


def unit(history: list[Entry]) -> Unit:
    """Return what the entries of one chip say, oldest first; there must be one."""
    facts: dict[str, str] = {}
    for entry in history:
        if entry.stage == CLAIM:  # its serial number is the unit's, not a certificate's
            continue
        if entry.stage == _INJECT and entry.facts.keys() & set(_CREDENTIALS):
            facts = {name: facts[name] for name in facts if name not in _CREDENTIALS}
        facts |= entry.facts
    last = history[-1]
    done = [entry.at for entry in history if (entry.stage, entry.outcome) == (UNIT, "done")]
    names = [entry.registration_id for entry in history if entry.registration_id]
    return Unit(
        registration_id=names[-1] if names else "",
        chip_id=last.chip_id,
        board=facts.get("board", ""),
        state="done" if done and last.outcome in ("done", "skipped") else _state(last),
        begun_at=history[0].at,
        done_at=done[0] if done else "",
        last_at=last.at,
        station=last.station,
        image_sha256=facts.get("image", ""),
        key_fingerprint=facts.get("device_key", ""),
        group_fingerprint=facts.get("group_key", ""),
        certificate_sha256=facts.get("certificate", ""),
        certificate_serial=facts.get("serial", ""),
        certificate_until=facts.get("good_until", ""),
        issuer_sha256=facts.get("issuer", ""),
        authority=facts.get("authority", ""),
    )


def entries_csv(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the lines of a CSV file with every entry; its facts are JSON in one cell."""
    names = [field.name for field in fields(Entry)]
    rows = (asdict(entry) | {"facts": canonical(entry.facts).decode()} for entry in entries)
    return _csv(names, rows)


def units_csv(units: Iterable[Unit]) -> Iterator[str]:
    """Yield the lines of a CSV file with every unit."""
    return _csv([field.name for field in fields(Unit)], map(asdict, units))


def dps_bulk(units: Iterable[Unit], mode: str = "create", disabled: bool = False) -> Iterator[str]:
    """Yield bodies for the service's POST /enrollments, JSON on a line, ten units in each.

    Units without a registration id are left out. No body has keys: for an enrollment that is
    made, the service makes them. Raise UsageError for a unit that has a certificate, which the
    record has not: an enrollment of its own would need it whole.
    """
    waiting: list[dict[str, object]] = []
    for each in units:
        if each.certificate_sha256:
            raise UsageError(f"{each.registration_id} has a certificate, not a key of DPS's")
        if each.registration_id:
            waiting.append(_enrollment(each, mode, disabled))
        if len(waiting) == _AT_ONCE:
            yield _bulk(mode, waiting)
            waiting = []
    if waiting:
        yield _bulk(mode, waiting)


def _state(last: Entry) -> str:
    return "claimed" if last.stage == CLAIM else f"{last.stage} {last.outcome}"


def _enrollment(unit: Unit, mode: str, disabled: bool) -> dict[str, object]:
    named: dict[str, object] = {
        "registrationId": unit.registration_id,
        "attestation": {"type": "symmetricKey"},
    }
    status = "disabled" if disabled else "enabled"
    return named | ({"provisioningStatus": status} if mode == "create" else {})


def _bulk(mode: str, enrollments: list[dict[str, object]]) -> str:
    return json.dumps({"mode": mode, "enrollments": enrollments}) + "\n"


def _csv(names: list[str], rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    yield _line(names)
    for row in rows:
        yield _line([_cell(str(row[name])) for name in names])


def _cell(text: str) -> str:
    """A cell that a spreadsheet takes for text, not for a formula that it would run."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(cells: list[str]) -> str:
    sheet = io.StringIO()
    csv.writer(sheet, lineterminator="\n").writerow(cells)
    return sheet.getvalue()
