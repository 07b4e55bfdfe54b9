"""A PKCS#11 token: which one is meant, a session in it, and the one thread that calls it.

One thread makes every call of the token's C library: no library is called by two threads at
once, and none that hangs is waited for without end. Knows nothing of what the keys are for.
"""

import hmac
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import pkcs11
from pkcs11 import TokenFlag
from pkcs11 import exceptions as refusals

from .errors import ToolError, UsageError
from .pkcs11errors import refuse_last_try, wrong_pin
from .pkcs11uri import TokenURI

_T = TypeVar("_T")
_PATIENCE_S = 30.0
_SALT = os.urandom(32)
_logins: dict[tuple[int, bytes, str], bytes] = {}  # a token to the mark of the PIN that it took
_WRONG_PIN = (refusals.PinIncorrect, refusals.PinInvalid, refusals.PinLenRange)


def named(uri: TokenURI) -> str:
    """What to call a token that was not looked at yet."""
    return uri.token or uri.serial or "the only one"


class _Clerk:
    """The one thread that calls the library."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        Thread(target=self._serve, name="pkcs11", daemon=True).start()

    def ask(self, act: Callable[[], _T], name: str, patience_s: float | None = None) -> _T:
        """Have something done; raise ToolError if that takes longer than a token may."""
        answer: Future[_T] = Future()
        self._asked.put((answer, act))
        patience_s = patience_s or _PATIENCE_S
        try:
            return answer.result(patience_s)
        except TimeoutError:
            answer.cancel()
            raise ToolError(
                f"the token {name!r} has not answered for {patience_s:.0f} s; "
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


def ask(act: Callable[[], _T], name: str, patience_s: float | None = None) -> _T:
    """Have the one thread do something with the token of that name. patience_s: None for 30.

    Raises what it raises, and ToolError if it takes longer than a token may.
    """
    return _clerk().ask(act, name, patience_s)


def find_token(uri: TokenURI, module: str) -> Any:
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


def open_session(token: Any, pin: str | None, *, is_writing: bool) -> Any:
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
        session = token.open(rw=is_writing, user_pin=pin)
    except refusals.UserAlreadyLoggedIn:  # by another key of the same token: a login is for all
        if _logins.get(_place(token), _mark(pin)) != _mark(pin):
            raise UsageError(
                f"the token {token.label!r} is open with another PIN than this one, which it "
                "would not take: say the same for all of its keys"
            ) from None
        return token.open(rw=is_writing)
    except _WRONG_PIN:
        raise UsageError(wrong_pin(token.slot.get_token().flags, token.label)) from None
    _logins[_place(token)] = _mark(pin)
    return session


def _place(token: Any) -> tuple[int, bytes, str]:
    return token.slot.slot_id, token.serial, token.label


def _mark(pin: str) -> bytes:
    """What a PIN is told by from another, in this process alone."""
    return hmac.digest(_SALT, pin.encode(), "sha256")
