"""One unit's label: what may stand on it, as text. Pure.

A pattern such as "{product} made {made}" takes its fields from a Label and from nowhere else. What
comes out is one line of printable text, bounded, and never something that looks like a key: a
label is read by everybody.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .. import keys
from ..errors import UsageError

REGISTRATION_ID = "{registration_id}"
_LONGEST = 512  # characters of one text, its fields filled in
_PIECES = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]{0,31})\}|[{}]")
_NAME = re.compile("[a-z][a-z0-9_]{0,31}")
# 16 bytes or more in base64 (DPS takes no shorter key), or a token or connection string.
_SECRET = re.compile(
    r"SharedAccess|(?=[a-z0-9+/]*[A-Z])(?=[A-Z0-9+/]*[a-z])[A-Za-z0-9+/]{22,}={0,2}"
)


@dataclass(frozen=True)
class Label:
    """What is known of a unit. made: its date. extra: more fields for a template, by name."""

    registration_id: str
    product: str = ""
    chip_id: str = ""
    made: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, str]:
        """Every field by its name. Raise UsageError for a name that no template could use."""
        own = {
            "registration_id": keys.registration_id(self.registration_id),
            "product": self.product,
            "chip_id": self.chip_id,
            "made": self.made,
        }
        for name in self.extra:
            if name in own or not _NAME.fullmatch(name):
                raise UsageError(
                    f"a label cannot have a field {name[:40]!r}: name it with a-z, 0-9 and _, "
                    f"and not {', '.join(own)}"
                )
        return own | dict(self.extra)

    def content(self, pattern: str = REGISTRATION_ID, what: str = "the code") -> str:
        """Return the pattern with this label's fields filled in; what: names it in errors.

        Raise UsageError for a field that is not there, and for text that must not be printed.
        """
        return _printable(_filled(pattern, self.fields(), what), what)


def checked_pattern(pattern: str, what: str) -> str:
    """Return a pattern whose braces are right, whatever the fields; else raise UsageError."""
    names = {match[1] for match in _PIECES.finditer(pattern) if match[1]}
    _filled(pattern, dict.fromkeys(names, ""), what)
    return pattern


def _filled(pattern: str, fields: Mapping[str, str], what: str) -> str:
    def value(match: "re.Match[str]") -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        if match[1] is None:
            raise UsageError(
                f"{what} has a brace that belongs to no {{field}}; write {{{{ or }}}} for a brace"
            )
        if match[1] not in fields:
            known = ", ".join(fields)
            raise UsageError(f"{what} names {match[0]}, but this label has: {known}")
        return fields[match[1]]

    return _PIECES.sub(value, pattern)


def _printable(text: str, what: str) -> str:
    if len(text) > _LONGEST:
        raise UsageError(f"{what} is longer than {_LONGEST} characters")
    if not text.isprintable():
        odd = next(character for character in text if not character.isprintable())
        raise UsageError(
            f"{what} has the character U+{ord(odd):04X}, which cannot be printed; take it out"
        )
    if _SECRET.search(text):
        raise UsageError(f"{what} looks like a key or a token, and a label is read by everybody")
    return text
