"""Queries over device twins: what one is, and what it makes of each twin's document.

Pure values; query_parser.py makes them of text. Where a path leads nowhere, a comparison with it
is not true, whichever it is; is_defined() tells.
Facts: azure/iot-hub/iot-hub-devguide-query-language.
"""

import copy
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import fsum, isfinite
from typing import Any

from ..answers import Json, Refusal

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}
_OF_ANY_KIND = ("=", "!=", "<>")
NOWHERE = object()
Path = tuple[str, ...]
Value = Callable[[Json], Any]


@dataclass(frozen=True)
class Column:
    """What is selected, and its name in the result. aggregate: count, avg ... or "" for a path."""

    path: Path
    name: str
    aggregate: str = ""


@dataclass(frozen=True)
class Query:
    """A query. columns: empty for *; where: None for all; top: at most so many, None for all."""

    columns: tuple[Column, ...]
    where: Value | None
    group_by: Path | None
    top: int | None

    @property
    def is_aggregate(self) -> bool:
        """Whether one answer sums up many devices, so that there are no pages."""
        return self.group_by is not None or any(c.aggregate for c in self.columns)

    @property
    def item_type(self) -> str:
        """The header x-ms-item-type."""
        return "Raw" if self.columns else "Twin"

    def matches(self, twin: Json) -> bool:
        """Whether the condition is true of the twin's document."""
        return self.where is None or self.where(twin) is True

    def project(self, twin: Json) -> Json:
        """What is selected of one twin; what it has not is left out."""
        if not self.columns:
            return twin
        found = ((column.name, look(twin, column.path)) for column in self.columns)
        return {name: value for name, value in found if value is not NOWHERE}

    def sum_up(self, twins: Iterable[Json]) -> list[Json]:
        """The rows of an aggregate query over all twins."""
        groups: dict[str, list[Json]] = {}
        if self.group_by is None:
            groups[""] = []
        for twin in twins:
            if self.matches(twin):
                value = None if self.group_by is None else look(twin, self.group_by)
                key = "" if value is None or value is NOWHERE else json.dumps(value)
                groups.setdefault(key, []).append(twin)
        return [self._row(members) for members in groups.values()][: self.top]

    def _row(self, twins: list[Json]) -> Json:
        row: Json = {}
        for column in self.columns:
            found = [value for twin in twins if (value := look(twin, column.path)) is not NOWHERE]
            value = _aggregate(column, found, len(twins))
            if value is not NOWHERE:
                row[column.name] = value
        return row


def bad_query(why: str) -> Refusal:
    """400, with why."""
    return Refusal(400, 400004, f"The query is not served: {why}.")


def look(twin: Json, path: Path) -> Any:
    """What a path leads to in a document; NOWHERE if it leads nowhere."""
    value: Any = twin
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return NOWHERE
        value = value[name]
    return value


def all_of(parts: Sequence[Value]) -> Value:
    """AND."""
    return lambda twin: all(part(twin) is True for part in parts)


def any_of(parts: Sequence[Value]) -> Value:
    """OR."""
    return lambda twin: any(part(twin) is True for part in parts)


def compared(left: Value, operator: str, right: Value) -> Value:
    """A comparison; values of two kinds are different, and neither is less."""
    return lambda twin: _compare(left(twin), operator, right(twin))


def among(value: Value, constants: list[Any], wanted: bool) -> Value:
    """IN, or NIN (wanted: False)."""

    def is_among(twin: Json) -> bool:
        found = value(twin)
        if found is NOWHERE:
            return False
        return any(_compare(found, "=", constant) for constant in constants) is wanted

    return is_among


def _compare(a: Any, operator: str, b: Any) -> bool:
    if a is NOWHERE or b is NOWHERE:
        return False
    kind = _kind(a)
    if kind != _kind(b):
        return operator in ("!=", "<>")
    if kind in ("bool", "null") and operator not in _OF_ANY_KIND:
        return False
    # Azure compares primitive values only.
    return kind != "other" and COMPARISONS[operator](a, b)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"


def _aggregate(column: Column, found: list[Any], count: int) -> Any:
    if not column.aggregate:
        return copy.deepcopy(found[0]) if found else NOWHERE
    if column.aggregate == "count":
        return count
    numbers = [value for value in found if _kind(value) == "number"]
    if not numbers:
        return NOWHERE
    return _summed(column.aggregate, numbers)


def _summed(aggregate: str, numbers: list[float]) -> Any:
    if aggregate in ("min", "max"):
        return min(numbers) if aggregate == "min" else max(numbers)
    try:
        total = fsum(numbers) / (len(numbers) if aggregate == "avg" else 1)
    except OverflowError:
        return NOWHERE
    if not isfinite(total):
        return NOWHERE
    return int(total) if total.is_integer() else total
