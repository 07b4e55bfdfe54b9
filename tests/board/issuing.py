"""Certificates for devices in tests, made by cryptography: roots, intermediates, leaves, CSRs."""

import ssl
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
SEC1 = PKCS1 = PrivateFormat.TraditionalOpenSSL
PKCS8 = PrivateFormat.PKCS8
NOW = datetime.now(UTC).replace(microsecond=0)


def day(n: float) -> datetime:
    """So many days from now."""
    return NOW + timedelta(days=n)


def ec_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def rsa_key() -> Key:
    """One for all tests: it takes its time."""
    return rsa.generate_private_key(65537, 2048)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def key_der(key: Key, form: PrivateFormat = SEC1) -> bytes:
    return key.private_bytes(Encoding.DER, form, NoEncryption())


def b64(raw: bytes) -> str:
    return b64encode(raw).decode()


def csr(key: Key, text: str) -> bytes:
    made = x509.CertificateSigningRequestBuilder(name(text)).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.DER)


class Issuer:
    """A CA: of its own, or below another. certificate: its own; above: itself and those above."""

    def __init__(self, text: str, parent: "Issuer | None" = None) -> None:
        self.key = ec_key()
        self.name = name(text)
        self.parent = parent
        signer = parent or self
        self.certificate = signer.sign(self.name, self.key, (-400, 4000), ca=True)

    def sign(
        self, subject: x509.Name, key: Any, days: tuple[float, float], ca: bool = False
    ) -> x509.Certificate:
        public = key.public_key() if hasattr(key, "public_key") else key
        made = x509.CertificateBuilder(
            self.name, subject, public, x509.random_serial_number(), day(days[0]), day(days[1])
        ).add_extension(x509.BasicConstraints(ca, None), True)
        return made.sign(self.key, hashes.SHA256())

    @property
    def above(self) -> list["Issuer"]:
        return [self, *(self.parent.above if self.parent else [])]

    def leaf(
        self, text: str, key: Any, days: tuple[float, float] = (-100, 200)
    ) -> x509.Certificate:
        return self.sign(name(text), key, days)

    def chain(self, leaf: x509.Certificate, root: bool = False) -> list[str]:
        """A leaf of its own and what is above, in base64; up to the root, or with it."""
        above = [issuer.certificate for issuer in self.above]
        return [b64(der(one)) for one in [leaf, *(above if root else above[:-1])]]


def server_wants(context: ssl.SSLContext, root: Issuer) -> ssl.SSLContext:
    """Have a server demand a client certificate below root."""
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=pem(root.certificate).decode())
    return context
