"""The font of a label's text: the PDF's own Helvetica, or a TrueType file that a template names.

Never prints a character that the font does not have: a missing one is an error that names it.
"""

import struct
from hashlib import sha256
from pathlib import Path

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

from ..errors import UsageError

_HELVETICA = "Helvetica"
# What reportlab raises for a file that is torn, or no font. (ValueError: a name with a NUL, too.)
_NO_FONT = (TTFError, struct.error, ValueError, LookupError, MemoryError)


class Font:
    """A font that reportlab knows by name."""

    def __init__(self, path: Path | None) -> None:
        """path: a TrueType file. Raise UsageError if it is none."""
        self.name = _HELVETICA if path is None else _registered(path)
        self._path = path

    def width_mm(self, text: str, size_mm: float) -> float:
        """How wide text is in that size. Raise UsageError for a character that is missing."""
        for character in text:
            if not self._has(character):
                raise UsageError(self._missing(character))
        return float(pdfmetrics.stringWidth(text, self.name, size_mm))

    def _has(self, character: str) -> bool:
        if self._path is not None:
            return ord(character) in pdfmetrics.getFont(self.name).face.charToGlyph
        try:
            character.encode("cp1252")
        except UnicodeEncodeError:
            return False
        return True

    def _missing(self, character: str) -> str:
        shown = f"{character} (U+{ord(character):04X})"
        if self._path is None:
            return f"Helvetica has no {shown}; name a TrueType file in the template's label.font"
        return f"the template's label.font {self._path.name} has no {shown}; name another"


def _registered(path: Path) -> str:
    """Make a file known to reportlab under a name of its content, once."""
    try:
        name = f"font-{sha256(path.read_bytes()).hexdigest()[:16]}"
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(path)))
    except OSError as error:
        raise UsageError(
            f"the template's label.font {path} cannot be read: {error.strerror}"
        ) from None
    except _NO_FONT:
        raise UsageError(f"the template's label.font {path} is not a TrueType font") from None
    return name
