"""Labels for units: what is stuck onto each, so that it is known by what it is enrolled as.

`write` makes the same bytes of the same labels, checks all before it writes anything, and leaves
a file that is right already: a line that resumes just calls it again.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import UsageError
from . import codes, pdf
from .files import put
from .fonts import Font
from .label import Label
from .layout import content_of, lines_of, module_mm
from .png import png
from .template import DEFAULT, Template, parse
from .zpl import PrinterCode, zpl

__all__ = ["FORMS", "Label", "check", "rendered", "write"]

_MOST = 10_000  # labels at once
_EACH: dict[str, Callable[[Label, Template], bytes]] = {
    "qr.png": lambda label, template: _png("qr", label, template),
    "datamatrix.png": lambda label, template: _png("datamatrix", label, template),
    "pdf": lambda label, template: pdf.roll([label], template),
    "zpl": lambda label, template: _zpl(label, template).encode(),
}
_TOGETHER: dict[str, Callable[[Sequence[Label], Template], bytes]] = {
    "roll.pdf": pdf.roll,
    "sheet.pdf": pdf.sheets,
}
FORMS = (*_EACH, *_TOGETHER)


def write(
    labels: Sequence[Label], folder: Path, forms: Sequence[str], template: Template | None = None
) -> list[Path]:
    """Write each label in each form into folder, which is made; return the files, all of them.

    forms: of FORMS; "roll.pdf" (a label a page) and "sheet.pdf" are one file for all labels, the
    others one for each: ID.pdf and so on. A file of another content is replaced in one step.
    Raise UsageError if anything is wrong, before a file is touched; ToolError for the disk.
    """
    files = list(rendered(labels, forms, template))
    return [put(folder, name, data) for name, data in files]


def check(forms: Sequence[str], template: Template | None, products: Sequence[str]) -> None:
    """Raise UsageError if units of these products could not be labelled: before a line starts."""
    for product in products:
        label = Label("as-long-as-most-0123456789abcdef", product, "0" * 16, "2000-12-31")
        list(rendered([label], forms, template))


def rendered(
    labels: Sequence[Label], forms: Sequence[str], template: Template | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each file that `write` would write. Raises UsageError."""
    if not 1 <= len(labels) <= _MOST:
        raise UsageError(f"labels are made for 1 to {_MOST} units at once, not for {len(labels)}")
    if len({label.registration_id for label in labels}) < len(labels):
        raise UsageError("a registration id is there twice; it gets one label")
    whole = template or parse(DEFAULT)
    for form in forms:
        if form in _TOGETHER:
            yield form, _TOGETHER[form](labels, whole)
        elif form in _EACH:
            for label in labels:
                yield _name(label, form), _EACH[form](label, whole)
        else:
            raise UsageError(f"{form[:40]!r} is no form of a label: {', '.join(FORMS)}")


def _name(label: Label, form: str) -> str:
    """A file's name. Of what registration ids may have, only : is not allowed everywhere."""
    return f"{label.fields()['registration_id'].replace(':', '%3A')}.{form}"


def _png(kind: str, label: Label, template: Template) -> bytes:
    return png(codes.modules(kind, content_of(label, template)), codes.QUIET[kind])


def _zpl(label: Label, template: Template) -> str:
    dpmm, code, content = template.dpmm, template.code, content_of(label, template)
    quiet = codes.QUIET[code.kind]
    side = codes.printed_side(code.kind, content)
    module = round(module_mm(template, side, quiet, dpmm) * dpmm)
    printed = PrinterCode(
        code.kind,
        content,
        round(code.x_mm * dpmm) + quiet * module,
        round(code.y_mm * dpmm) + quiet * module,
        module,
    )
    size = (template.width_mm, template.height_mm)
    return zpl(size, dpmm, printed, lines_of(label, template, Font(template.font).width_mm))
