"""The identity: the one document that crosses from a PC to a board, and its rules.

It holds one device's key and never a group's. No error text from here repeats a value that could
be secret: it names the field. The document, as JSON (`?` marks what may be absent):

    {"version": 1, "id_scope": "0ne00111111", "registration_id": "esp32-a1b2c3",
     "symmetric_key": {"primary": "<base64>", "secondary"?: "<base64>"},
     "endpoint"?: "global.azure-devices-provisioning.net", "port"?: 8883,
     "wifi"?: [{"ssid": "...", "password"?: "..."}, ...],
     "ntp"?: "pool.ntp.org" or "host:port", "payload"?: {...}, "model_id"?: "dtmi:..."}
"""

import json
from binascii import a2b_base64

from ._const import const
from .errors import IdentityError

_MAX_BYTES = const(8192)
# Alphabets are bytes: MicroPython keeps every one-character str that it meets, for good.
_ID = const(b"abcdefghijklmnopqrstuvwxyz0123456789-._:")
_SCOPE = const(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_BASE64 = const(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/")
_HOST = const(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")

_REQUIRED = ("version", "id_scope", "registration_id", "symmetric_key")
_DEFAULTS = {
    "endpoint": "global.azure-devices-provisioning.net",
    "port": 8883,
    "wifi": [],
    "ntp": "pool.ntp.org",
    "payload": None,
    "model_id": None,
}


def check_registration_id(text: str) -> str:
    """Return text if DPS takes it as a registration id in every api-version, else raise.

    At most 128 of a-z 0-9 - . _ : with a-z or 0-9 first and a-z, 0-9 or - last. Upper case is
    refused, because the key is derived from the exact bytes while DPS ignores case
    (azure/iot-dps/concepts-service#registration-id, protocol.md 4 and 7).
    """
    _text(text, "registration_id", 128, _ID)
    if text[:1] in "-._:" or text[-1:] in "._:":
        _fail("registration_id", "must begin with a-z or 0-9 and not end with . _ or :")
    return text


def check_key(text: str, field: str) -> str:
    """Return text if it is base64 of a key DPS takes (16 to 64 bytes), else raise.

    field names it in the error; the key itself is never repeated
    (azure/iot-dps/concepts-symmetric-key-attestation).
    """
    text = text if isinstance(text, str) else "?"
    body = text.rstrip("=").encode()
    if len(text) % 4 or len(text) - len(body) > 2 or any(b not in _BASE64 for b in body):
        _fail(field, "is not base64 (cut short, perhaps?)")
    if not 16 <= len(a2b_base64(text)) <= 64:
        _fail(field, "must be of 16 to 64 bytes, as DPS requires")
    return text


def check(value: object) -> dict:
    """Return the document with defaults filled in; raise IdentityError for its first fault."""
    document = _object(value, "identity", _REQUIRED, tuple(_DEFAULTS))
    if document["version"] != 1 or document["version"] is True:
        _fail("version", "is not 1, the one that is known here")
    whole = _DEFAULTS | document
    _text(whole["id_scope"], "id_scope", 32, _SCOPE)
    check_registration_id(whole["registration_id"])
    keys = _object(whole["symmetric_key"], "symmetric_key", ("primary",), ("secondary",))
    for name in keys:
        check_key(keys[name], "symmetric_key." + name)
    _address(whole["endpoint"], whole["port"], "endpoint")
    _ntp(whole["ntp"])
    if not isinstance(whole["wifi"], list) or len(whole["wifi"]) > 8:
        _fail("wifi", "must be a list of at most 8 networks")
    for network in whole["wifi"]:
        _object(network, "wifi network", ("ssid",), ("password",))
        _text(network["ssid"], "wifi ssid", 32)
        _text(network.get("password") or "-", "wifi password", 64)
    if not isinstance(whole["payload"] or {}, dict):
        _fail("payload", "must be a JSON object")
    _text(whole["model_id"] or "-", "model_id", 256)
    return whole


def load(raw: bytes) -> dict:
    """Parse and check what was stored or sent; raise IdentityError, whatever the bytes are."""
    try:
        document = json.loads(raw) if len(raw) <= _MAX_BYTES else None
    except ValueError:  # UnicodeError is one
        document = None
    return check(document)


def dump(document: dict) -> bytes:
    """Check the document and return the bytes that load() takes."""
    check(document)
    raw = json.dumps(document).encode()
    if len(raw) > _MAX_BYTES:
        _fail("identity", "is longer than %d bytes" % _MAX_BYTES)
    return raw


def _fail(field: str, why: str) -> None:
    raise IdentityError(field + " " + why)


def _object(value: object, field: str, required: tuple, optional: tuple) -> dict:
    if not isinstance(value, dict):
        raise IdentityError(field + " is not a JSON object (torn, or something else?)")
    for name in required:
        if name not in value:
            _fail(field, "has no " + name)
    for name in value:
        if name not in required and name not in optional:
            _fail(field, "has a field that is not known: %.24s" % name)
    return value


def _text(value: str, field: str, longest: int, alphabet: bytes = b"") -> None:
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= longest:
        _fail(field, "must be text of 1 to %d bytes" % longest)
    for b in value.encode():
        if b < 32 or (alphabet and b not in alphabet):
            _fail(field, "has a character that is not allowed: %r" % chr(b))


def _address(host: str, port: int, field: str) -> None:
    _text(host, field, 253, _HOST)
    if not isinstance(port, int) or not 1 <= port <= 65535:
        _fail(field, "must have a port from 1 to 65535")


def _ntp(text: str) -> None:
    host, colon, port = text.partition(":") if isinstance(text, str) else ("", "", "")
    number = int(port) if port.encode().isdigit() else 0
    _address(host, number if colon else 123, "ntp")
