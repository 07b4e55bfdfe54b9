"""Shared access signatures, as the service reads them.

Judges and never makes: no clock, no I/O, and nothing of the device's own signing code, so that the
two are independent implementations. The signature covers the bytes of `sr` exactly as received,
because official clients spell `/` as `%2F` and as `%2f` and both pass (protocol.md 1.4):

    SharedAccessSignature sr=0ne1%2Fregistrations%2Fa&sig=...%3D&se=1700003600&skn=registration
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

_PREFIX = "SharedAccessSignature "
_MAX_CHARS = 4096
_FIELDS = frozenset(("sr", "sig", "se", "skn"))


class BadToken(Exception):
    """The text is not a token; says why, and never repeats it."""


_resource = lru_cache(maxsize=1024)(unquote)


@dataclass(frozen=True)
class Token:
    """sr: as received; signature: decoded; expires_at: Unix seconds; key_name: skn or ""."""

    sr: str
    signature: bytes
    expires_at: int
    key_name: str

    @property
    def resource(self) -> str:
        """What sr names, percent-decoded."""
        return _resource(self.sr)

    def is_signed_by(self, key_b64: str) -> bool:
        """Whether the key (base64) made the signature, in constant time."""
        text = f"{self.sr}\n{self.expires_at}".encode()
        return hmac.compare_digest(_hmac(key_b64, text), self.signature)


@lru_cache(maxsize=1024)  # a device shows the same token at each of its requests
def parse(text: str) -> Token:
    """Parse a token, its fields in any order; raise BadToken."""
    if not text.startswith(_PREFIX) or len(text) > _MAX_CHARS or not text.isascii():
        raise BadToken("not a SharedAccessSignature")
    fields = _fields(text[len(_PREFIX) :])
    for name in ("sr", "sig", "se"):
        if not fields.get(name):
            raise BadToken(f"the token has no {name}")
    return Token(fields["sr"], _signature(fields["sig"]), _expiry(fields["se"]), _skn(fields))


def derive_key(group_key_b64: str, registration_id: str) -> str:
    """A device's key, base64, of a group's key, base64 (protocol.md 4)."""
    return base64.b64encode(_hmac(group_key_b64, registration_id.encode())).decode()


@lru_cache(maxsize=4096)
def _hmac(key_b64: str, message: bytes) -> bytes:
    return hmac.digest(base64.b64decode(key_b64), message, "sha256")


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if not equals or name not in _FIELDS or name in fields:
            raise BadToken("the token has a field that is malformed, unknown or twice there")
        fields[name] = value
    return fields


def _skn(fields: dict[str, str]) -> str:
    return unquote(fields.get("skn", ""))


def _signature(text: str) -> bytes:
    # A bare + or = is the commonest slip of hand-made tokens, and Azure refuses it. A bare / is
    # what azure-iot-hub 2.7 writes (urllib's quote leaves it), and Azure takes it.
    if "+" in text or "=" in text:
        raise BadToken("sig is not percent-encoded")
    try:
        return base64.b64decode(unquote(text), validate=True)
    except (ValueError, binascii.Error):
        raise BadToken("sig is not base64") from None


def _expiry(text: str) -> int:
    if not text.isdigit() or len(text) > 12 or str(int(text)) != text:
        raise BadToken("se is not a number of Unix seconds")
    return int(text)
