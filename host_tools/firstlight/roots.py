"""Trust roots for a board: DER, by default the two that Azure's device endpoints chain to.

Never passes on a certificate that is not a CA's, or under Azure's names one that is not Azure's.
"""

import hashlib
import re
import stat
import warnings
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .errors import ToolError, UsageError

# SHA-256 of the DER; protocol.md 1.6, azure/security/fundamentals/azure-ca-details.
AZURE = {
    "digicert-global-root-g2": "cb3ccbb76031e5e0138f8dd39a23f9de47ffc35e43c1144cea27d46a5ab1cb5f",
    "microsoft-rsa-root-2017": "c741f70f4b2a8d88bf2e71c14122ef53ef10eba0cfa5e64cfa20f418853073e0",
}
_LONGEST_PEM = 1 << 20
_LONGEST_DER = 4096  # what firmware/board.py reads
_MOST = 8
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def azure_roots() -> dict[str, bytes]:
    """Name to DER of Azure's roots, from certifi. Raise ToolError if one is not in it."""
    found = {}
    for block in _BLOCK.findall(Path(certifi.where()).read_bytes()):
        der = _certificate(block).public_bytes(Encoding.DER)
        found[hashlib.sha256(der).hexdigest()] = der
    missing = [name for name, print_ in AZURE.items() if print_ not in found]
    if missing:
        raise ToolError(
            f"the installed certifi has no {missing[0]}: pip install --upgrade certifi"
        )
    return {name: found[fingerprint] for name, fingerprint in AZURE.items()}


def roots_from(pem: Path) -> dict[str, bytes]:
    """Name to DER of the CA certificates in a PEM file. Raise UsageError for anything else."""
    text = content(pem, _LONGEST_PEM, "trust root")
    blocks = _BLOCK.findall(text)
    if b"PRIVATE KEY" in text or not 1 <= len(blocks) <= _MOST:
        raise UsageError(f"{pem} must hold 1 to {_MOST} certificates as PEM, and no private key")
    try:
        certificates = [_certificate(block) for block in blocks]
    except ValueError:
        raise UsageError(f"{pem} holds a certificate that cannot be read") from None
    return {f"root-{n}": _ca_der(pem, one) for n, one in enumerate(certificates, 1)}


def content(path: Path, longest: int, what: str) -> bytes:
    """Read a regular file of at most longest bytes; UsageError says what it should have been."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path} is not a file, so no {what} is read from it")
        with path.open("rb") as file:
            raw = file.read(longest + 1)
    except OSError as error:
        raise UsageError(f"cannot read the {what} {path}: {error.strerror}") from None
    if len(raw) > longest:
        raise UsageError(f"{path} is too long to be a {what}")
    return raw


def _ca_der(pem: Path, certificate: x509.Certificate) -> bytes:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        is_ca = constraints.ca
    except (x509.ExtensionNotFound, ValueError):
        is_ca = False
    der = certificate.public_bytes(Encoding.DER)
    if not is_ca or len(der) > _LONGEST_DER:
        raise UsageError(f"{pem} holds a certificate that is not a CA's, or too long")
    return der


def _certificate(block: bytes) -> x509.Certificate:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # certifi has roots with serial numbers that RFC 5280 forbids
        return x509.load_pem_x509_certificate(block)
