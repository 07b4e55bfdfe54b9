"""The identity: the one document that crosses from a PC to a board, and its rules.

It holds one device's key, and never a group's or a CA's. No error text from here repeats a value
that could be secret: it names the field. The document, as JSON (`?` marks what may be absent):

    {"version": 1, "id_scope": "0ne00111111", "registration_id": "esp32-a1b2c3",
     "symmetric_key": {"primary": "<base64>", "secondary"?: "<base64>"},
or   "x509": {"chain": ["<base64>", ...], "key": "<base64>", "csr"?: "<base64>"},
     "endpoint"?: "global.azure-devices-provisioning.net", "port"?: 8883, "https_port"?: 443,
     "wifi"?: [{"ssid": "...", "password"?: "...", "ifconfig"?: [...]}, ...],
     "ethernet"?: {"spi": 1, "sck": 12, "mosi": 11, "miso": 13, "cs": 10, "int"?: 4, "reset"?: 9,
                   "ifconfig"?: ["10.0.0.17", "255.255.255.0", "10.0.0.1", "10.0.0.1"]},
     "ntp"?: "pool.ntp.org" or "host:port" or a list of them, "led"?: 2 or "LED",
     "roots_key"?: "<base64>", "payload"?: {...}, "model_id"?: "dtmi:..."}

x509: DER: certificates from the leaf up, without the root; the key as SEC1, PKCS #1 or PKCS #8;
and a PKCS #10 request, made with that key, by which DPS issues another certificate;
ethernet: a W5500's SPI bus and pins; ifconfig: address, mask, gateway and DNS, instead of DHCP's;
led: the pin of a status LED, ~N (so -3 for 2) if a low level lights it;
roots_key: the modulus of the RSA key that signs new trust roots (trust.py).
"""

import json
from binascii import a2b_base64

from ._const import const
from .errors import IdentityError

_TYPING = const(0)
if _TYPING:
    from typing import Any, NoReturn

_MAX_BYTES = const(8192)
_HOST_MARKS = const(b"-.")
_REQUIRED = ("version", "id_scope", "registration_id")
_DEFAULTS = {
    "symmetric_key": None,
    "x509": None,
    "endpoint": "global.azure-devices-provisioning.net",
    "port": 8883,
    "https_port": 443,
    "wifi": [],
    "ethernet": None,
    "ntp": ["pool.ntp.org", "time.windows.com"],
    "led": None,
    "roots_key": None,
    "payload": None,
    "model_id": None,
}
_PINS = ("spi", "sck", "mosi", "miso", "cs")


def check_registration_id(text: str) -> str:
    """Return text if DPS takes it as a registration id in every api-version, else raise.

    At most 128 of a-z 0-9 - . _ : with a-z or 0-9 first and a-z, 0-9 or - last. Upper case is
    refused, because the key is derived from the exact bytes while DPS ignores case
    (azure/iot-dps/concepts-service#registration-id, protocol.md 4 and 7).
    """
    _text(text, "registration_id", 128, b"-._:")
    if text != text.lower() or text[:1] in "-._:" or text[-1:] in "._:":
        _fail("registration_id", "must be in lower case, not begin with -._: nor end with ._:")
    return text


def check_key(text: str, field: str) -> str:
    """Return text if it is base64 of a key DPS takes (16 to 64 bytes), else raise.

    field names it in the error; the key itself is never repeated
    (azure/iot-dps/concepts-symmetric-key-attestation).
    """
    return _base64(text, field, 16, 64)


def check(value: object) -> dict:
    """Return the document with defaults filled in; raise IdentityError for its first fault."""
    document = _object(value, "identity", _REQUIRED, tuple(_DEFAULTS))
    if document["version"] != 1 or document["version"] is True:
        _fail("version", "is not 1, the one that is known here")
    whole = _DEFAULTS | document
    _text(whole["id_scope"], "id_scope", 32, b"")
    check_registration_id(whole["registration_id"])
    _proof(whole["symmetric_key"], whole["x509"])
    _hosts(whole)
    _wired(whole)
    if whole["roots_key"] is not None:
        _base64(whole["roots_key"], "roots_key", 256, 512)
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


def _fail(field: str, why: str) -> "NoReturn":
    raise IdentityError(field + " " + why)


