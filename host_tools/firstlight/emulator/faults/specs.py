"""One fault: what is to go wrong, where, for whom and how often, checked against the table.

Pure. Whatever is given, the only exception is BadFault.

    {"at": "poll-answer", "do": "cut", "bytes": 7, "device": "esp32-a1b2c3", "times": 2}

The same in words: `poll-answer cut bytes=7 device=esp32-a1b2c3 times=2`.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..answers import Json, Refusal, parse_json
from .points import POINTS, known_at, overs_of
from .table import REQUIRED, WHEN, WHOM, Action, Field, action, actions_at

_MAX_JSON = 8192
_SWITCHES = {"true": True, "false": False}


class BadFault(ValueError):
    """A fault that cannot be; why, in one sentence."""


@dataclass(frozen=True)
class Fault:
    """One fault. args: the action's parameters; whom, when: by the names in table.py."""

    at: str
    action: Action
    args: Json
    whom: Json
    when: Json

    @property
    def do(self) -> str:
        return self.action.name

    def document(self) -> Json:
        """As it can be given to parse() again: what was left at its default is left out."""
        found: Json = {"at": self.at, "do": self.do}
        for fields, values in ((self.action.fields, self.args), (WHOM, self.whom)):
            found |= _told(fields, values)
        return found | _told(WHEN, self.when)

    def __str__(self) -> str:
        """In words."""
        rest = list(self.document().items())[2:]
        return " ".join([self.at, self.do, *(f"{name}={_word(value)}" for name, value in rest)])


def parse(document: Json) -> Fault:
    """A fault from its JSON, or from words' values as text; raise BadFault."""
    given = dict(document)
    if not {"at", "do"} <= given.keys():
        raise BadFault('a fault needs at and do, as {"at": "connack", "do": "drop"}')
    at, do = given.pop("at", None), given.pop("do", None)
    if not isinstance(at, str) or at not in POINTS:
        raise BadFault(f"{_shown(at)} is no point; there are {', '.join(POINTS)}")
    row = action(at, do) if isinstance(do, str) else None
    if row is None:
        raise BadFault(f"{_shown(do)} cannot be done at {at}; {', '.join(actions_at(at))} can")
    args = _values(row.fields, given)
    whom, when = _values(WHOM, given), _values(WHEN, given)
    if given:
        names = ", ".join(field.name for field in (*row.fields, *WHOM, *WHEN))
        raise BadFault(f"{at} {do} does not take {_shown(next(iter(given)))}; it takes {names}")
    _check_whom(at, whom)
    if do == "limit" and all(value is None for name, value in args.items() if name != "end"):
        raise BadFault("a limit needs at least one of its numbers")
    return Fault(at, row, args, whom, when)


def parse_words(words: Iterable[str]) -> Fault:
    """A fault from words: point, action, name=value...; raise BadFault."""
    given = list(words)
    if len(given) < 2:
        raise BadFault("a fault is a point, an action and name=value..., as connack code value=5")
    document: Json = {"at": given[0], "do": given[1]}
    for word in given[2:]:
        name, is_there, value = word.partition("=")
        name = name.replace("-", "_")
        if not is_there or name in document:
            raise BadFault(f"{_shown(word)} is not one name=value, each given once")
        document[name] = value
    return parse(document)


def parse_text(text: str) -> Fault:
    """A fault from one line: a JSON object, or words; raise BadFault."""
    if not text.lstrip().startswith("{"):
        return parse_words(text.split())
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise BadFault("a fault that begins with { must be a JSON object") from None
    return parse(document)


def _check_whom(at: str, whom: Json) -> None:
    """Raise BadFault for a fault that could never strike."""
    named = [name for name, value in whom.items() if value is not None]
    for name in named:
        if name not in known_at(at):
            known = ", ".join(field.name for field in WHOM if field.name in known_at(at))
            raise BadFault(f"{name} is not known at {at}, so it would never strike; {known} is")
    if "over" in named and whom["over"] not in overs_of(at):
        raise BadFault(f"over is one of {', '.join(sorted(overs_of(at)))} at {at}")


def _values(fields: tuple[Field, ...], given: Json) -> Json:
    """Take the fields' values out of what was given."""
    found = {}
    for field in fields:
        if field.name in given:
            found[field.name] = _value(field, given.pop(field.name))
        elif field.default is REQUIRED:
            raise BadFault(f"{field.name} is needed: {field.about}")
        else:
            found[field.name] = field.default
    return found


def _value(field: Field, raw: Any) -> Any:
    try:
        value = _READERS[field.kind](raw)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise BadFault(f"{field.name} is {_shown(raw)}, not {_WANTED[field.kind]}") from None
    if field.choices:
        if value not in field.choices:
            raise BadFault(f"{field.name} is one of {', '.join(field.choices)}")
    elif field.kind in ("integer", "number"):
        if not field.least <= value <= field.most:
            raise BadFault(f"{field.name} goes from {field.least:.15g} to {field.most:.15g}")
    elif field.kind in ("text", "hex") and not field.least <= len(value) <= field.most:
        raise BadFault(f"{field.name} has {field.least:g} to {field.most:g} characters")
    return value


def _integer(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise TypeError
    if isinstance(raw, str) and len(raw) > 20:
        raise ValueError
    return int(raw, 0) if isinstance(raw, str) and raw.lower().startswith("0x") else int(raw)


def _number(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise TypeError
    value = float(raw)
    if math.isnan(value):
        raise ValueError
    return value


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError
    raw.encode()  # half a surrogate pair cannot be sent
    return raw


def _hex(raw: Any) -> str:
    return bytes.fromhex(_text(raw)).hex()


def _switch(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    if raw not in _SWITCHES:
        raise ValueError
    return _SWITCHES[raw]


def _json(raw: Any) -> Any:
    text = raw if isinstance(raw, str) else json.dumps(raw, allow_nan=False)
    try:
        value = parse_json(text.encode())  # no deeper than can be written again
    except Refusal:
        raise ValueError from None
    if not isinstance(value, dict) or len(json.dumps(value)) > _MAX_JSON:
        raise ValueError
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "integer": _integer,
    "number": _number,
    "text": _text,
    "hex": _hex,
    "switch": _switch,
    "json": _json,
}
_WANTED = {
    "integer": "a whole number",
    "number": "a number",
    "text": "a text",
    "hex": "pairs of hexadecimal digits",
    "switch": "true or false",
    "json": f"a JSON object of at most {_MAX_JSON} characters and 64 levels",
}


def _told(fields: tuple[Field, ...], values: Json) -> Json:
    return {f.name: values[f.name] for f in fields if values[f.name] != f.default}


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=repr)
    return repr(text[:60])
