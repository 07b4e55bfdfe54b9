"""A client's chain of certificates, as TLS carried it: what it is, and which CA it leads to.

Pure: DER in, values or BadChain out; reads no clock, knows no store. What is checked is what
RFC 5280 6.1 asks of a path, as far as devices' certificates go: names, signatures, validity, that
an issuer is a CA that may sign certificates, and its path length. No revocation lists: at Azure
a certificate is revoked by its enrollment (azure/iot-dps/how-to-revoke-device-access-portal).

The path is sought among what the client sent and the anchors alone; a root need not be sent, the
certificates between must be (azure/iot-dps/concepts-x509-attestation, "intermediate certificate").
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

MAX_CERTIFICATES = 10
MAX_DER_BYTES = 16 * 1024
UNAUTHORIZED = "Unauthorized"
INVALID = "Invalid certificate."
NO_CA = "CA certificate not found."
NO_MATCH = "Signing certificate info did not match chain elements."
# What `cryptography` raises for a certificate that is none. A warning is one that it will refuse.
UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm, Warning, x509.InvalidVersion,
    x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
)  # fmt: skip
_MAX_DEPTH = 2 * MAX_CERTIFICATES
_MAX_NAME = 100


class BadChain(Exception):
    """The chain proves nothing. str: why, for a log.

    code, message: what the service says of it (protocol.md 2.6).
    """

    def __init__(self, why: str, message: str = INVALID, code: int = 401002) -> None:
        super().__init__(why)
        self.message = message
        self.code = code


@dataclass(frozen=True)
class Chain:
    """certificates: as they were sent, the leaf first. sha1, sha256: the leaf's, upper hex."""

    certificates: tuple[x509.Certificate, ...] = field(repr=False)
    common_name: str
    sha1: str
    sha256: str

    @property
    def leaf(self) -> x509.Certificate:
        """The client's own."""
        return self.certificates[0]


def read(ders: Sequence[bytes]) -> Chain:
    """Parse what was sent; raise BadChain, also if nothing was."""
    if not ders:
        raise BadChain("no certificate was presented", UNAUTHORIZED)
    if len(ders) > MAX_CERTIFICATES:
        raise BadChain(f"more than {MAX_CERTIFICATES} certificates")
    certificates = tuple(_parsed(der, at) for at, der in enumerate(ders, 1))
    leaf = certificates[0]
    sha1 = thumbprint(leaf, hashes.SHA1())  # noqa: S303
    return Chain(certificates, common_name(leaf), sha1, thumbprint(leaf))


def check_readable(certificate: x509.Certificate) -> None:
    """Parse what is else parsed when it is asked for; raise what UNREADABLE names."""
    if certificate.serial_number <= 0:
        raise ValueError  # as RFC 5280, and a later `cryptography`
    _ = certificate.subject, certificate.issuer, certificate.extensions
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    _ = certificate.version, certificate.public_bytes(Encoding.DER)


def thumbprint(
    certificate: x509.Certificate, algorithm: hashes.HashAlgorithm | None = None
) -> str:
    """SHA-256 unless told otherwise; upper-case hex, as Azure shows it."""
    return certificate.fingerprint(algorithm or hashes.SHA256()).hex().upper()


def common_name(certificate: x509.Certificate) -> str:
    """The subject's; "" unless there is exactly one."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1 or not isinstance(names[0].value, str):
        return ""
    return names[0].value


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether it may sign certificates: basic constraints, and key usage if it has one."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not basic.ca:
            return False
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as missing:
        return missing.oid == x509.KeyUsage.oid
    except ValueError:
        return False
    return usage.key_cert_sign


def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether issuer's key made the certificate's signature, in issuer's name."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def check_times(what: Chain | x509.Certificate, now_at: float) -> None:
    """Raise BadChain unless the certificate, or the chain's leaf, is in its validity."""
    certificate = what.leaf if isinstance(what, Chain) else what
    name = named(certificate)
    if now_at < certificate.not_valid_before_utc.timestamp():
        raise BadChain(f"{name} is not valid yet")
    if now_at > certificate.not_valid_after_utc.timestamp():
        raise BadChain(f"{name} has expired")


def anchored(
    chain: Chain,
    anchors: Sequence[x509.Certificate],
    now_at: float,
    *,
    any_order: bool = False,
) -> x509.Certificate:
    """The anchor that the chain leads to, the nearest to the leaf; raise BadChain.

    An anchor may be a root or an intermediate, and may be in the chain or not. any_order: whether
    the certificates after the leaf may be in another order than issuer after issued.
    """
    for issuer, is_anchor in _walk(chain, anchors, now_at, any_order):
        if is_anchor:
            return issuer
    raise BadChain(f"{named(chain.certificates[-1])} is a root that is not known here", NO_CA)


@dataclass(frozen=True)
class Path:
    """Who issued a chain, the nearest to the leaf first, up to the farthest anchor.

    trouble: why it goes no further, if that is one.
    """

    issuers: tuple[x509.Certificate, ...]
    trouble: BadChain | None = None


