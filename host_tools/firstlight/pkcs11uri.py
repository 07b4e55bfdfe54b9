"""Which key in which PKCS#11 token: a `pkcs11:` URI of RFC 7512, taken apart.

No I/O. What it does not know it refuses, for a selector that is passed over selects another key.
A PIN itself is refused, too, and never shown: pin-source says where it is kept.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_to_bytes

from .errors import UsageError

SCHEME = "pkcs11:"
_LONGEST = 2048  # characters
_PATH = ("token", "serial", "manufacturer", "model", "slot-id", "object", "id", "type")
_QUERY = ("module-path", "pin-source")
_KINDS = {
    "secret-key": "a group key is a secret key: type=secret-key, or no type at all",
    "private": "a CA's key is a private key: type=private, or no type at all",
}
_HALF_AN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class TokenURI:
    """What the URI says; None: it does not say. object, id: the key's label and CKA_ID.

    pin_source: one of custody.py's sources. token, serial, manufacturer, model: the token's.
    """

    token: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    slot_id: int | None = None
    object: str | None = None
    id: bytes | None = None
    module_path: str | None = None
    pin_source: str | None = field(default=None, repr=False)  # perhaps a PIN, by mistake

    def token_text(self) -> str:
        """The token, as an error names it; empty if any will do."""
        said = [
            f"{name} {value!r}"
            for name, value in (
                ("label", self.token),
                ("serial", self.serial),
                ("manufacturer", self.manufacturer),
                ("model", self.model),
                ("slot", self.slot_id),
            )
            if value is not None
        ]
        return ", ".join(said)

    def key_text(self) -> str:
        """The key, as an error names it."""
        said = [] if self.object is None else [f"label {self.object!r}"]
        return ", ".join(said + ([] if self.id is None else [f"id {self.id.hex()}"]))


def parse(text: str, kind: str = "secret-key") -> TokenURI:
    """Take a pkcs11: URI apart. kind: what its `type` may say, if any. Raises UsageError."""
    if len(text) > _LONGEST:
        raise UsageError(f"a pkcs11: URI of more than {_LONGEST} characters is refused")
    path, _, query = text.removeprefix(SCHEME).partition("?")
    said = _attributes(path, ";", _PATH) | _attributes(query, "&", _QUERY)
    if said.pop("type", kind) != kind:
        raise UsageError(_KINDS[kind])
    if not {"object", "id"} & set(said):
        raise UsageError("the pkcs11: URI must name the key: object=LABEL, or id=%01")
    values = {name.replace("-", "_"): _text(name, value) for name, value in said.items()}
    return TokenURI(
        **{name: values.get(name) for name in _texts()},
        slot_id=_number(values.get("slot_id")),
        id=unquote_to_bytes(said["id"]) if "id" in said else None,
    )


def _texts() -> tuple[str, ...]:
    return ("token", "serial", "manufacturer", "model", "object", "module_path", "pin_source")


def _attributes(text: str, separator: str, known: tuple[str, ...]) -> dict[str, str]:
    """The attributes of a part, still escaped. Never shows a value: one may be a PIN."""
    found: dict[str, str] = {}
    for pair in text.split(separator) if text else ():
        name, _, value = pair.partition("=")
        if name == "pin-value":
            raise UsageError(
                "pin-value is refused: a PIN does not belong on a command line; say where it is "
                "kept, pin-source=file:PATH, and change the PIN that was shown"
            )
        if name not in known:
            raise UsageError(_unknown(name))
        if name in found:
            raise UsageError(f"the pkcs11: URI has {name} twice")
        if not value or _HALF_AN_ESCAPE.search(value):
            raise UsageError(f"the pkcs11: URI has no proper value for {name} (RFC 7512)")
        found[name] = value
    return found


def _unknown(name: str) -> str:
    if name in _PATH or name in _QUERY:
        before, after = "; ".join(_PATH), " & ".join(_QUERY)
        return f"in a pkcs11: URI, {before} come before the ?, and {after} after it"
    shown = repr(name) if re.fullmatch("[a-z-]{1,30}", name) else "something"
    known = ", ".join(_PATH + _QUERY)
    return f"the pkcs11: URI has {shown}, which is not known here; known are {known}"


def _text(name: str, value: str) -> str:
    if name == "id":
        return ""  # bytes, not text
    try:
        text = unquote(value, errors="strict")
        text.encode()
    except UnicodeError:
        raise UsageError(f"the pkcs11: URI's {name} is not text (UTF-8)") from None
    if not text.isprintable():
        raise UsageError(f"the pkcs11: URI's {name} has characters that cannot be shown")
    return text


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,19}", text):
        raise UsageError("the pkcs11: URI's slot-id is not a number")
    return int(text)
