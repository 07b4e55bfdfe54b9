"""A board's trust roots, read as certificates on the PC.

Never raises for what is no certificate: that is a finding, too.
"""

import hashlib
import warnings

from cryptography import x509
from cryptography.x509.oid import NameOID

from .findings import Root


def read(folder: str, name: str, der: bytes) -> Root:
    """What a root's DER says."""
    fingerprint = hashlib.sha256(der).hexdigest()[:16]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some roots have serial numbers that RFC 5280 forbids
        try:
            found = x509.load_der_x509_certificate(der)
            ends_at = int(found.not_valid_after_utc.timestamp())
            return Root(folder, name, _subject(found), fingerprint, ends_at)
        except (ValueError, x509.InvalidVersion):
            return Root(folder, name, "not a certificate", fingerprint, None)


def _subject(found: x509.Certificate) -> str:
    named = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = str(named[0].value) if named else found.subject.rfc4514_string()
    return "".join(c if c.isprintable() else "?" for c in text[:80])
