"""The two kinds of code as rows of modules, True for dark, without the quiet zone.

segno makes QR codes, ppf.datamatrix Data Matrix (ECC 200); tests read both with zxing-cpp.
"""

import segno
from ppf.datamatrix import DataMatrix  # type: ignore[import-untyped]

from ..errors import UsageError

Modules = tuple[tuple[bool, ...], ...]
QUIET = {"qr": 4, "datamatrix": 2}  # modules around it; ISO 18004 wants 4, ISO 16022 at least 1


def modules(kind: str, content: str) -> Modules:
    """Return the code of a kind ("qr" or "datamatrix"). Raise UsageError if it cannot hold it."""
    if not content:
        raise UsageError("the code would be empty: give the template's code.content a field")
    return _qr(content) if kind == "qr" else _data_matrix(content, "ascii", "C40", "text", "X12")


def printed_side(kind: str, content: str) -> int:
    """Return how many modules a side has at most if a printer makes the code by itself.

    A printer's Data Matrix encoder may be plainer than ours: one character or two digits a byte.
    """
    if kind == "qr":
        return len(modules(kind, content))
    return len(_data_matrix(content, "ascii"))


def _qr(content: str) -> Modules:
    encoding = None if content.isascii() else "utf-8"
    try:
        made = segno.make_qr(content, error="m", encoding=encoding)
    except segno.DataOverflowError:
        raise _too_long(content) from None
    return tuple(tuple(bool(module) for module in row) for row in made.matrix)


def _data_matrix(content: str, *codecs: str) -> Modules:
    if not content.isascii():
        raise UsageError(
            "the template's code.content has characters beyond ASCII, which a Data Matrix of ours "
            'does not hold; use code.kind = "qr"'
        )
    try:
        matrix = DataMatrix(content, codecs=list(codecs)).matrix
    except ValueError:
        raise _too_long(content) from None
    return tuple(tuple(bool(module) for module in row) for row in matrix)


def _too_long(content: str) -> UsageError:
    return UsageError(f"the template's code.content gives {len(content)} characters: too many")
