"""The template of a label: a small TOML file, checked to the last word.

Sizes and places are in millimetres from the label's upper left corner. Whatever is wrong is a
UsageError that names the field, as "the template's code.size".
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .label import REGISTRATION_ID, checked_pattern

KINDS = ("datamatrix", "qr")
DENSITIES = (6, 8, 12, 24)  # dots per millimetre that ZPL printers have: 152 to 600 dpi
DEFAULT = """\
# A label for `firstlight label`. Sizes and places are in millimetres from the label's upper left
# corner. In content and text, {registration_id}, {product}, {chip_id}, {made} and fields of your
# own are filled in.

[label]
width = 50
height = 25
dpmm = 8                       # the ZPL printer's dots per millimetre: 6, 8, 12 or 24
# font = "DejaVuSans.ttf"      # beside this file; without one, text is Western European

[code]
kind = "datamatrix"            # or "qr"
content = "{registration_id}"
x = 1
y = 2.5
size = 20                      # its side, with the quiet zone around it
module = 0.25                  # the smallest square that your readers can read

[[text]]
text = "{registration_id}"
x = 22
y = 3
width = 26.5                   # when it is wider: set smaller, then on more lines
size = 3
smallest = 1.5
lines = 8

[[text]]
text = "{product}"
x = 22
y = 17
width = 26.5
size = 2.2
lines = 2

[[text]]
text = "{made}"
x = 22
y = 21.5
size = 2

[sheet]                        # only for sheet.pdf; this is A4
width = 210
height = 297
left = 20
top = 10
columns = 3
rows = 10
gap_x = 10
gap_y = 2
"""
_MAX_BYTES = 65536
_MAX_TEXTS = 32
_LARGEST_MM = 1000.0


@dataclass(frozen=True)
class Code:
    """The code's place. size_mm: its side with the quiet zone. module_mm: the smallest module."""

    kind: str
    content: str
    x_mm: float
    y_mm: float
    size_mm: float
    module_mm: float


@dataclass(frozen=True)
class Text:
    """One text's place. size_mm: its font's, smallest_mm if it must. name: this table's."""

    name: str
    text: str
    x_mm: float
    y_mm: float
    width_mm: float
    size_mm: float
    smallest_mm: float
    lines: int


@dataclass(frozen=True)
class Sheet:
    """A page of labels, in rows."""

    width_mm: float
    height_mm: float
    left_mm: float
    top_mm: float
    columns: int
    rows: int
    gap_x_mm: float
    gap_y_mm: float


@dataclass(frozen=True)
class Template:
    """A whole template. font: a TrueType file, or None for the PDF's own Helvetica."""

    width_mm: float
    height_mm: float
    dpmm: int
    font: Path | None
    code: Code
    texts: tuple[Text, ...]
    sheet: Sheet | None


class _Table:
    """One table of the file; every field is asked for once, and what is left over is refused."""

    def __init__(self, value: Any, name: str) -> None:
        if not isinstance(value, dict):
            raise UsageError(f"the template's {name} must be a table: see `label template`")
        self._left = dict(value)
        self.name = name

    def wrong(self, key: str, problem: str) -> UsageError:
        return UsageError(f"the template's {self.name}.{key} {problem}")

    def number(self, key: str, default: float | None, low: float = 0.0) -> float:
        value = self._left.pop(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, "must be a number of millimetres")
        if not low <= value <= _LARGEST_MM:
            raise self.wrong(key, f"must be from {low:g} to {_LARGEST_MM:g} mm")
        return float(value)

    def whole(self, key: str, default: int | None, high: int) -> int:
        value = self._left.pop(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
            raise self.wrong(key, f"must be a whole number from 1 to {high}")
        return value

    def text(self, key: str, default: str | None) -> str:
        value = self._left.pop(key, default)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "must be a text")
        return value

    def pattern(self, key: str, default: str | None) -> str:
        return checked_pattern(self.text(key, default), f"the template's {self.name}.{key}")

    def has(self, key: str) -> bool:
        return key in self._left

    def end(self) -> None:
        for key in self._left:
            raise self.wrong(_shown(key), "is no field of a template: see `label template`")


