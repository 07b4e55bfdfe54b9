"""Bundles of roots for tests, signed whatever is in them: sound ones, and ones that never are."""

from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

FACTORY = trustme.CA()
Play = Callable[..., list[Any]]  # of player(): steps in, an answer for each out


@cache
def roots_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """One key for all tests, or the number-th other."""
    return rsa.generate_private_key(65537, bits)


def modulus_b64(key: rsa.RSAPrivateKey) -> str:
    n = key.public_key().public_numbers().n
    return b64encode(n.to_bytes(key.key_size // 8)).decode()


def der(issuer: trustme.CA) -> bytes:
    certificate = x509.load_pem_x509_certificate(issuer.cert_pem.bytes())
    return certificate.public_bytes(Encoding.DER)


def long_root(ballast: int) -> bytes:
    """A root's certificate with so many bytes in an extension that nobody knows."""
    key = roots_key(2048, 1)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "long")])
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(ballast))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 5)
        .not_valid_before(datetime(2026, 1, 1))
        .not_valid_after(datetime(2046, 1, 1))
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(extension, False)
    )
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def bundle(version: Any, *roots: bytes, key: rsa.RSAPrivateKey | None = None) -> dict[str, Any]:
    text = f"firstlight roots\n{version}\n" + "".join(f"{sha256(r).hexdigest()}\n" for r in roots)
    signature = (key or roots_key()).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return {
        "version": version,
        "roots": [b64encode(root).decode() for root in roots],
        "signature": b64encode(signature).decode(),
    }


def player(on_micropython: Callable[..., Any]) -> Play:
    """What runs trust_probe.py's steps on a board with the factory's root; keywords go to it."""

    def play(*steps: list[Any], **asked: Any) -> list[Any]:
        given = {
            "roots_key": modulus_b64(roots_key()),
            "factory": [b64encode(der(FACTORY)).decode()],
            "steps": steps,
        }
        answers: list[Any] = on_micropython("trust_probe.py", given | asked)
        return answers

    return play
