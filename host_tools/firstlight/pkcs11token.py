"""A group's key in a PKCS#11 token (a card, an HSM, SoftHSM): the HMAC is computed in there.

The key comes into this process only when put_key moves it in. One thread makes every call of
the token's C library: no library is called by two threads at once, and none that hangs is
waited for without end. No text of the library's is shown, only the name of its error.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, TokenFlag
from pkcs11 import exceptions as refusals

from . import keys
from .errors import ToolError, UsageError
from .pkcs11errors import refuse_last_try, told, wrong_pin
from .pkcs11uri import TokenURI

_T = TypeVar("_T")
_PATIENCE_S = 30.0
_HMAC_BYTES = 32
_KINDS = (KeyType.GENERIC_SECRET, KeyType.SHA256_HMAC)
_NOT_FOR = (  # many a token allows all of these to a key of which nothing is said
    Attribute.ENCRYPT,
    Attribute.DECRYPT,
    Attribute.WRAP,
    Attribute.UNWRAP,
    Attribute.DERIVE,
)
_WRONG_PIN = (refusals.PinIncorrect, refusals.PinInvalid, refusals.PinLenRange)


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
        return _clerk().ask(lambda: _sign(self._key, text, self._name), self._name)


def open_key(uri: TokenURI, module: str, pin: str | None, what: str) -> TokenKey:
    """Log in to the token and find the key. what: as errors call it.

    It stays logged in until the process ends. Raises UsageError; ToolError if it fails.
    """
    return TokenKey(*_clerk().ask(lambda: _opened(uri, module, pin, what), _named(uri)))


def put_key(uri: TokenURI, module: str, pin: str | None, key_b64: str) -> TokenKey:
    """Write a key into the token, sensitive and not extractable, and check what was written.

    Raises UsageError; ToolError if the token fails.
    """
    found = TokenKey(*_clerk().ask(lambda: _written(uri, module, pin, key_b64), _named(uri)))
    if found.fingerprint != keys.fingerprint(key_b64):
        raise ToolError(f"{found!r} computes something else than HMAC-SHA256 of the key")
    return found


def _named(uri: TokenURI) -> str:
    """What to call a token that was not looked at yet."""
    return uri.token or uri.serial or "the only one"


class _Clerk:
    """The one thread that calls the library."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        Thread(target=self._serve, name="pkcs11", daemon=True).start()

    def ask(self, act: Callable[[], _T], name: str) -> _T:
        """Have something done; raise ToolError if that takes longer than a token may."""
        answer: Future[_T] = Future()
        self._asked.put((answer, act))
        try:
            return answer.result(_PATIENCE_S)
        except TimeoutError:
            answer.cancel()
            raise ToolError(
                f"the token {name!r} has not answered for {_PATIENCE_S:.0f} s; "
                "pull it out, put it back, and start again"
            ) from None

    def _serve(self) -> None:
        while True:
            answer, act = self._asked.get()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(act())
            except BaseException as error:
                answer.set_exception(error)


@cache
def _clerk() -> _Clerk:
    return _Clerk()


def _sign(key: Any, text: bytes, name: str) -> bytes:
    with told(name):
        signed = bytes(key.sign(text, mechanism=Mechanism.SHA256_HMAC))
    if len(signed) != _HMAC_BYTES:
        raise ToolError(f"the token {name!r} gave {len(signed)} bytes for an HMAC-SHA256")
    return signed


def _opened(uri: TokenURI, module: str, pin: str | None, what: str) -> tuple[Any, str]:
    """The key, and its token's name."""
    token = _token(uri, module)
    with told(token.label):
        found = list(_matching(_session(token, pin, is_writing=False), uri))
        return _one_that_signs(found, uri, what), token.label


def _written(uri: TokenURI, module: str, pin: str | None, key_b64: str) -> tuple[Any, str]:
    """The key that was written, and its token's name."""
    token = _token(uri, module)
    with told(token.label):
        session = _session(token, pin, is_writing=True)
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


def _token(uri: TokenURI, module: str) -> Any:
    """The one token that is there and that the URI means. Raises UsageError."""
    tokens = [token for token in _tokens(module) if _is_meant(token, uri)]
    meant = f"with {uri.token_text()}" if uri.token_text() else "of any name"
    if not tokens:
        raise UsageError(
            f"no token {meant} is plugged in; is it in its reader, and is its name right? "
            "pkcs11-tool --list-slots shows what is there"
        )
    if len(tokens) > 1:
        found = ", ".join(f"serial={token.serial.decode(errors='replace')}" for token in tokens)
        raise UsageError(f"{len(tokens)} tokens {meant} are plugged in; add one of {found}")
    return tokens[0]


def _tokens(module: str) -> Iterator[Any]:
    if not Path(module).is_absolute() or not Path(module).is_file():
        raise UsageError(f"there is no PKCS#11 library at {module!r}: name the whole path of it")
    try:
        slots = pkcs11.lib(module).get_slots(token_present=True)
    except (refusals.PKCS11Error, RuntimeError) as error:
        raise UsageError(
            f"{module} does not work as a PKCS#11 library ({type(error).__name__})"
        ) from None
    for slot in slots:
        try:
            token = slot.get_token()
        except (refusals.TokenNotPresent, refusals.TokenNotRecognised):
            continue  # went away just now, or belongs to another library
        if TokenFlag.TOKEN_INITIALIZED in token.flags:
            yield token


def _is_meant(token: Any, uri: TokenURI) -> bool:
    said = {
        "token": token.label,
        "serial": token.serial.decode(errors="replace"),
        "manufacturer": token.manufacturer_id,
        "model": token.model,
        "slot_id": token.slot.slot_id,
    }
    return all(getattr(uri, name) in (None, value) for name, value in said.items())


def _session(token: Any, pin: str | None, *, is_writing: bool) -> Any:
    """Open a session, and log in where that takes a PIN. Raises UsageError."""
    if pin is None:
        if TokenFlag.LOGIN_REQUIRED in token.flags:
            raise UsageError(
                f"the token {token.label!r} asks for a PIN: say where it is kept, with "
                "?pin-source=file:PATH in the URI"
            )
        return token.open(rw=is_writing)
    refuse_last_try(token.flags, token.label)
    try:
        return token.open(rw=is_writing, user_pin=pin)
    except refusals.UserAlreadyLoggedIn:  # by another key of the same token: a login is for all
        return token.open(rw=is_writing)
    except _WRONG_PIN:
        raise UsageError(wrong_pin(token.slot.get_token().flags, token.label)) from None


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
