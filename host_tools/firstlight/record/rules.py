"""What may be in an entry of the record: short words and texts, and nothing that may be a key.

No I/O. No error from here repeats a value: it names the field.
"""

import re
from collections.abc import Mapping
from itertools import pairwise

from .. import keys
from ..errors import UsageError

OUTCOMES = ("begun", "done", "failed", "skipped")
CLAIM = "claim"  # the stage that claim() writes, and nobody else
UNIT = "unit"  # the stage that is done once for a registration id
MAX_FACTS = 32
LONGEST_FACT = 500
_LONGEST_SEAT = 200
_LONGEST_STATION = 64

_WORD = re.compile("[a-z][a-z0-9_-]{0,39}")
_CHIP_ID = re.compile("(?:[0-9a-f]{2}){1,32}")
# What tokens, connection strings and PEM carry.
_MARKS = re.compile(
    "sig=|SharedAccess|AccountKey|PRIVATE KEY|-----BEGIN|(?:password|passwd|secret)[=:]",
    re.IGNORECASE,
)
_RUN = re.compile("[A-Za-z0-9+/_-]{20,}={0,2}")
_HEX = re.compile("[0-9a-f]+|[0-9A-F]+")
_LONG = 40  # 30 bytes in base64: a key that lost its padding
_RESTLESS = 0.45  # base64 changes between a, A, 0 and + at 0.65 of its places; names at 0.2


def looks_secret(text: str) -> bool:
    """Whether a text may hold a key, a token or a password.

    Digests in hexadecimal are none: the record is for them. (So a key in hexadecimal is not seen.)
    """
    return bool(_MARKS.search(text)) or any(map(_may_be_key, _RUN.findall(text)))


def veiled(text: str) -> str:
    """Return a text for a screen or a log, without what in it may be a key."""
    return _RUN.sub(lambda found: "***" if _may_be_key(found[0]) else found[0], text)


def fitting(text: str) -> str:
    """Return any text, as of an error, cut down to what a fact may be: one line, no key."""
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    line = " ".join(line.split())
    if len(line) > LONGEST_FACT:
        line = line[: LONGEST_FACT - 1] + "…"
    return "(left out: it may hold a key)" if looks_secret(line) else line


def word(text: str, field: str) -> str:
    """Return text if it is a lowercase word, as the names of stages and facts are."""
    if not isinstance(text, str) or not _WORD.fullmatch(text):
        raise UsageError(f"{field} must be a lowercase word of at most 40 of a-z 0-9 _ -")
    return text


def station(text: str) -> str:
    """Return text if it may name a station."""
    if not text:
        raise UsageError("the station must have a name, at most 64 characters")
    return _line(text, "station", _LONGEST_STATION)


def chip_id(text: str) -> str:
    """Return text if it is a chip's id: lowercase hexadecimal, at most 32 bytes."""
    if not isinstance(text, str) or not _CHIP_ID.fullmatch(text):
        raise UsageError("chip_id must be lowercase hexadecimal, two digits a byte, 1 to 32 bytes")
    return text


def entry(
    stage: str,
    outcome: str,
    seat: str,
    chip: str,
    registration_id: str,
    facts: Mapping[str, str],
) -> dict[str, object]:
    """Return the fields of an entry that a station says; raise UsageError for the first wrong."""
    if outcome not in OUTCOMES:
        raise UsageError(f"outcome must be one of {', '.join(OUTCOMES)}")
    return {
        "stage": word(stage, "stage"),
        "outcome": outcome,
        "seat": _line(seat, "seat", _LONGEST_SEAT),
        "chip_id": chip and chip_id(chip),
        "registration_id": registration_id and keys.registration_id(registration_id),
        "facts": _facts(facts),
    }


def _facts(facts: Mapping[str, str]) -> dict[str, str]:
    if len(facts) > MAX_FACTS:
        raise UsageError(f"facts may be {MAX_FACTS} at most")
    return {
        word(name, "the name of a fact"): _line(facts[name], f"the fact {name}", LONGEST_FACT)
        for name in sorted(facts)
    }


def _line(text: str, field: str, longest: int) -> str:
    if not isinstance(text, str) or len(text) > longest or not text.isprintable():
        raise UsageError(f"{field} must be one line of text, at most {longest} characters")
    if looks_secret(text):
        raise UsageError(
            f"{field} looks like a key, a token or a password; the record holds fingerprints only"
        )
    return text


def _may_be_key(run: str) -> bool:
    if run.endswith("=") and len(run) >= 24 and len(run) % 4 == 0:
        return True  # base64 of 16 bytes or more
    return len(run) >= _LONG and not _HEX.fullmatch(run) and _restless(run)


def _restless(run: str) -> bool:
    kinds = [
        0 if sign.islower() else 1 if sign.isupper() else 2 if sign.isdigit() else 3
        for sign in run
    ]
    changes = sum(one != other for one, other in pairwise(kinds))
    return changes > _RESTLESS * len(run)
