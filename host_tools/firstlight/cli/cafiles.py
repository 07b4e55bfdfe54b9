"""Certificates and signing requests in files, as `firstlight ca` takes and writes them.

What it writes is public, and never over another file.
"""

from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from textwrap import wrap

from cryptography import x509

from ..ca.certificate import UNREADABLE
from ..custody import write_private
from ..errors import UsageError
from ..roots import content

_LONGEST = 1 << 14  # bytes
_BEGIN = b"-----BEGIN"


def certificate_from(path: Path) -> x509.Certificate:
    """The first certificate of a file, PEM or DER. Raises UsageError."""
    raw = content(path, _LONGEST, "certificate")
    try:
        if _BEGIN in raw:
            return x509.load_pem_x509_certificates(raw)[0]
        return x509.load_der_x509_certificate(raw)
    except UNREADABLE:
        raise UsageError(f"{path} is no certificate as PEM or DER") from None


def request_from(path: Path) -> x509.CertificateSigningRequest:
    """A signing request, PEM or DER. Raises UsageError."""
    raw = content(path, _LONGEST, "signing request")
    if b"PRIVATE KEY" in raw:
        raise UsageError(
            f"{path} holds a private key, which stays with its device: give the request alone"
        )
    try:
        return (x509.load_pem_x509_csr if _BEGIN in raw else x509.load_der_x509_csr)(raw)
    except UNREADABLE:
        raise UsageError(f"{path} is no signing request (PKCS#10) as PEM or DER") from None


def pem_of(der: bytes, label: str = "CERTIFICATE") -> str:
    """DER as PEM."""
    lines = wrap(b64encode(der).decode(), 64)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def write_public(path: Path, text: str) -> None:
    """Write a new file that anyone may read, all of it or none. Raises ToolError."""
    write_private(path, text)
    with suppress(OSError):  # a drive that knows no modes
        path.chmod(0o644)
