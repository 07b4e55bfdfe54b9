"""An enrollment group's key: gives the keys of its devices, and is not given out itself.

Opened once, used all day, from several threads. In memory, or in a PKCS#11 token in which it
stays. Neither shows its key to whoever prints it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from . import keys
from .custody import SOURCES, Custody
from .errors import UsageError
from .pkcs11uri import SCHEME, TokenURI, parse

GROUP_SOURCES = f"{SOURCES}; or pkcs11:..., a token in which it stays"
MODULE_VARIABLE = "FIRSTLIGHT_PKCS11_MODULE"


class GroupKey(Protocol):
    """What a line needs of a group's key. fingerprint: keys.fingerprint's, of this key."""

    @property
    def fingerprint(self) -> str: ...

    def derive(self, registration_id: str) -> str:
        """Return the key of a device, base64. Raises UsageError; ToolError if a token fails."""


class MemoryKey:
    """A group's key in this process's memory. what: as errors call it. Raises UsageError."""

    __slots__ = ("_key_b64", "fingerprint")

    def __init__(self, key_b64: str, what: str) -> None:
        self._key_b64 = keys.checked(key_b64, what)
        self.fingerprint = keys.fingerprint(self._key_b64)

    def __repr__(self) -> str:
        return f"<MemoryKey {self.fingerprint}>"

    def derive(self, registration_id: str) -> str:
        """Return the key of a device, base64. Raises UsageError."""
        return keys.derive(self._key_b64, registration_id)


def reads_standard_input(source: str) -> bool:
    """Whether opening the source takes a line of standard input: the key, or a token's PIN."""
    return source == "-" or (source.startswith(SCHEME) and parse(source).pin_source == "-")


def open_group_key(source: str, what: str, custody: Custody) -> GroupKey:
    """Open the group key that a source names. what: as errors call it, "the group key".

    Raises UsageError; ToolError if a token fails.
    """
    if not source.startswith(SCHEME):
        return MemoryKey(custody.read(source, what), what)
    uri = parse(source)
    with token_package():
        from .pkcs11token import open_key  # noqa: PLC0415  an extra, which few need
    module = token_module(uri, custody)
    return open_key(uri, module, token_pin(uri, custody), what)


def put_into_token(key_b64: str, token: str, custody: Custody) -> GroupKey:
    """Write a group key into the token that a pkcs11: URI names, never to be read again.

    Raises UsageError; ToolError if the token fails.
    """
    if not token.startswith(SCHEME):
        raise UsageError("the token must be named by a URI: pkcs11:token=NAME;object=KEY?...")
    uri = parse(token)
    with token_package():
        from .pkcs11token import put_key  # noqa: PLC0415  an extra, which few need
    module = token_module(uri, custody)
    return put_key(uri, module, token_pin(uri, custody), keys.checked(key_b64, "the group key"))


@contextmanager
def token_package() -> Iterator[None]:
    """Raise UsageError if the package is missing that is imported in here."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "pkcs11":
            raise
        raise UsageError(
            "a key in a token needs one more package: pip install 'firstlight[pkcs11]'"
        ) from None


def token_module(uri: TokenURI, custody: Custody) -> str:
    """The library that drives a token. Raises UsageError."""
    path = uri.module_path or custody.setting(MODULE_VARIABLE)
    if path is None:
        raise UsageError(
            "which PKCS#11 library drives the token? add ?module-path=/path/to/library.so to "
            f"the URI, or set {MODULE_VARIABLE}"
        )
    return path


def token_pin(uri: TokenURI, custody: Custody) -> str | None:
    """A token's PIN, from where the URI says; None: it does not. Raises UsageError."""
    return None if uri.pin_source is None else custody.read(uri.pin_source, "the token's PIN")