def follow(
    chain: Chain,
    anchors: Sequence[x509.Certificate],
    now_at: float,
    *,
    any_order: bool = False,
) -> Path:
    """The whole way up, as far as the last anchor; raise BadChain if there is none on it."""
    found: list[x509.Certificate] = []
    last, trouble = 0, None
    try:
        for issuer, is_anchor in _walk(chain, anchors, now_at, any_order):
            found.append(issuer)
            last = len(found) if is_anchor else last
    except BadChain as bad:
        trouble = bad
    if not last:
        raise trouble or BadChain(f"{named(found[-1])} is a root that is not known here", NO_CA)
    return Path(tuple(found[:last]), trouble)


def check_issuer(issuer: x509.Certificate, depth: int, now_at: float) -> None:
    """Raise BadChain unless it may issue now, with depth certificates between it and the leaf."""
    if not is_ca(issuer):
        raise BadChain(f"{named(issuer)} signed a certificate and is no CA")
    limit = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if limit is not None and depth > limit:
        raise BadChain(f"{named(issuer)} allows {limit} CAs below it, not {depth}")
    check_times(issuer, now_at)


def _walk(
    chain: Chain, anchors: Sequence[x509.Certificate], now_at: float, any_order: bool
) -> Iterator[tuple[x509.Certificate, bool]]:
    """Each issuer on the way up to a root, and whether it is an anchor; raise BadChain."""
    check_times(chain, now_at)
    if chain.leaf in anchors:
        raise BadChain(f"{named(chain.leaf)} is a CA's own certificate, no device's", NO_MATCH)
    current, rest = chain.leaf, list(chain.certificates[1:])
    for depth in range(_MAX_DEPTH):
        issuer = _issuer(current, anchors)
        is_anchor = issuer is not None and not _is_renewed(issuer, current, rest, now_at)
        if issuer is None or not is_anchor:
            issuer = _next(current, rest, anchors, any_order)
        elif rest and is_signed_by(current, rest[0]):
            del rest[0]  # the anchor itself was sent, or an older one with its key
        check_issuer(issuer, depth, now_at)
        yield issuer, is_anchor
        if issuer.issuer == issuer.subject:
            return
        current = issuer
    raise BadChain(f"the chain is longer than {_MAX_DEPTH} certificates")


def _issuer(
    certificate: x509.Certificate, among: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    found = [one for one in among if is_signed_by(certificate, one)]
    # A CA may have been renewed with its key and name: the one that lasts longest counts.
    return max(found, key=lambda one: one.not_valid_after_utc, default=None)


def _is_renewed(
    anchor: x509.Certificate,
    current: x509.Certificate,
    rest: Sequence[x509.Certificate],
    now_at: float,
) -> bool:
    """Whether the client sent a later certificate of an anchor that has expired."""
    end = anchor.not_valid_after_utc
    return (
        end.timestamp() < now_at
        and bool(rest)
        and rest[0].issuer != rest[0].subject
        and rest[0].not_valid_after_utc > end
        and is_signed_by(current, rest[0])
    )


def _next(
    current: x509.Certificate,
    rest: list[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    any_order: bool,
) -> x509.Certificate:
    """Take current's issuer out of the rest of the chain; raise BadChain if it is not there."""
    found = _issuer(current, rest if any_order else rest[:1])
    if found is not None and current.issuer != current.subject:
        rest.remove(found)
        return found
    raise _broken(current, rest, anchors)


def _broken(
    current: x509.Certificate, rest: list[x509.Certificate], anchors: Sequence[x509.Certificate]
) -> BadChain:
    """Why there is no way on from current."""
    name, issuer = named(current), _plain(current.issuer)
    if _is_weak(current):
        return BadChain(f"{name} is signed by an algorithm that is not taken, as SHA-1")
    if any(one.subject == current.issuer for one in anchors):
        return BadChain(f"{name} has a signature that is not {issuer}'s", INVALID)
    if current.issuer == current.subject:
        return BadChain(f"{name} is a root that is not known here", NO_CA)
    if any(is_signed_by(current, one) for one in rest):
        return BadChain(f"{name} is not followed by its issuer, which comes later", NO_CA)
    if any(one.subject == current.issuer for one in rest):
        return BadChain(f"{name} has a signature that is not {issuer}'s", INVALID)
    return BadChain(f"{name} is not followed by its issuer, {issuer}, which is not known", NO_CA)


def _is_weak(certificate: x509.Certificate) -> bool:
    """Whether its signature is of an algorithm that proves nothing any more."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return True
    return isinstance(algorithm, hashes.SHA1 | hashes.MD5)


def _parsed(der: bytes, at: int) -> x509.Certificate:
    load: Callable[[bytes], x509.Certificate] = x509.load_der_x509_certificate
    try:
        if len(der) > MAX_DER_BYTES:
            raise ValueError
        certificate = load(der)
        check_readable(certificate)
    except UNREADABLE:
        raise BadChain(f"certificate {at} cannot be read") from None
    return certificate


def named(certificate: x509.Certificate) -> str:
    """What a log calls it: its subject."""
    return _plain(certificate.subject) or "a certificate without a name"


def _plain(name: x509.Name) -> str:
    return name.rfc4514_string()[:_MAX_NAME]