def load(path: Path) -> Template:
    """Read a template's file. Raise UsageError that names what is wrong."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            raise UsageError(f"{path} is too long to be a label's template")
        return parse(raw.decode(), path.parent)
    except OSError as error:
        raise UsageError(f"the template {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no label's template: it is not text (UTF-8)") from None


def parse(text: str, folder: Path = Path()) -> Template:
    """Return the template that text describes. folder: where its font is looked for."""
    try:
        whole = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not only TOMLDecodeError, for long numbers
        raise UsageError(f"the template is not TOML: {str(error)[:200]}") from None
    for key in whole:
        if key not in ("label", "code", "text", "sheet"):
            raise UsageError(
                f"the template's {_shown(key)} is no table of it: see `label template`"
            )
    label = _Table(whole.get("label"), "label")
    width, height = label.number("width", None, 1), label.number("height", None, 1)
    dpmm = label.whole("dpmm", 8, max(DENSITIES))
    if dpmm not in DENSITIES:
        raise label.wrong("dpmm", "must be 6, 8, 12 or 24 dots per millimetre")
    font = folder / label.text("font", None) if label.has("font") else None
    label.end()
    code = _code(_Table(whole.get("code"), "code"), width, height)
    sheet = None
    if "sheet" in whole:
        sheet = _sheet(_Table(whole["sheet"], "sheet"), width, height)
    texts = _texts(whole.get("text", []), width, height)
    return Template(width, height, dpmm, font, code, texts, sheet)


def _shown(key: str) -> str:
    """A key for an error's text: a quoted one may hold anything."""
    return key[:40].encode("unicode_escape").decode()


def _code(table: _Table, width: float, height: float) -> Code:
    kind = table.text("kind", KINDS[0])
    if kind not in KINDS:
        raise table.wrong("kind", "must be datamatrix or qr")
    code = Code(
        kind,
        table.pattern("content", REGISTRATION_ID),
        table.number("x", 0.0),
        table.number("y", 0.0),
        table.number("size", None, 1),
        table.number("module", 0.25, 0.05),
    )
    table.end()
    if code.x_mm + code.size_mm > width or code.y_mm + code.size_mm > height:
        raise table.wrong("size", f"does not fit a label of {width:g} x {height:g} mm")
    return code


def _texts(values: Any, width: float, height: float) -> tuple[Text, ...]:
    if not isinstance(values, list) or len(values) > _MAX_TEXTS:
        raise UsageError(f"the template's text must be at most {_MAX_TEXTS} [[text]] tables")
    return tuple(
        _text(_Table(value, f"text[{number}]"), width, height)
        for number, value in enumerate(values, 1)
    )


def _text(table: _Table, width: float, height: float) -> Text:
    pattern, x, y = table.pattern("text", None), table.number("x", 0.0), table.number("y", 0.0)
    size = table.number("size", 3.0, 0.5)
    text = Text(
        table.name,
        pattern,
        x,
        y,
        table.number("width", max(width - x, 0.0), 1),
        size,
        table.number("smallest", min(size, 1.2), 0.5),
        table.whole("lines", 1, 20),
    )
    table.end()
    if text.smallest_mm > size:
        raise table.wrong("smallest", "is larger than its size")
    if x + text.width_mm > width:
        raise table.wrong("width", f"does not fit a label {width:g} mm wide")
    if y + size > height:
        raise table.wrong("size", f"does not fit a label {height:g} mm high")
    return text


def _sheet(table: _Table, width: float, height: float) -> Sheet:
    sheet = Sheet(
        table.number("width", 210.0, 1),
        table.number("height", 297.0, 1),
        table.number("left", 0.0),
        table.number("top", 0.0),
        table.whole("columns", None, 100),
        table.whole("rows", None, 200),
        table.number("gap_x", 0.0),
        table.number("gap_y", 0.0),
    )
    table.end()
    right = sheet.left_mm + sheet.columns * (width + sheet.gap_x_mm) - sheet.gap_x_mm
    bottom = sheet.top_mm + sheet.rows * (height + sheet.gap_y_mm) - sheet.gap_y_mm
    if right > sheet.width_mm + 1e-6:
        raise table.wrong("columns", f"end at {right:g} mm, beyond the sheet's width")
    if bottom > sheet.height_mm + 1e-6:
        raise table.wrong("rows", f"end at {bottom:g} mm, beyond the sheet's height")
    return sheet
