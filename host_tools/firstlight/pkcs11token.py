"""A group's key in a PKCS#11 token (a card, an HSM, SoftHSM): the HMAC is computed in there.

The key comes into this process only when put_key moves it in. No text of the library's is shown,
only the name of its error.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from . import keys
from .errors import ToolError, UsageError
from .pkcs11errors import told
from .pkcs11session import ask, find_token, named, open_session
from .pkcs11uri import TokenURI

_HMAC_BYTES = 32
_KINDS = (KeyType.GENERIC_SECRET, KeyType.SHA256_HMAC)
_NOT_FOR = (  # many a token allows all of these to a key of which nothing is said
    Attribute.ENCRYPT,
    Attribute.DECRYPT,
    Attribute.WRAP,
    Attribute.UNWRAP,
    Attribute.DERIVE,
)


class TokenKey:
    """A group's key that its token keeps. name: of the token."""

    def __init__(self, key: Any, name: str) -> None:
        self._key = key
        self._name = name
        self.fingerprint = keys.fingerprint_of(self._hmac(keys.FINGERPRINT_TEXT))

    def __repr__(self) -> str:
        return f"<TokenKey {self.fingerprint} in {self._name!r}>"

    def derive(self, registration_id: str) -> str:
        """Return the key of a device, base64. Raises UsageError; ToolError if the token fails."""
        return b64encode(self._hmac(keys.registration_id(registration_id).encode())).decode()

    def _hmac(self, text: bytes) -> bytes:
        return ask(lambda: _sign(self._key, text, self._name), self._name)


def open_key(uri: TokenURI, module: str, pin: str | None, what: str) -> TokenKey:
    """Log in to the token and find the key. what: as errors call it.

    It stays logged in until the process ends. Raises UsageError; ToolError if it fails.
    """
    return TokenKey(*ask(lambda: _opened(uri, module, pin, what), named(uri)))


def put_key(uri: TokenURI, module: str, pin: str | None, key_b64: str) -> TokenKey:
    """Write a key into the token, sensitive and not extractable, and check what was written.

    Raises UsageError; ToolError if the token fails.
    """
    found = TokenKey(*ask(lambda: _written(uri, module, pin, key_b64), named(uri)))
    if found.fingerprint != keys.fingerprint(key_b64):
        raise ToolError(f"{found!r} computes something else than HMAC-SHA256 of the key")
    return found


def _sign(key: Any, text: bytes, name: str) -> bytes:
    with told(name):
        signed = bytes(key.sign(text, mechanism=Mechanism.SHA256_HMAC))
    if len(signed) != _HMAC_BYTES:
        raise ToolError(f"the token {name!r} gave {len(signed)} bytes for an HMAC-SHA256")
    return signed


def _opened(uri: TokenURI, module: str, pin: str | None, what: str) -> tuple[Any, str]:
    """The key, and its token's name."""
    token = find_token(uri, module)
    with told(token.label):
        found = list(_matching(open_session(token, pin, is_writing=False), uri))
        return _one_that_signs(found, uri, what), token.label


def _written(uri: TokenURI, module: str, pin: str | None, key_b64: str) -> tuple[Any, str]:
    """The key that was written, and its token's name."""
    token = find_token(uri, module)
    with told(token.label):
        session = open_session(token, pin, is_writing=True)
        if list(_matching(session, uri)):
            raise UsageError(
                f"the token has a key with {uri.key_text()} already, which is never written "
                "over; give this one another name"
            )
        key = session.create_object(_template(uri, b64decode(key_b64)))
        if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
            key.destroy()
            raise UsageError(f"the token {token.label!r} would give the key out again")
        return key, token.label


def _template(uri: TokenURI, key: bytes) -> dict[Attribute, Any]:
    named = {Attribute.LABEL: uri.object, Attribute.ID: uri.id}
    given = {name: value for name, value in named.items() if value is not None}
    return (
        given
        | dict.fromkeys(_NOT_FOR, False)
        | {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
            Attribute.TOKEN: True,
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.MODIFIABLE: False,
            Attribute.SIGN: True,
            Attribute.VALUE: key,
        }
    )


def _matching(session: Any, uri: TokenURI) -> Iterator[Any]:
    wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.SECRET_KEY}
    if uri.object is not None:
        wanted[Attribute.LABEL] = uri.object
    if uri.id is not None:
        wanted[Attribute.ID] = uri.id
    yield from session.get_objects(wanted)


def _one_that_signs(found: list[Any], uri: TokenURI, what: str) -> Any:
    if not found:
        raise UsageError(
            f"the token has no secret key with {uri.key_text()} to be {what}; "
            "put it there: firstlight keys to-token --help"
        )
    if len(found) > 1:
        raise UsageError(f"the token has {len(found)} keys with {uri.key_text()}; name it by id")
    if found[0][Attribute.KEY_TYPE] not in _KINDS or not hasattr(found[0], "sign"):
        raise UsageError(
            f"the token's key with {uri.key_text()} may not compute an HMAC: it must be a "
            "generic secret key that may sign (CKA_SIGN)"
        )
    return found[0]
