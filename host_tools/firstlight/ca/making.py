"""Certificates, signing requests and revocation lists, made with `cryptography` alone.

No I/O and no clock: the moment comes in, the key that signs comes in, from a file or a token.
Every certificate begins a day before it is made: a station whose clock is ahead, by a time zone
or an hour, makes none that the service refuses as not yet valid.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import UsageError
from .certificate import PrivateKey, PublicKey

BACKDATED = timedelta(days=1)
KINDS = ("ec", "rsa")
_CA_BITS = 3072  # good past 2030 (NIST SP 800-57 part 1); boards check such a signature in a blink
_DEVICE_BITS = 2048  # what boards' memory has room for
_EXPONENT = 65537
_SHA256 = hashes.SHA256()


@dataclass(frozen=True)
class Issuer:
    """Who signs: a CA's certificate, and the key that belongs to it."""

    certificate: x509.Certificate
    key: PrivateKey


@dataclass(frozen=True)
class Revoked:
    """One certificate that is no longer good. reason: as cryptography's flag is called."""

    serial: int
    at: datetime
    reason: str


def new_ca_key(kind: str) -> PrivateKey:
    return _new_key(kind, _CA_BITS)


def new_device_key(kind: str) -> PrivateKey:
    return _new_key(kind, _DEVICE_BITS)


def kind_of(public: object) -> str:
    """ "ec" or "rsa"."""
    return "rsa" if isinstance(public, rsa.RSAPublicKey) else "ec"


def root(key: PrivateKey, name: str, now: datetime, until: datetime) -> x509.Certificate:
    """A root for intermediates that issue leaves and no further CA: pathlen 1."""
    subject = _name(name)
    made = _builder(subject, subject, key.public_key(), now - BACKDATED, until)
    return _as_authority(made, key.public_key(), 1).sign(key, _SHA256)


def intermediate(
    by: Issuer, public: PublicKey, name: str, now: datetime, until: datetime
) -> x509.Certificate:
    """A batch's CA: it issues leaves alone (pathlen 0)."""
    made = _issued(by, public, name, now, until)
    return _as_authority(made, public, 0).sign(by.key, _SHA256)


def leaf(
    by: Issuer, public: PublicKey, name: str, now: datetime, until: datetime
) -> x509.Certificate:
    """A device's: it says who a TLS client is, and nothing else."""
    made = _issued(by, public, name, now, until)
    constrained = (
        made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(_key_identifier(public), critical=False)
    )
    return constrained.sign(by.key, _SHA256)


def request(key: PrivateKey, name: str) -> x509.CertificateSigningRequest:
    """A PKCS#10 request whose common name is name."""
    return x509.CertificateSigningRequestBuilder().subject_name(_name(name)).sign(key, _SHA256)


def revocation_list(
    by: Issuer, revoked: Iterable[Revoked], number: int, now: datetime, until: datetime
) -> x509.CertificateRevocationList:
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(by.certificate.subject)
        .last_update(now - BACKDATED)
        .next_update(until)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_identifier(by.certificate), critical=False)
    )
    for each in revoked:
        made = made.add_revoked_certificate(_entry(each))
    return made.sign(by.key, _SHA256)


def last_moment(by: x509.Certificate, now: datetime, life: timedelta) -> datetime:
    """When something that is issued now ends: after its life, or with its issuer.

    Raises UsageError if the issuer is not good now.
    """
    if not by.not_valid_before_utc <= now < by.not_valid_after_utc:
        begins, ends = by.not_valid_before_utc.date(), by.not_valid_after_utc.date()
        raise UsageError(
            f"the CA certificate {by.subject.rfc4514_string()} is good from {begins} to {ends}, "
            "and it is not that now by this computer's clock: set the clock, or rotate the batch"
        )
    return min(now + life, by.not_valid_after_utc)


def sign(key: PrivateKey, text: bytes) -> bytes:
    """Sign as the certificates are signed."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(text, padding.PKCS1v15(), _SHA256)
    return key.sign(text, ec.ECDSA(_SHA256))


def is_signed(public: object, signature: bytes, text: bytes) -> bool:
    """Whether the signature over text is by that key."""
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, text, padding.PKCS1v15(), _SHA256)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, text, ec.ECDSA(_SHA256))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _new_key(kind: str, bits: int) -> PrivateKey:
    if kind == "rsa":
        return rsa.generate_private_key(_EXPONENT, bits)
    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _issued(
    by: Issuer, public: PublicKey, name: str, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    """What is not before its issuer, and says by which key it was signed."""
    begins = max(now - BACKDATED, by.certificate.not_valid_before_utc)
    made = _builder(_name(name), by.certificate.subject, public, begins, until)
    return made.add_extension(_authority_identifier(by.certificate), critical=False)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: PublicKey, begins: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())  # 20 bytes, 159 bits of chance
        .not_valid_before(begins)
        .not_valid_after(until)
    )


def _as_authority(
    made: x509.CertificateBuilder, public: PublicKey, below: int
) -> x509.CertificateBuilder:
    return (
        made.add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .add_extension(_key_identifier(public), critical=False)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _key_identifier(public: PublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(public)


def _authority_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def _entry(each: Revoked) -> x509.RevokedCertificate:
    made = x509.RevokedCertificateBuilder().serial_number(each.serial).revocation_date(each.at)
    if each.reason != "unspecified":  # which RFC 5280 5.3.1 wants left out
        flag = x509.CRLReason(x509.ReasonFlags[each.reason])
        made = made.add_extension(flag, critical=False)
    return made.build()
