"""Certificates for tests: roots, intermediates and leaves, as good or as bad as a test needs.

    root = make_root()
    batch = make_ca(root, "batch 1")
    device = make_leaf(batch, "dev-1", days=30)
    device.pem, device.der, device.key_der, device.chain_ders, device.chain_pem

Made with `cryptography`, EC P-256 unless key="rsa" (2048 bits: slow, one per module at most).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate, its key, and who signed it (None: itself)."""

    certificate: x509.Certificate
    key: Key
    issuer: "Issued | None" = None

    @cached_property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @cached_property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @cached_property
    def key_der(self) -> bytes:
        """SEC1 or PKCS#1."""
        return self.key.private_bytes(
            Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )

    @cached_property
    def key_pem(self) -> str:
        """SEC1 or PKCS#1."""
        return self.key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ).decode()

    @property
    def sha256(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex().upper()

    @property
    def sha1(self) -> str:
        return self.certificate.fingerprint(hashes.SHA1()).hex().upper()

    @property
    def path(self) -> "tuple[Issued, ...]":
        """This one, and what signed it, up to the root without it; alone if self-signed."""
        found = [self]
        while (above := found[-1].issuer) is not None and above.issuer is not None:
            found.append(above)
        return tuple(found)

    @property
    def chain_ders(self) -> tuple[bytes, ...]:
        """What a client sends: the leaf first, without the root."""
        return tuple(one.der for one in self.path)

    @property
    def chain_pem(self) -> str:
        return "".join(one.pem for one in self.path)


def make_key(kind: str = "ec") -> Key:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def named(common_name: str | None) -> x509.Name:
    if common_name is None:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def make_root(common_name: str = "Test Root", **more: object) -> Issued:
    return make(None, common_name, ca=True, **more)  # type: ignore[arg-type]


def make_ca(issuer: Issued, common_name: str = "Test Intermediate", **more: object) -> Issued:
    return make(issuer, common_name, ca=True, **more)  # type: ignore[arg-type]


def make_leaf(issuer: Issued | None, common_name: str | None, **more: object) -> Issued:
    """issuer: None for a self-signed one."""
    return make(issuer, common_name, ca=False, **more)  # type: ignore[arg-type]


def make(
    issuer: Issued | None,
    common_name: str | None,
    *,
    ca: bool,
    key: str | Key = "ec",
    days: float = 365,
    since_days: float = -1,
    start: datetime | None = None,
    path_length: int | None = None,
    basic: bool = True,
    usage: bool = True,
    may_sign: bool | None = None,
    extended: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
    issuer_name: x509.Name | None = None,
) -> Issued:
    """Valid from since_days after start (now) until days after it.

    basic, usage: whether the extensions are there; may_sign: what usage says, if that is not what
    ca says. issuer_name: one that is not the issuer's.
    """
    own = make_key(key) if isinstance(key, str) else key
    now = start or datetime.now(UTC)
    subject = named(common_name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name or (issuer.certificate.subject if issuer else subject))
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=since_days))
        .not_valid_after(now + timedelta(days=days))
    )
    if basic:
        length = path_length if ca else None
        builder = builder.add_extension(x509.BasicConstraints(ca, length), critical=True)
    if usage:
        builder = builder.add_extension(
            _usage(ca if may_sign is None else may_sign), critical=True
        )
    if not ca and extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(extended)), critical=False)
    signer = issuer.key if issuer else own
    return Issued(builder.sign(signer, hashes.SHA256()), own, issuer)


def make_csr(key: Key, common_name: str) -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder().subject_name(named(common_name))
    return builder.sign(key, hashes.SHA256())


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
