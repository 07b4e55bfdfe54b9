"""What an enrollment by certificate says of itself, from certificates in files; and back again.

Refuses, before anything is sent, what DPS would only refuse later, device by device. A private
key is none of its business: a file that has one is refused, and no line of it is repeated.
"""

import base64
import binascii
import re
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from .azurecalls import Json, plain
from .errors import UsageError
from .roots import content

_MAX_BYTES = 64 * 1024
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]{1,32768}-----END CERTIFICATE-----")
_REFERENCE = re.compile("[A-Za-z0-9._-]{1,256}")
_FORMS = ("clientCertificates", "signingCertificates", "caReferences")
_TOLD = ("subjectName", "sha256Thumbprint", "notAfterUtc")
Facts = tuple[str, str, str]
Check = Callable[[x509.Certificate, str], None]


def of_device(unit: str, primary: Path, secondary: Path | None, expired: bool = False) -> Json:
    """The attestation of one device by its leaf; UsageError unless the leaf is of that name.

    expired: one that is no longer in force will do: to keep it out.
    """

    def check(certificate: x509.Certificate, name: str) -> None:
        common = common_name(certificate)
        if common != unit:
            raise UsageError(
                f"{name} is of {common or 'nobody'}, and the registration id is {unit}: DPS wants "
                "the leaf's common name (CN) to be the registration id, letter by letter"
            )
        if not expired:
            _in_force(certificate, name)

    return _attestation(_FORMS[0], primary, secondary, check)


def of_group(primary: Path, secondary: Path | None) -> Json:
    """The attestation of a group by the CA that signs its leaves, or by one above it."""

    def check(certificate: x509.Certificate, name: str) -> None:
        if not _may_sign(certificate):
            raise UsageError(
                f"{name} is no CA's certificate (basicConstraints CA, keyUsage keyCertSign): a "
                "group is enrolled by the CA that signs its devices' certificates"
            )
        _in_force(certificate, name)

    return _attestation(_FORMS[1], primary, secondary, check)


def of_reference(primary: str, secondary: str | None) -> Json:
    """The attestation of a group by CAs that the DPS instance has, verified, by their names."""
    pair = {"primary": primary} | ({} if secondary is None else {"secondary": secondary})
    for name in pair.values():
        if not _REFERENCE.fullmatch(name):
            raise UsageError("a CA's name is of letters, digits and . _ -: as the instance has it")
    return {"type": "x509", "x509": {_FORMS[2]: pair}}


def common_name(certificate: x509.Certificate) -> str:
    """The common name of a certificate's subject, for a terminal; "" unless it has one."""
    named = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return plain(named[0].value) if len(named) == 1 else ""


def facts(attestation: object) -> Facts:
    """What DPS shows of an enrollment's first certificate: subject, SHA-256 and expiry.

    ("", "", "") for an enrollment by keys; of a CA that is named: its name alone.
    """
    shown = attestation.get("x509") if isinstance(attestation, dict) else None
    for form in _FORMS:
        pair = shown.get(form) if isinstance(shown, dict) else None
        first = pair.get("primary") if isinstance(pair, dict) else None
        if isinstance(first, str):
            return first, "", ""
        info = first.get("info") if isinstance(first, dict) else None
        if isinstance(info, dict):
            subject, thumbprint, until = (str(info.get(name) or "") for name in _TOLD)
            return subject, thumbprint, until
    return "", "", ""


def _attestation(form: str, primary: Path, secondary: Path | None, check: Check) -> Json:
    pair: Json = {}
    for name, path in (("primary", primary), ("secondary", secondary)):
        if path is not None:
            certificate = read(path, chain=form == _FORMS[0])
            check(certificate, str(path))
            pem = certificate.public_bytes(Encoding.PEM).decode()
            pair[name] = {"certificate": pem}
    return {"type": "x509", "x509": {form: pair}}


def read(path: Path, chain: bool = False) -> x509.Certificate:
    """The one certificate of a file, PEM or DER; raise UsageError that says what else it is.

    chain: the first of a file of several, which is a device's own, will do.
    """
    raw = content(path, _MAX_BYTES, "certificate")
    if b"PRIVATE KEY-----" in raw or _holds_a_key(raw):
        raise UsageError(
            f"{path} has a private key in it, which nobody but the device may hold: name the "
            "certificate's own file"
        )
    blocks = _BLOCK.findall(raw)
    if len(blocks) > 1 and not chain:
        raise UsageError(
            f"{path} has {len(blocks)} certificates in it: name a file with the one that is meant"
        )
    load = x509.load_pem_x509_certificate if blocks else x509.load_der_x509_certificate
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some have serial numbers that RFC 5280 forbids
        try:
            found = load(blocks[0] if blocks else raw)
            found.subject, found.extensions, found.version  # noqa: B018  (it reads)
        except (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension):
            raise UsageError(f"{path} is not a certificate, as PEM or DER") from None
    return found


def _holds_a_key(raw: bytes) -> bool:
    """Whether it is base64 of a PEM with a key: what somebody encoded once more."""
    try:
        return b"PRIVATE KEY-----" in base64.b64decode(b"".join(raw.split()), validate=True)
    except (ValueError, binascii.Error):
        return False


def _may_sign(certificate: x509.Certificate) -> bool:
    extensions = certificate.extensions
    try:
        if not extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        return extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound as missing:
        return missing.oid == x509.KeyUsage.oid


def _in_force(certificate: x509.Certificate, name: str) -> None:
    now = datetime.fromtimestamp(time.time(), UTC)
    if certificate.not_valid_after_utc <= now:
        raise UsageError(
            f"{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d}: DPS lets nobody in "
            "by it; name its successor"
        )
