"""What a PKCS#11 token refuses, as one sentence each, and what to do about it.

Only the name of an error is shown, never a text of the library's: nobody knows what is in it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pkcs11 import TokenFlag
from pkcs11 import exceptions as refusals

from .errors import ToolError, UsageError

_GONE = (
    refusals.DeviceError,
    refusals.DeviceRemoved,
    refusals.SessionClosed,
    refusals.SessionHandleInvalid,
    refusals.TokenNotPresent,
    refusals.UserNotLoggedIn,
)


@contextmanager
def told(name: str, task: str = "compute HMAC-SHA256 (CKM_SHA256_HMAC)") -> Iterator[None]:
    """Turn the library's errors into ours. task: what the token is asked to do, in three words."""
    try:
        yield
    except _GONE as error:
        raise ToolError(
            f"the token {name!r} is gone ({type(error).__name__}); put it back and start again"
        ) from None
    except (refusals.PKCS11Error, RuntimeError) as error:
        refused = _REFUSED.get(type(error))
        if refused:
            raise UsageError(f"the token {name!r} {refused.format(task=task)}") from None
        raise ToolError(
            f"the token {name!r} fails ({type(error).__name__}); see that it is plugged in, "
            "then start again"
        ) from None


_REFUSED: dict[type[Exception], str] = {
    refusals.PinLocked: "has locked its PIN; its security officer can set a new one",
    refusals.PinExpired: "wants a new PIN: the one it has is too old",
    refusals.UserPinNotInitialized: "has no PIN yet; its security officer sets the first",
    refusals.TokenWriteProtected: "is write-protected",
    refusals.SessionReadOnly: "is write-protected",
    refusals.MechanismInvalid: "does not {task}",
    refusals.KeyTypeInconsistent: "does not {task} with a key of this kind",
    refusals.KeySizeRange: "does not {task} with a key of this length",
    refusals.DeviceMemory: "is full",
}


def refuse_last_try(flags: TokenFlag, name: str) -> None:
    """Raise UsageError for a token that is locked, or would be after one more wrong PIN."""
    if TokenFlag.USER_PIN_LOCKED in flags:
        raise UsageError(
            f"the token {name!r} has locked its PIN after too many wrong ones; "
            "its security officer can set a new one"
        )
    if TokenFlag.USER_PIN_FINAL_TRY in flags:
        raise UsageError(
            f"the token {name!r} has one try left before it locks, which is not spent here: "
            "log in once by hand (pkcs11-tool --login --list-objects), then start again"
        )


def wrong_pin(flags: TokenFlag, name: str) -> str:
    """What to say of a PIN that the token did not take; flags: read after that."""
    left = "it locks after a few wrong ones"
    if TokenFlag.USER_PIN_LOCKED in flags:
        left = "it is locked now, and its security officer must set a new one"
    elif TokenFlag.USER_PIN_FINAL_TRY in flags:
        left = "one try is left before it locks"
    elif TokenFlag.USER_PIN_COUNT_LOW in flags:
        left = "few tries are left before it locks"
    return f"the token {name!r} does not take this PIN; {left}: check it before the next try"
