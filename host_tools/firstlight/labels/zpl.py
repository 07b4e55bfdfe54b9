"""A label in ZPL II, the language of label printers: text to send to one as it is. Pure.

Whatever comes from outside goes into field data as hex (^FH), but for letters, digits, space and
a few marks: nothing in it can begin a command (^, ~), be an escape (_), or end a field.

    ^XA^CI28^PW400^LL200^LH0,0
    ^FO24,36^BXN,8,200,,,,|^FH_^FDesp32-a1b2c3^FS
    ^FO176,24^A0N,24^FH_^FDesp32-a1b2c3^FS
    ^PQ1^XZ

The printer makes the code, from the same content, in modules of whole dots.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError
from .layout import Line

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .:-")
_ESCAPES = "|!$%&()*+/;<=>?@[]{}"


@dataclass(frozen=True)
class PrinterCode:
    """The code that a printer is to make. module_dots: a module's side."""

    kind: str
    content: str
    x_dots: int
    y_dots: int
    module_dots: int


def zpl(size_mm: tuple[float, float], dpmm: int, code: PrinterCode, lines: Sequence[Line]) -> str:
    """Return the label's text: of size_mm (width, height), for a printer with dpmm."""
    width, height = (round(side * dpmm) for side in size_mm)
    rows = [f"^XA^CI28^PW{width}^LL{height}^LH0,0", _code(code)]
    for line in lines:
        at = f"^FO{round(line.x_mm * dpmm)},{round(line.y_mm * dpmm)}"
        rows.append(f"{at}^A0N,{round(line.size_mm * dpmm)}{_field(line.text)}")
    return "\n".join([*rows, "^PQ1^XZ", ""])


def _code(code: PrinterCode) -> str:
    if not code.content.isascii():
        raise UsageError(
            "the template's code.content has characters beyond ASCII, which a printer's codes "
            "do not hold alike; make a PDF of this label"
        )
    at = f"^FO{code.x_dots},{code.y_dots}"
    if code.kind == "qr":
        # Model 2, level M in the command and in the data, whose "A," means automatic encoding.
        return f"{at}^BQN,2,{min(code.module_dots, 10)},M{_field('MA,' + code.content)}"
    return f"{at}^BXN,{code.module_dots},200,,,,{_escape(code.content)}{_field(code.content)}"


def _escape(content: str) -> str:
    """A character to be ^BX's escape, which it looks for after ^FH: one that is not there.

    Without it, that is ~ or, with older printers, the _ that registration ids may have.
    """
    for character in _ESCAPES:
        if character not in content:
            return character
    raise UsageError(f"the template's code.content has all of {_ESCAPES}: leave one out")


def _field(text: str) -> str:
    shown = "".join(chr(byte) if byte in _PLAIN else f"_{byte:02X}" for byte in text.encode())
    return f"^FH_^FD{shown}^FS"
