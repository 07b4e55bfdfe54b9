"""X.509 certificates of enrollments, as service clients send them and as DPS shows them.

Bytes to values: no I/O; judges no chain and no validity. DPS shows a certificate's facts and never
the certificate itself (X509CertificateInfo in service.json, protocol.md 7).
"""

import base64
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ..answers import Json, Refusal
from ..chains import UNREADABLE, check_readable

_PEM = b"-----BEGIN CERTIFICATE-----"


def read(text: str) -> Json:
    """{"certificate": PEM, "info": its facts}, of PEM, or base64 of DER or of PEM.

    Raise Refusal 400 for anything else. C's SDK sends base64 of PEM, Node's samples PEM.
    """
    try:
        raw = text.encode("ascii")
        if _PEM not in raw:
            raw = base64.b64decode("".join(text.split()), validate=True)
        load = x509.load_pem_x509_certificate if _PEM in raw else x509.load_der_x509_certificate
        certificate = load(raw)
        check_readable(certificate)
        info = facts(certificate)
    except UNREADABLE:  # binascii.Error is a ValueError
        raise Refusal(400, 400000, "Invalid certificate: neither PEM nor base64 DER.") from None
    pem = certificate.public_bytes(Encoding.PEM).decode()
    return {"certificate": pem, "info": info}


@lru_cache(maxsize=256)
def loaded(pem: str) -> x509.Certificate:
    """The certificate of a PEM that `read` gave."""
    return x509.load_pem_x509_certificate(pem.encode())


def facts(certificate: x509.Certificate) -> Json:
    """X509CertificateInfo."""
    return {
        "subjectName": name_of(certificate.subject),
        "sha1Thumbprint": certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303
        "sha256Thumbprint": certificate.fingerprint(hashes.SHA256()).hex().upper(),
        "issuerName": name_of(certificate.issuer),
        "notBeforeUtc": f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "notAfterUtc": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "serialNumber": f"{certificate.serial_number:X}",
        "version": certificate.version.value + 1,
    }


def name_of(name: x509.Name) -> str:
    """As .NET writes a name: the last part first, with a space after each comma."""
    return ", ".join(part.rfc4514_string() for part in reversed(name.rdns))
