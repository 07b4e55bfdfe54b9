"""An entry of the record, and the chain of digests that ties it to all entries before it.

No I/O. An entry's digest is the SHA-256, in hexadecimal, of one JSON object with every field but
the digest, its keys sorted, without spaces, as UTF-8 (RFC 8785's form, for texts and integers):

    {"at":"2026-11-22T14:04:01.250Z","chip_id":"a1b2c3","facts":{"board":"ESP32_GENERIC"},
     "number":1,"once":"9f..","outcome":"done","previous":"<digest of entry 0>",
     "registration_id":"esp32-a1b2c3","seat":"1-1.2","stage":"flash","station":"line-1"}

(on one line, without spaces). Entry 0 is none: its digest is made of the record's own random id,
so two records have no entry in common. Whoever notes one digest elsewhere can tell any change of
any entry up to that one.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256

Head = tuple[int, str]  # an entry's number and its digest


class Broken(Exception):
    """What is wrong with the record. number: of the first wrong entry, which the text begins with;
    0 if it is none, and then the text is the whole sentence.
    """

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"entry {number} {text}" if number else text)
        self.number = number


@dataclass(frozen=True)
class Entry:
    """One step of one unit. at: UTC, ISO 8601; once: chance, so that it is written only once."""

    number: int
    at: str
    station: str
    seat: str
    chip_id: str
    registration_id: str
    stage: str
    outcome: str
    facts: dict[str, str]
    previous: str
    digest: str
    once: str = ""


def canonical(value: object) -> bytes:
    """Return the one form of a value of dicts, texts and integers that is hashed."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def genesis(record_id: str, made: str, version: int) -> str:
    """Return the digest that the first entry follows."""
    return sha256(canonical({"made": made, "record": record_id, "version": version})).hexdigest()


def digest(fields: Mapping[str, object]) -> str:
    """Return the digest of an entry's fields; one that is there already does not count."""
    hashed = {name: value for name, value in fields.items() if name != "digest"}
    return sha256(canonical(hashed)).hexdigest()


def sealed(head: Head, fields: Mapping[str, object]) -> Entry:
    """Return the entry that follows head. fields: all but number, previous and digest."""
    whole = dict(fields, number=head[0] + 1, previous=head[1])
    return Entry(**whole, digest=digest(whole))  # type: ignore[arg-type]


def to_row(entry: Entry) -> dict[str, object]:
    """Return the entry as it lies in a database: its facts as a text."""
    return asdict(entry) | {"facts": canonical(entry.facts).decode()}


def from_row(row: Mapping[str, object]) -> Entry:
    """Return the entry in a row of a database; raise Broken if no station wrote it like that."""
    number = row["number"]
    if not isinstance(number, int):
        raise Broken(0, "an entry has a number that is none")
    texts = {name: value for name, value in row.items() if name != "number"}
    if not all(map(is_text, texts.values())):
        raise Broken(number, "was changed: a field is no text")
    return Entry(**texts | {"number": number, "facts": _facts(number, str(row["facts"]))})  # type: ignore[arg-type]


def follow(entries: Iterable[Entry], head: Head) -> Iterator[Entry]:
    """Yield the entries that come after head; raise Broken at the first that does not fit."""
    for entry in entries:
        _check(entry, head)
        head = entry.number, entry.digest
        yield entry


def _check(entry: Entry, head: Head) -> None:
    if entry.number != head[0] + 1:
        if entry.number <= head[0]:
            raise Broken(entry.number, "has a number that no entry has, or another has too")
        raise Broken(head[0] + 1, "is missing")
    if digest(vars(entry)) != entry.digest:
        raise Broken(entry.number, "was changed: its digest does not fit what it says")
    if entry.previous != head[1]:
        before = "the entry before it" if head[0] else "from the record's own id"
        raise Broken(entry.number, f"does not follow {before}: one of the two is forged")


def is_text(value: object) -> bool:
    """Whether it is a text, and was UTF-8 where it came from."""
    if not isinstance(value, str):
        return False
    return value.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in value)


def _facts(number: int, text: str) -> dict[str, str]:
    try:
        facts: dict[str, str] = json.loads(text)
        is_written = isinstance(facts, dict) and canonical(facts).decode() == text
        if is_written and all(isinstance(value, str) for value in facts.values()):
            return facts
    except (ValueError, RecursionError):
        pass
    raise Broken(number, "was changed: its facts are not in the form that is written")
