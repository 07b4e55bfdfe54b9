"""Device keys from a group's key, and SAS tokens: DPS's arithmetic on the host.

No I/O: keys come in as arguments and go out as results, never into an error. Written over the
standard library's hmac and urllib, apart from the board's own aziot.sas, so that each checks
the other.
"""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from urllib.parse import quote

from aziot import identity
from aziot.errors import IdentityError

from .errors import UsageError

# Signed to tell a key by. Its spaces make it no registration id: no device's key comes of it.
FINGERPRINT_TEXT = b"firstlight key fingerprint"
_LONG_RUN = re.compile("[A-Za-z0-9+/=]{20,}")


def checked(key_b64: str, name: str) -> str:
    """Return the key if DPS would take it (base64, 16 to 64 bytes); UsageError names it."""
    try:
        return identity.check_key(key_b64, name)
    except IdentityError as error:
        raise UsageError(str(error)) from None
    except UnicodeEncodeError:  # from bytes that were no UTF-8
        raise UsageError(f"{name} is not base64") from None


def registration_id(text: str) -> str:
    """Return text if it may be a registration id; raise UsageError that says why not."""
    try:
        return identity.check_registration_id(text)
    except IdentityError as error:
        named = shown(text, "")
        hint = f"; did you mean {text.lower()}?" if named != named.lower() else ""
        raise UsageError(f"{_quoted(text)} is refused: {error}{hint}") from None
    except UnicodeEncodeError:
        raise UsageError(f"{_quoted(text)} is refused: it is not text (UTF-8)") from None


def shown(text: str, instead: str) -> str:
    """Return the text, or what to say instead if there may be a key in it, by mistake.

    `file:$KEY` is easily typed, and a table with the keys is easily taken for one of ids.
    """
    runs = _LONG_RUN.findall(text)
    return text if all(run in (run.lower(), run.upper()) for run in runs) else instead


def _quoted(text: str) -> str:
    return repr(text[:140]) if shown(text, "") else "a text that may hold a key, not an id,"


def derive(group_key_b64: str, device: str) -> str:
    """Return the device's key, base64: HMAC-SHA256 of its registration id under the group's key.

    azure/iot-dps/concepts-symmetric-key-attestation; protocol.md 4. Raises UsageError.
    """
    key = b64decode(checked(group_key_b64, "the group key"))
    signed = hmac.new(key, registration_id(device).encode(), sha256).digest()
    return b64encode(signed).decode()


def fingerprint(key_b64: str) -> str:
    """Return 16 hex digits that tell one key from another and give nothing of it away.

    Raises UsageError.
    """
    key = b64decode(checked(key_b64, "the key"))
    return fingerprint_of(hmac.new(key, FINGERPRINT_TEXT, sha256).digest())


def fingerprint_of(signed: bytes) -> str:
    """Return the fingerprint of the key that signed FINGERPRINT_TEXT, wherever it did."""
    return sha256(signed).hexdigest()[:16]


def token(resource: str, key_b64: str, expires_at: int, policy: str | None = None) -> str:
    """Return the SAS token for resource until expires_at (Unix seconds); protocol.md 1.4.

    Raises UsageError.
    """
    key = b64decode(checked(key_b64, "the key"))
    try:
        place = quote(resource, safe="")
        (policy or "").encode()
    except UnicodeEncodeError:
        raise UsageError("the resource or the policy is not text (UTF-8)") from None
    signed = hmac.new(key, f"{place}\n{expires_at}".encode(), sha256).digest()
    signature = quote(b64encode(signed).decode(), safe="")
    skn = f"&skn={policy}" if policy else ""
    return f"SharedAccessSignature sr={place}&sig={signature}&se={expires_at}{skn}"


def registration_ids(lines: Iterable[str]) -> Iterator[str]:
    """Yield the ids of a file, one to a line; empty lines and # comments are passed over.

    Raises UsageError, with the line's number, for an id that DPS would refuse or that comes twice.
    """
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            yield registration_id(text)
        except UsageError as error:
            raise UsageError(f"line {number}: {error}") from None
        if text in seen:
            raise UsageError(f"line {number}: {text} is there twice, first on line {seen[text]}")
        seen[text] = number
