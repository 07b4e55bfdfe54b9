"""Labels as PDF: one to a page, for a label printer, or a sheet of them.

Vector, so that a printer's own dots decide; no date, no random id: the same labels give the same
bytes (reportlab's invariant mode).
"""

import io
from collections.abc import Iterable, Sequence
from typing import Any

from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from ..errors import UsageError
from .codes import QUIET, Modules, modules
from .fonts import Font
from .label import Label
from .layout import content_of, lines_of, module_mm
from .template import Sheet, Template

_ASCENT = 0.8  # of a font's size, from a line's upper edge to its base


def roll(labels: Sequence[Label], template: Template) -> bytes:
    """One label to a page, the page as large as the label. Raises UsageError."""
    font = Font(template.font)
    canvas, file = _canvas(template.width_mm, template.height_mm)
    for label in labels:
        _draw(canvas, label, template, font, (0.0, template.height_mm))
        canvas.showPage()
    return _done(canvas, file)


def sheets(labels: Sequence[Label], template: Template) -> bytes:
    """Pages of labels in rows, as the template's sheet says. Raises UsageError."""
    sheet = template.sheet
    if sheet is None:
        raise UsageError("the template has no [sheet]: see `label template`")
    font = Font(template.font)
    canvas, file = _canvas(sheet.width_mm, sheet.height_mm)
    places = _places(sheet, template)
    for first in range(0, len(labels), len(places)):
        for label, corner in zip(labels[first:], places, strict=False):
            _draw(canvas, label, template, font, corner)
        canvas.showPage()
    return _done(canvas, file)


def _places(sheet: Sheet, template: Template) -> list[tuple[float, float]]:
    """Each label's upper left corner in PDF's way, from the sheet's lower left; in mm, by rows."""
    return [
        (
            sheet.left_mm + column * (template.width_mm + sheet.gap_x_mm),
            sheet.height_mm - sheet.top_mm - row * (template.height_mm + sheet.gap_y_mm),
        )
        for row in range(sheet.rows)
        for column in range(sheet.columns)
    ]


def _canvas(width_mm: float, height_mm: float) -> tuple[Any, io.BytesIO]:
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(width_mm * mm, height_mm * mm), invariant=1, pageCompression=1)
    canvas.setTitle("labels")
    canvas.setCreator("firstlight")
    return canvas, file


def _done(canvas: Any, file: io.BytesIO) -> bytes:
    canvas.save()
    return file.getvalue()


def _draw(
    canvas: Any, label: Label, template: Template, font: Font, corner: tuple[float, float]
) -> None:
    left, top = corner
    code = template.code
    made = modules(code.kind, content_of(label, template))
    quiet = QUIET[code.kind]
    module = module_mm(template, len(made), quiet)
    inner = (left + code.x_mm + quiet * module, top - code.y_mm - quiet * module)
    _draw_code(canvas, made, inner, module)
    for line in lines_of(label, template, font.width_mm):
        canvas.setFont(font.name, line.size_mm * mm)
        base = top - line.y_mm - _ASCENT * line.size_mm
        canvas.drawString((left + line.x_mm) * mm, base * mm, line.text)


def _draw_code(canvas: Any, made: Modules, corner: tuple[float, float], module: float) -> None:
    """Fill all dark modules as one path: no light seams between neighbours on a screen."""
    left, top = corner
    path = canvas.beginPath()
    for number, row in enumerate(made):
        low = (top - (number + 1) * module) * mm
        for start, length in _runs(row):
            path.rect((left + start * module) * mm, low, length * module * mm, module * mm)
    canvas.drawPath(path, stroke=0, fill=1)


def _runs(row: Sequence[bool]) -> Iterable[tuple[int, int]]:
    """Where runs of dark modules start, and how long they are."""
    start = None
    for at, dark in enumerate([*row, False]):
        if dark and start is None:
            start = at
        elif not dark and start is not None:
            yield start, at - start
            start = None
