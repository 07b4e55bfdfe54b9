"""What a device with a certificate proves itself with: its chain, its key, and a CSR by that key.

No I/O and no clock. The key is secret: it goes into an identity and into no text, and no error
repeats what a file holds. Written over `cryptography`; no DER is taken apart here.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from .. import keys
from ..errors import UsageError

MOST = 4  # certificates of a chain; this and what follows: what a board's identity takes
LONGEST_CERTIFICATE = 2048  # bytes of DER
LONGEST_CSR = 1024
LONGEST_ID = 64  # characters: a common name holds no more (RFC 5280, ub-common-name)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
# What `cryptography` raises of bytes that are no certificate, or have a key it does not know.
UNREADABLE = (ValueError, x509.InvalidVersion, UnsupportedAlgorithm)


@dataclass(frozen=True, repr=False)
class DeviceCertificate:
    """A device's certificate, and the key that it is worth nothing without.

    chain: DER, leaf first, without the root. key: DER, SEC1 (EC) or PKCS#1 (RSA): SECRET.
    csr: DER, or None. registration_id: the leaf's common name. serial: hex in lower case, of whole
    bytes, as openssl prints it in upper case. fingerprint: SHA-256 of the leaf's DER, 64 hex
    digits in lower case. not_after_at: Unix seconds.
    """

    chain: tuple[bytes, ...]
    key: bytes
    csr: bytes | None
    registration_id: str
    serial: str
    fingerprint: str
    not_after_at: int

    def __repr__(self) -> str:
        return f"<DeviceCertificate {self.fingerprint[:16]} of {self.registration_id}>"

    def section(self) -> dict[str, Any]:
        """What an identity holds as `x509`."""
        csr = {} if self.csr is None else {"csr": b64encode(self.csr).decode()}
        chain = [b64encode(der).decode() for der in self.chain]
        return {"chain": chain, "key": b64encode(self.key).decode(), **csr}


def load_device_certificate(
    chain_pem: bytes,
    key_pem: bytes,
    passphrase: str | None = None,
    csr_pem: bytes | None = None,
) -> DeviceCertificate:
    """Take what was made by hand: the certificates, leaf first, and the leaf's key.

    A root at the end of the chain is left out: a device does not send it. passphrase: of an
    encrypted key. Raises UsageError unless leaf, key and order fit together.
    """
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
    except UNREADABLE:
        raise UsageError(
            "the chain has no certificates as PEM, or one that cannot be read"
        ) from None
    if len(chain) > 1 and is_self_signed(chain[-1]):
        chain = chain[:-1]
    csr = None if csr_pem is None else _request(csr_pem)
    return device_certificate(chain, _key(key_pem, passphrase), csr)


def device_certificate(
    chain: Sequence[x509.Certificate],
    key: PrivateKey,
    csr: x509.CertificateSigningRequest | None,
) -> DeviceCertificate:
    """Put a device's certificate together; raise UsageError if its parts do not fit."""
    leaf = chain[0]
    _check_order(chain)
    public = public_bytes(public_key(leaf, "the leaf's key"))
    if public_bytes(key.public_key()) != public:
        raise UsageError("the key is not that of the leaf, the chain's first certificate")
    if leaf.serial_number <= 0:
        raise UsageError(
            "the leaf's serial number is not positive, as RFC 5280 wants it (4.1.2.2): make it "
            "again with another"
        )
    ders = tuple(each.public_bytes(Encoding.DER) for each in chain)
    if max(map(len, ders)) > LONGEST_CERTIFICATE:
        raise UsageError(f"a certificate has more than {LONGEST_CERTIFICATE} bytes of DER")
    request = None
    if csr is not None:
        check_request(csr, common_name(leaf))
        request = csr.public_bytes(Encoding.DER)
        if public_bytes(public_key(csr, "the signing request's key")) != public:
            raise UsageError("the signing request is not by the key of the leaf")
    return DeviceCertificate(
        chain=ders,
        key=key_der(key),
        csr=request,
        registration_id=device_id(common_name(leaf)),
        serial=serial_hex(leaf.serial_number),
        fingerprint=sha256(ders[0]).hexdigest(),
        not_after_at=int(leaf.not_valid_after_utc.timestamp()),
    )


