"""A CA's key in a PKCS#11 token: made in there, and never out of it; it signs what it is given.

To `cryptography` it is a private key like any other: its builders call sign() and check nothing
else. What would need the key itself is refused.
"""

import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
from pkcs11.util.rsa import encode_rsa_public_key

from ..errors import ToolError, UsageError
from ..pkcs11errors import told
from ..pkcs11session import ask, find_token, named, open_session
from ..pkcs11uri import TokenURI
from .certificate import UNREADABLE, PrivateKey

_TASK = "make or use a key pair for signatures (EC P-256, or RSA)"
_ID_BYTES = 16
_BITS = 3072
_LEAST_BITS = 2048
_P256_BYTES = 32
_MAKING_S = 300.0  # a card takes its time for an RSA key
_ENCODERS = {KeyType.EC: encode_ec_public_key, KeyType.RSA: encode_rsa_public_key}
_PAIR = (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY)
_HIDDEN = {
    Attribute.TOKEN: True,
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.MODIFIABLE: False,
    Attribute.SIGN: True,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
}
_SHOWN = {Attribute.TOKEN: True, Attribute.VERIFY: True, Attribute.ENCRYPT: False}


class _InToken:
    """What both kinds have in common. name: of the token."""

    def __init__(self, key: Any, public: Any, name: str) -> None:
        self._key = key
        self._public = public
        self._name = name

    def __repr__(self) -> str:
        return f"<a CA's key in the token {self._name!r}>"

    def public_key(self) -> Any:
        return self._public

    @property
    def key_size(self) -> int:
        size: int = self._public.key_size
        return size

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        return self

    def private_numbers(self) -> NoReturn:
        raise UsageError(f"a key in the token {self._name!r} does not come out")

    def private_bytes(self, *_: Any) -> NoReturn:
        self.private_numbers()

    def _signed(self, text: bytes, mechanism: Mechanism) -> bytes:
        def sign() -> bytes:
            with told(self._name, _TASK):
                return bytes(self._key.sign(text, mechanism=mechanism))

        return ask(sign, self._name)


class TokenECKey(_InToken, ec.EllipticCurvePrivateKey):
    """An EC key of P-256."""

    @property
    def curve(self) -> ec.EllipticCurve:
        return ec.SECP256R1()

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        _check_hash(signature_algorithm.algorithm)
        raw = self._signed(_sha256(bytes(data)), Mechanism.ECDSA)
        if len(raw) != 2 * _P256_BYTES:
            raise ToolError(f"the token {self._name!r} gave {len(raw)} bytes for a signature")
        r, s = (int.from_bytes(half) for half in (raw[:_P256_BYTES], raw[_P256_BYTES:]))
        return encode_dss_signature(r, s)

    def exchange(self, *_: Any) -> NoReturn:
        self.private_numbers()


class TokenRSAKey(_InToken, rsa.RSAPrivateKey):
    """An RSA key, which signs as PKCS#1 v1.5 says."""

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        _check_hash(algorithm)
        if not isinstance(padding, PKCS1v15):
            raise UsageError("a CA's key in a token signs with PKCS#1 v1.5 alone")
        return self._signed(bytes(data), Mechanism.SHA256_RSA_PKCS)

    def decrypt(self, *_: Any) -> NoReturn:
        self.private_numbers()


def make(uri: TokenURI, module: str, pin: str | None, kind: str) -> PrivateKey:
    """Have the token make a key pair that does not come out. Raises UsageError, ToolError."""
    return _wrapped(*_asked(uri, module, pin, lambda session: _made(session, uri, kind), True))


def find(uri: TokenURI, module: str, pin: str | None) -> PrivateKey:
    """The key pair that is in the token. Raises UsageError, ToolError."""
    return _wrapped(*_asked(uri, module, pin, lambda session: _found(session, uri), False))


def destroy(uri: TokenURI, module: str, pin: str | None) -> None:
    """Delete a key pair from the token. Raises UsageError, ToolError."""

    def both(session: Any) -> None:
        for each in _found(session, uri):
            each.destroy()

    _asked(uri, module, pin, both, True)


def _asked(
    uri: TokenURI, module: str, pin: str | None, act: Callable[[Any], Any], is_writing: bool
) -> tuple[Any, str]:
    """What act makes of a session, and the token's name."""

    def opened() -> tuple[Any, str]:
        token = find_token(uri, module)
        with told(token.label, _TASK):
            return act(open_session(token, pin, is_writing=is_writing)), token.label

    return ask(opened, named(uri), _MAKING_S if is_writing else None)


def _made(session: Any, uri: TokenURI, kind: str) -> tuple[Any, Any]:
    if any(_objects(session, uri, each) for each in _PAIR):
        raise UsageError(
            f"the token has a key with {uri.key_text()} already, which is never written over; "
            "give this one another name, or take the pair that is there: --adopt"
        )
    wishes = {
        "id": uri.id or secrets.token_bytes(_ID_BYTES),
        "label": uri.object or "",
        "store": True,
        "private_template": _HIDDEN,
        "public_template": _SHOWN,
    }
    if kind == "rsa":
        public, private = session.generate_keypair(KeyType.RSA, _BITS, **wishes)
    else:
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
        public, private = parameters.generate_keypair(**wishes)
    try:
        _check_hidden(private)
    except UsageError:
        private.destroy()
        public.destroy()
        raise
    return private, public


def _found(session: Any, uri: TokenURI) -> tuple[Any, Any]:
    pair = []
    for kind in _PAIR:
        found = _objects(session, uri, kind)
        if len(found) != 1:
            words = kind.name.lower().replace("_", " ")
            raise UsageError(
                f"the token has {len(found) or 'no'} {words} with {uri.key_text()}, where it "
                "should have one" + ("; name it by id" if found else "")
            )
        pair += found
    _check_hidden(pair[0])
    return pair[0], pair[1]


def _objects(session: Any, uri: TokenURI, kind: ObjectClass) -> list[Any]:
    wanted: dict[Attribute, Any] = {Attribute.CLASS: kind}
    wanted |= {} if uri.object is None else {Attribute.LABEL: uri.object}
    wanted |= {} if uri.id is None else {Attribute.ID: uri.id}
    return list(session.get_objects(wanted))


def _check_hidden(private: Any) -> None:
    if private[Attribute.EXTRACTABLE] or not private[Attribute.SENSITIVE]:
        raise UsageError("the token would give this key out again: it must not be extractable")


def _wrapped(pair: tuple[Any, Any], name: str) -> PrivateKey:
    private, public = pair
    known = ask(lambda: _public(public, name), name)
    if isinstance(known, ec.EllipticCurvePublicKey):
        return TokenECKey(private, known, name)
    return TokenRSAKey(private, known, name)


def _public(key: Any, name: str) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    with told(name, _TASK):
        encode = _ENCODERS.get(key[Attribute.KEY_TYPE])
        der = encode(key) if encode else b""
    try:
        found = load_der_public_key(der)
    except UNREADABLE:
        found = None
    if isinstance(found, ec.EllipticCurvePublicKey) and isinstance(found.curve, ec.SECP256R1):
        return found
    if isinstance(found, rsa.RSAPublicKey) and found.key_size >= _LEAST_BITS:
        return found
    raise UsageError(f"the token {name!r} has this key as something else than EC P-256 or RSA")


def _sha256(data: bytes) -> bytes:
    return sha256(data).digest()


def _check_hash(algorithm: object) -> None:
    if not isinstance(algorithm, hashes.SHA256):
        raise UsageError("a CA's key in a token signs SHA-256 alone")
