"""Bundles of trust roots for boards in the field: signed here, checked by firmware/bundle.py.

Written apart from the board's own check, over `cryptography`: each judges the other. A private key
comes in as text and goes out with make_key() alone, never into an error. No I/O.

    {"version": 2, "roots": ["<base64 of a certificate's DER>", ...], "signature": "<base64>"}
    signed: "firstlight roots\\n2\\n", and for each root the hex of its DER's SHA-256 and "\\n"
"""

import json
import warnings
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from .errors import UsageError

MOST = 4  # roots; this and what follows: what firmware/bundle.py takes
LONGEST_DER = 2048  # bytes: in base64 it fits into a text of a twin, 4096 bytes
LONGEST = 6144  # bytes of JSON: a board takes messages of 8192, and its twin holds more than this
NEWEST = (1 << 31) - 1
_BITS = range(2048, 4097)
_EXPONENT = 65537
_PRIVATE = "PRIVATE KEY-----"


@dataclass(frozen=True)
class Bundle:
    """One that is well formed. ders: the roots; signature: checked by whom it concerns."""

    version: int
    ders: tuple[bytes, ...]
    signature: bytes

    def as_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "roots": [b64encode(der).decode() for der in self.ders],
            "signature": b64encode(self.signature).decode(),
        }

    def is_signed_by(self, key: rsa.RSAPublicKey) -> bool:
        message = _message(self.version, self.ders)
        try:
            key.verify(self.signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def make_key() -> str:
    """A new private key, RSA of 3072 bits, as PEM: good past 2030 (NIST SP 800-57 part 1)."""
    key = rsa.generate_private_key(_EXPONENT, 3072)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def private_key(pem: str) -> rsa.RSAPrivateKey:
    """Read a private key from PEM; raise UsageError for anything that boards could not use."""
    try:
        key = load_pem_private_key(pem.encode(), None)
    except TypeError:
        raise UsageError(
            "the roots key is encrypted; decrypt it into a file of its own first: "
            "openssl pkey -in ENCRYPTED -out roots.key"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError("the roots key is not a private key as PEM") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise UsageError("the roots key is not an RSA key; make one: firstlight roots key")
    _check_public(key.public_key())
    return key


def public_key(pem: str) -> rsa.RSAPublicKey:
    """Read the public half of a PEM, which may hold the private one. Raise UsageError."""
    if _PRIVATE in pem:
        return private_key(pem).public_key()
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError("the roots key is neither a public nor a private key as PEM") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise UsageError("the roots key is not an RSA key; make one: firstlight roots key")
    _check_public(key)
    return key


def public_pem(key: rsa.RSAPublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def modulus_b64(key: rsa.RSAPublicKey) -> str:
    """What an identity holds as `roots_key`."""
    size = (key.key_size + 7) // 8
    return b64encode(key.public_numbers().n.to_bytes(size, "big")).decode()


def fingerprint(key: rsa.RSAPublicKey) -> str:
    """Hex of the SHA-256 of its DER: of `openssl pkey -pubin -in PEM -outform DER`."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def signed(
    key: rsa.RSAPrivateKey, version: int, ders: Sequence[bytes], now: datetime
) -> dict[str, Any]:
    """Sign roots as bundle number version; return its JSON. now: for what has expired.

    A root that is named twice goes in once. Raise UsageError for what no board would take.
    """
    roots = tuple(dict.fromkeys(ders))
    for der in roots:
        certificate = _certificate(der)
        if certificate.not_valid_after_utc < now:
            on = certificate.not_valid_after_utc.date()
            raise UsageError(f"{subject(der)} expired on {on}: it would open no connection")
    signature = key.sign(_message(version, roots), padding.PKCS1v15(), hashes.SHA256())
    return parse(Bundle(version, roots, signature).as_json()).as_json()


def parse(value: Any) -> Bundle:
    """Check a bundle's JSON, or that of a twin's desired property with one; raise UsageError."""
    for name in ("firstlight", "roots"):
        if isinstance(value, dict) and isinstance(value.get(name), dict):
            value = value[name]
    if not isinstance(value, dict) or not {"version", "roots", "signature"} <= set(value):
        raise UsageError("a bundle is a JSON object with version, roots and signature")
    version, roots = value["version"], value["roots"]
    if type(version) is not int or not 0 < version <= NEWEST:
        raise UsageError(f"a bundle's version is a number from 1 to {NEWEST}")
    if not isinstance(roots, list) or not 1 <= len(roots) <= MOST:
        raise UsageError(f"a bundle holds 1 to {MOST} roots")
    size = len(json.dumps(value))
    if size > LONGEST:
        raise UsageError(
            f"the bundle has {size} bytes, and a board takes {LONGEST}: leave out a root"
        )
    ders = tuple(_bytes(text) for text in roots)
    for der in ders:
        _certificate(der)
    return Bundle(version, ders, _bytes(value["signature"]))


def as_twin(bundle: dict[str, Any]) -> dict[str, Any]:
    """A bundle as a twin's desired properties. `__t` marks a component, as IoT Plug and Play asks
    (azure/iot/concepts-convention)."""
    return {"firstlight": {"__t": "c", "roots": bundle}}


def subject(der: bytes) -> str:
    """A certificate's name, for people."""
    return _certificate(der).subject.rfc4514_string() or "a root without a name"


def last_day(der: bytes) -> str:
    """The day after which a root is worth nothing."""
    return str(_certificate(der).not_valid_after_utc.date())


def digest(der: bytes) -> str:
    """Hex of the SHA-256 of a root, by which the world knows it."""
    return sha256(der).hexdigest()


def _message(version: int, ders: Sequence[bytes]) -> bytes:
    lines = ["firstlight roots", str(version), *map(digest, ders)]
    return "".join(f"{line}\n" for line in lines).encode()


def _check_public(key: rsa.RSAPublicKey) -> None:
    if key.key_size not in _BITS or key.public_numbers().e != _EXPONENT:
        raise UsageError(
            f"the roots key must have {_BITS[0]} to {_BITS[-1]} bits and the exponent {_EXPONENT}"
        )


def _bytes(text: Any) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise UsageError("a bundle's roots and signature are texts of base64") from None


def _certificate(der: bytes) -> x509.Certificate:
    """Read one root; raise UsageError for what a board would not take."""
    if (
        len(der) > LONGEST_DER
        or der[:2] != b"\x30\x82"
        or int.from_bytes(der[2:4]) != len(der) - 4
    ):
        raise UsageError(f"a root is one certificate as DER, of at most {LONGEST_DER} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # serial numbers that RFC 5280 forbids, in old roots
            return x509.load_der_x509_certificate(der)
    except ValueError:
        raise UsageError("a root in the bundle is no certificate that can be read") from None