def device_id(text: str) -> str:
    """Return text if it may be the registration id of a device with a certificate.

    Raises UsageError: protocol.md 7; it is the common name, too, which has 64 characters at most.
    """
    checked = keys.registration_id(text)
    if len(checked) > LONGEST_ID:
        raise UsageError(
            f"the registration id has {len(checked)} characters, and a certificate's common name "
            f"holds {LONGEST_ID}: take a shorter id"
        )
    return checked


def common_name(of: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """The one common name of a subject; raise UsageError unless there is one."""
    try:
        names = of.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        names = []
    if len(names) != 1 or not isinstance(names[0].value, str):
        raise UsageError("the subject must have one common name: the device's registration id")
    return names[0].value


def check_request(csr: x509.CertificateSigningRequest, registration_id: str) -> None:
    """Raise UsageError unless the request is signed by its own key and names the device.

    The key is one that boards take, and the hash one that still counts: no SHA-1, no MD5.
    """
    public_key(csr, "the signing request's key")
    if not csr.is_signature_valid:
        raise UsageError("the signing request is not signed by its own key")
    if common_name(csr) != registration_id:
        raise UsageError(f"the signing request's common name is not {registration_id}")
    if len(csr.public_bytes(Encoding.DER)) > LONGEST_CSR:
        raise UsageError(f"the signing request has more than {LONGEST_CSR} bytes of DER")


def public_key(of: x509.Certificate | x509.CertificateSigningRequest, whose: str) -> PublicKey:
    """The key of a leaf or a request, if boards take it. Raises UsageError."""
    try:
        key = checked_public(of.public_key(), whose)
    except UNREADABLE:
        return checked_public(None, whose)
    if isinstance(of, x509.Certificate):
        whole = of.tbs_certificate_bytes
    else:
        whole = of.tbs_certrequest_bytes
    if public_bytes(key) not in whole:  # a curve by its numbers, half a point, RSA for PSS alone
        raise UsageError(f"{whose} is not written as boards read it: a curve by its name, or RSA")
    return key


def checked_public(key: object, whose: str) -> PublicKey:
    """Return a key that boards take, or raise UsageError. whose: as "the leaf's key"."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size == 2048:
        return key
    raise UsageError(f"{whose} is neither EC P-256 nor RSA of 2048 bits")


def key_der(key: PrivateKey) -> bytes:
    """A device's key as boards take it: SEC1 or PKCS#1."""
    checked_public(key.public_key(), "the key")
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def public_bytes(key: Any) -> bytes:
    """A public key's SubjectPublicKeyInfo."""
    whole: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return whole


def serial_hex(number: int) -> str:
    """A serial number as hex in lower case, of whole bytes."""
    digits = f"{number:x}"
    return digits.zfill(len(digits) + len(digits) % 2)


def is_self_signed(certificate: x509.Certificate) -> bool:
    return is_issued_by(certificate, certificate)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the names and the signature say so; not whether the issuer may issue."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign certificates, as its basic constraints say."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False


def _check_order(chain: Sequence[x509.Certificate]) -> None:
    if len(chain) > MOST:
        raise UsageError(f"a chain of {len(chain)} certificates is too long: {MOST} at most")
    if len(chain) > 1 and is_authority(chain[0]):
        raise UsageError("the chain's first certificate is a CA's: put the leaf first")
    for number, (each, issuer) in enumerate(pairwise(chain), 1):
        if not is_issued_by(each, issuer) or not is_authority(issuer):
            raise UsageError(
                f"certificate {number} of the chain is not issued by certificate {number + 1}: "
                "put the leaf first, then each one's issuer"
            )


def _key(pem: bytes, passphrase: str | None) -> PrivateKey:
    try:
        key = load_pem_private_key(pem, None if passphrase is None else passphrase.encode())
    except TypeError:
        told = "is not encrypted" if passphrase is not None else "is encrypted: say its passphrase"
        raise UsageError(f"the device's key {told}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(
            "the device's key is not a private key as PEM, or its passphrase is another"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise UsageError("the device's key is neither EC P-256 nor RSA of 2048 bits")
    return key


def _request(pem: bytes) -> x509.CertificateSigningRequest:
    try:
        return x509.load_pem_x509_csr(pem)
    except UNREADABLE:
        raise UsageError("the signing request is not PEM that can be read") from None


def device_key(der: bytes) -> PrivateKey:
    """A device's key back from its DER; raise UsageError."""
    try:
        key = load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UsageError("the device's key is not a private key as DER") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise UsageError("the device's key is neither EC P-256 nor RSA of 2048 bits")
    return key
