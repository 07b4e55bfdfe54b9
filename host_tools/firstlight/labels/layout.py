"""Where everything goes on one label, in millimetres. Pure: the font's widths are an argument.

Text that is too wide for its place is set smaller, then on more lines, never cut: a label that
says half of an id is worse than none.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import UsageError
from .label import Label
from .template import Template, Text

WidthOf = Callable[[str, float], float]  # a text and its size in mm -> its width in mm
_STEP_MM = 0.25
_LEADING = 1.15
_MARKS = " -._:/"  # after which a line may end


@dataclass(frozen=True)
class Line:
    """A line of text. y_mm: of its upper edge; size_mm: its font's."""

    text: str
    x_mm: float
    y_mm: float
    size_mm: float


def content_of(label: Label, template: Template) -> str:
    """What the label's code says. Raises UsageError."""
    return label.content(template.code.content, "the template's code.content")


def module_mm(template: Template, side: int, quiet: int, dpmm: int | None = None) -> float:
    """How large a module of the code may be; dpmm: in whole dots of a printer.

    Raise UsageError if that is smaller than what the template says can be read.
    """
    code = template.code
    size = code.size_mm / (side + 2 * quiet)
    if dpmm is not None:
        size = int(size * dpmm + 1e-6) / dpmm
    if size < code.module_mm - 1e-6:
        need = (side + 2 * quiet) * code.module_mm
        raise UsageError(
            f"the template's code.size is too small for its content: {side} modules and the quiet "
            f"zone take {need:.1f} mm or more; enlarge it, or shorten code.content"
        )
    return size


def lines_of(label: Label, template: Template, width_of: WidthOf) -> list[Line]:
    """Every line of text on the label. Raise UsageError for one that does not fit."""
    lines = []
    for text in template.texts:
        what = f"the template's {text.name}.text"
        lines += _set(label.content(text.text, what).strip(), text, template.height_mm, width_of)
    return lines


def _set(words: str, place: Text, height_mm: float, width_of: WidthOf) -> list[Line]:
    """Set words on as few lines as they fit, and as large as that allows."""
    width_of(words, place.size_mm)  # refuses what the font has not, one letter's line too
    best: tuple[list[str], float] | None = None
    for step in range(int((place.size_mm - place.smallest_mm) / _STEP_MM + 1e-6) + 1):
        size = place.size_mm - step * _STEP_MM
        rows = _broken(words, size, place.width_mm, width_of)
        bottom = place.y_mm + (len(rows) - 1) * size * _LEADING + size
        fits = len(rows) <= place.lines and bottom <= height_mm + 1e-6
        if fits and (best is None or len(rows) < len(best[0])):
            best = rows, size
    if best is None:
        raise UsageError(
            f"the template's {place.name} is too small for {words[:140]!r}: give it more width "
            "or lines, or a smaller `smallest`"
        )
    rows, size = best
    return [
        Line(row, place.x_mm, place.y_mm + number * size * _LEADING, size)
        for number, row in enumerate(rows)
    ]


def _broken(words: str, size: float, width: float, width_of: WidthOf) -> list[str]:
    """Break words into rows that fit: after a space or a mark if there is one, else anywhere."""
    rows = []
    while words:
        end = len(words)
        while end > 1 and width_of(words[:end], size) > width:
            end -= 1
        if end < len(words):
            marks = [at + 1 for at in range(end // 2, end) if words[at] in _MARKS]
            end = marks[-1] if marks else end
        rows.append(words[:end].rstrip())
        words = words[end:].lstrip()
    return rows
