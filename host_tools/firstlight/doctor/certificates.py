"""A board's trust roots and its own certificates, read as certificates on the PC.

Never raises for what is no certificate: that is a finding, too. Judges no date: the verdict does.
"""

import hashlib
import warnings
from collections.abc import Sequence
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from .findings import Certificate, Chain, Root

_MOST = 4  # certificates of a chain


def read(folder: str, name: str, der: bytes) -> Root:
    """What a root's DER says."""
    fingerprint = hashlib.sha256(der).hexdigest()[:16]
    found = _loaded(der)
    if found is None:
        return Root(folder, name, "not a certificate", fingerprint, None)
    ends_at = int(found.not_valid_after_utc.timestamp())
    return Root(folder, name, _named(found.subject), fingerprint, ends_at)


def chain(number: int, ders: Sequence[bytes], registration_id: str) -> Chain:
    """What the certificates say with which a device of that name proves itself, leaf first."""
    found = [_loaded(der) for der in ders[:_MOST]]
    told = tuple(
        _facts(one, der) for one, der in zip(found, ders, strict=False) if one is not None
    )
    return Chain(number, told, _fault(found, registration_id))


def leads_to(ders: Sequence[bytes], authority: x509.Certificate) -> bool:
    """Whether a chain has an authority in it, or a certificate that this one signed."""
    found = [one for one in map(_loaded, ders[:_MOST]) if one is not None]
    return any(one == authority or _is_signed(one, authority) for one in found)


def _fault(found: Sequence[x509.Certificate | None], registration_id: str) -> str:
    """Why the chain proves nothing, at any time; "" if it may."""
    parsed = [one for one in found if one is not None]
    if not parsed or len(parsed) < len(found):
        return "a certificate of it cannot be read" if found else "it has no certificate"
    common = parsed[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [one.value for one in common] != [registration_id]:
        name = _plain(str(common[0].value)) if common else "nobody"
        return f"its leaf is of {name}, not of {registration_id}"
    for at, (one, issuer) in enumerate(pairwise(parsed), 1):
        if not _is_signed(one, issuer):
            later = any(_is_signed(one, other) for other in parsed[at + 1 :])
            why = "is out of order" if later else "is not signed by the one after it"
            return f"certificate {at} of {len(parsed)} {why}"
        if not _is_authority(issuer):
            return f"certificate {at + 1} of {len(parsed)} is no CA's"
    return ""


def _facts(found: x509.Certificate, der: bytes) -> Certificate:
    return Certificate(
        _named(found.subject),
        _named(found.issuer),
        hashlib.sha256(der).hexdigest(),
        int(found.not_valid_before_utc.timestamp()),
        int(found.not_valid_after_utc.timestamp()),
    )


def _loaded(der: bytes) -> x509.Certificate | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some roots have serial numbers that RFC 5280 forbids
        try:
            found = x509.load_der_x509_certificate(der)
            _ = found.subject, found.issuer, found.not_valid_before_utc, found.not_valid_after_utc
        except (ValueError, x509.InvalidVersion):
            return None
    return found


def _is_signed(one: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_authority(one: x509.Certificate) -> bool:
    try:
        return one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False


def _named(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return _plain(str(common[0].value) if common else name.rfc4514_string())


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:80])