def _object(value: object, field: str, required: tuple, optional: tuple) -> dict:
    if not isinstance(value, dict):
        _fail(field, "is not a JSON object (torn, perhaps?)")
    for name in required:
        if name not in value:
            _fail(field, "has no " + name)
    for name in value:
        if name not in required and name not in optional:
            _fail(field, "has a field that is not known: %.24s" % name)
    return value


def _text(value: str, field: str, longest: int, marks: bytes | None = None) -> None:
    """Check a text of 1 to longest bytes: no control characters; or letters, digits and marks."""
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= longest:
        _fail(field, "must be text of 1 to %d bytes" % longest)
    for b in value.encode():
        if b < 32 or (marks is not None and b not in marks and not _alphanumeric(b)):
            _fail(field, "may not hold %r" % chr(b))


def _alphanumeric(b: int) -> bool:
    return 48 <= b <= 57 or 97 <= b | 32 <= 122


def _base64(text: str, field: str, least: int, most: int) -> str:
    text = text if isinstance(text, str) else "?"
    body = text.rstrip("=").encode()
    odd = any(b not in b"+/" and not _alphanumeric(b) for b in body)
    if odd or len(text) % 4 or len(text) - len(body) > 2:
        _fail(field, "is not base64 (cut short, perhaps?)")
    if not least <= len(a2b_base64(text)) <= most:
        _fail(field, "must be of %d to %d bytes" % (least, most))
    return text


def _proof(keys: "Any", x509: "Any") -> None:
    """Check what the device proves itself with."""
    if (keys is None) == (x509 is None):
        _fail("symmetric_key", "or x509 must be there, and not both")
    if x509 is None:
        _object(keys, "symmetric_key", ("primary",), ("secondary",))
        for name in keys:
            check_key(keys[name], "symmetric_key." + name)
        return
    _object(x509, "x509", ("chain", "key"), ("csr",))
    for text in _list(x509["chain"], "x509.chain", 1, 4):
        _base64(text, "x509.chain", 1, 2048)
    for name in x509:
        if name != "chain":
            _base64(x509[name], "x509." + name, 1, 1300 if name == "key" else 1024)


def _hosts(whole: dict) -> None:
    _text(whole["endpoint"], "endpoint", 253, _HOST_MARKS)
    for name in ("port", "https_port"):
        _number(whole[name], name, 1, 65535)
    whole["ntp"] = [whole["ntp"]] if isinstance(whole["ntp"], str) else whole["ntp"]
    for host in _list(whole["ntp"], "ntp", 1, 4):
        _ntp(host)


def _wired(whole: dict) -> None:
    """Check how this unit reaches a network, and its LED."""
    led = whole["led"]
    if led is not None:
        _text("%d" % led if type(led) is int else led, "led", 8, b"-")
    for network in _list(whole["wifi"], "wifi", 0, 8):
        _object(network, "wifi network", ("ssid",), ("password", "ifconfig"))
        _text(network["ssid"], "wifi ssid", 32)
        _text(network.get("password") or "-", "wifi password", 64)
        _ifconfig(network)
    if whole["ethernet"] is not None:
        pins = _object(whole["ethernet"], "ethernet", _PINS, ("int", "reset", "ifconfig"))
        for name in pins:
            if name != "ifconfig":
                _number(pins[name], "ethernet " + name, 0, 99)
        _ifconfig(pins)


def _list(value: list, field: str, least: int, most: int) -> list:
    if not isinstance(value, list) or not least <= len(value) <= most:
        _fail(field, "must be a list of %d to %d" % (least, most))
    return value


def _ifconfig(network: dict) -> None:
    """Check four IPv4 addresses, as network's ifconfig() takes them, if there are any."""
    addresses = network.get("ifconfig")
    for address in () if addresses is None else _list(addresses, "ifconfig", 4, 4):
        _text(address, "ifconfig", 15, b".")
        for part in _list(address.split("."), "ifconfig", 4, 4):
            _number(int(part) if part.encode().isdigit() else 256, "ifconfig", 0, 255)


def _number(value: object, field: str, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        _fail(field, "must be a number from %d to %d" % (least, most))


def _ntp(text: str) -> None:
    host, colon, port = text.partition(":") if isinstance(text, str) else ("", "", "")
    _text(host, "ntp", 253, _HOST_MARKS)
    if colon:
        _number(int(port) if port.encode().isdigit() else 0, "ntp port", 1, 65535)
