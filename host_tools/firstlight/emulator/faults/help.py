"""The fault tables as lines for people: what `firstlight fault list --points` prints.

No I/O, and no knowledge of its own.
"""

from collections.abc import Iterator
from shlex import quote

from .points import IN, OUT, POINTS, points_of
from .scenarios import SCENARIOS
from .table import ACTIONS, REQUIRED, WHEN, WHOM, Field

_FORMS = {"integer": "N", "number": "N", "text": "TEXT", "switch": "true|false", "json": "JSON"}


def described() -> Iterator[str]:
    """The whole table as lines for people."""
    yield "points:"
    for point in POINTS.values():
        yield f"  {point.name:<21} {point.about}"
    yield ""
    yield "actions, their points and parameters:"
    for row in ACTIONS:
        yield f"  {row.name:<12} {row.about}"
        yield f"  {'':<12} at {_short(row.points)}"
        yield from (_line(field) for field in row.fields)
    yield ""
    yield "whom (everyone by default):"
    yield from (_line(field) for field in WHOM)
    yield ""
    yield "when:"
    yield from (_line(field) for field in WHEN)
    yield ""
    yield "often wanted:"
    for name, words in SCENARIOS.items():
        yield f"  {name:<30} {' '.join(map(quote, words.split()))}"  # for a shell


def _short(points: tuple[str, ...]) -> str:
    for way, words in ((IN, "every packet in"), (OUT, "every packet out")):
        if points == points_of(way):
            return words
    return ", ".join(points)


def _line(field: Field) -> str:
    about = field.about
    if field.choices:
        about += f" ({', '.join(field.choices)})"
    if field.default is REQUIRED:
        about += "; needed"
    elif field.default not in (None, "", False):
        about += f"; default {field.default}"
    return f"  {'':<14} {field.name}={_FORMS.get(field.kind, field.kind.upper())}: {about}"
