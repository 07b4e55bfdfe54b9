"""DPS's certificate issuance: a CSR comes with a registration, a chain leaves with its assignment.

No I/O, no clock; time and random bytes are handed in. The issuing CA's key leaves only into the
journal. What a device asks for, and is given (protocol.md 2.2 and 2.3; api-version
2025-07-01-preview):

    {"registrationId": "dev-1", "csr": "<base64 of DER PKCS#10>"}
    {"status": "assigned", ..., "issuedCertificateChain": ["<base64 DER>", "...", "..."]}

The leaf comes first, the root last. An enrollment says by its `credentialPolicyName` how long the
leaf is valid. Azure has one issuing CA a policy; this one has one for all. Who serves a
registration calls

    check(csr, id, api_version, policy)     of its body: a Refusal, or the CSR to be kept, or None
    at_hub()                                what a hub takes of a device that has a CSR
    issue(csr, device_id, policy, now_at)   once it is assigned: kept with the operation, whose
                                            polls show it; a lookup does not
    has_issued(chain, id, now_at)           where that is to be proof enough (issued_at_dps)

Facts: azure/iot-hub/concept-certificate-issuance, iot-hub-certificate-management-overview; the
error as Azure's SDKs for Java and C are tested with it.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .. import chains
from ..answers import Json, RandomBytes, Refusal
from ..hub.credential import Credential, by_authority
from .rules import Behaviour

FIRST_VERSION = "2025-07-01"
BAD_CSR = 400040
_MAX_CSR_CHARS = 16 * 1024
_MAX_NAME_CHARS = 64  # RFC 5280, ub-common-name; a device id may have 128
_CURVES = ("secp256r1", "secp384r1")
_RSA_BITS = 2048
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_DAY = timedelta(days=1)
_ROOT_LIFE, _ISSUER_LIFE = 20 * 365 * _DAY, 10 * 365 * _DAY
_DEFAULT = "default"


def new_issuer(random_bytes: RandomBytes, now_at: float) -> Json:
    """A root and an issuing CA below it, for a journal: PEM. The root's key is not kept."""
    root_key, key = _new_key(random_bytes), _new_key(random_bytes)
    at = datetime.fromtimestamp(now_at, UTC) - _DAY
    root_name, name = _named("firstlight issuing root"), _named("firstlight issuing CA")
    root = _ca(root_name, root_key, root_name, root_key, 1, (at, at + _ROOT_LIFE), random_bytes)
    issuer = _ca(name, key, root_name, root_key, 0, (at, at + _ISSUER_LIFE), random_bytes)
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"root": _pem(root), "certificate": _pem(issuer), "key": key_pem.decode()}


class Issuer:
    """The issuing CA of one DPS. papers: what new_issuer() once gave.

    Raises ValueError for papers that are none. anchors: whom a hub must trust to take its leaves.
    """

    def __init__(self, rules: Behaviour, papers: Json, random_bytes: RandomBytes) -> None:
        self._rules = rules
        self._random_bytes = random_bytes
        self._root = x509.load_pem_x509_certificate(papers["root"].encode())
        self._certificate = x509.load_pem_x509_certificate(papers["certificate"].encode())
        key = load_pem_private_key(papers["key"].encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the issuing CA's key is not of an elliptic curve")
        self._key = key
        self.anchors: Sequence[x509.Certificate] = (self._root,)

    def __repr__(self) -> str:
        """No key."""
        return f"Issuer({self._certificate.subject.rfc4514_string()!r})"

    def check(self, csr: Any, id: str, api_version: str, policy: str | None) -> str | None:
        """The CSR to issue for once the device is assigned; None to issue nothing.

        csr: of the register body, as it came; id: of the registration; policy: the enrollment's
        credentialPolicyName. Raise Refusal 400.
        """
        if csr is None or (self._is_old(api_version) and self._rules.csr_old_version == "ignore"):
            return None
        if self._is_old(api_version):
            why = f"A certificate can be asked for (csr) from api-version {FIRST_VERSION} on."
            raise Refusal(400, 400000, why)
        if self._validity_s(policy) is None:
            self._check_is_ignored(policy)
            return None
        request = _parsed(csr)
        _check_signature(request)
        _check_name(request, id)
        _check_key(request)
        return str(csr)

    def has_issued(self, ders: Sequence[bytes], id: str, now_at: float) -> bool:
        """Whether these certificates are of this CA, for this registration, and in force."""
        try:
            chain = chains.read(ders)
            chains.anchored(chain, self.anchors, now_at)
        except chains.BadChain:
            return False
        return chain.common_name.lower() == id.lower()

    def at_hub(self) -> Credential | None:
        """What a hub takes of a device that asks (Behaviour.issued_auth); None: its own, too."""
        return by_authority() if self._rules.issued_auth == "issued" else None

    def issue(self, csr: str, name: str, policy: str | None, now_at: float) -> list[str]:
        """The chain, base64 of DER, the leaf first; name: the leaf's, the device's id at its hub.

        csr: one that was checked. [] if there is no such policy any more, if the name is longer
        than a common name may be, or if the issuing CA itself has expired.
        """
        validity_s = self._validity_s(policy)
        if validity_s is None or len(name) > _MAX_NAME_CHARS:
            return []
        starts_at = datetime.fromtimestamp(int(now_at), UTC)
        ends_at = min(
            starts_at + timedelta(seconds=validity_s), self._certificate.not_valid_after_utc
        )
        if ends_at <= starts_at:
            return []
        leaf = (
            _builder(_named(name), self._certificate.subject, self._random_bytes)
            .public_key(_parsed(csr).public_key())
            .not_valid_before(starts_at)
            .not_valid_after(ends_at)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(_usage(is_ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
            .add_extension(_authority(self._key), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return [_b64(one) for one in (leaf, self._certificate, self._root)]

    def _is_old(self, api_version: str) -> bool:
        return api_version < FIRST_VERSION  # the year comes first

    def _validity_s(self, policy: str | None) -> float | None:
        """None for no policy."""
        if policy is None and self._rules.csr_without_policy == _DEFAULT:
            policy = _DEFAULT
        return self._rules.credential_policies.get(policy or "")

    def _check_is_ignored(self, policy: str | None) -> None:
        """Raise Refusal 400 unless a CSR is to be passed over where there is no such policy."""
        if policy is None and self._rules.csr_without_policy == "ignore":
            return
        what = "no credential policy" if policy is None else "a credential policy unknown here"
        raise Refusal(400, 400000, f"No certificate is issued (csr): the enrollment has {what}.")


def _bad(error: str, why: str) -> Refusal:
    info = {"credentialError": error, "credentialMessage": why}
    message = f"A certificate signing request operation failed: {why}"
    return Refusal(400, BAD_CSR, message, info=info)


def _parsed(csr: Any) -> x509.CertificateSigningRequest:
    """A CSR of base64 of DER; raise Refusal 400."""
    if not isinstance(csr, str) or len(csr) > _MAX_CSR_CHARS:
        raise _bad("FailedToDecodeCsr", "the CSR is no text, or too long")
    try:
        der = base64.b64decode(csr, validate=True)
    except (ValueError, binascii.Error):
        raise _bad("FailedToDecodeCsr", "invalid base64 encoding (of DER, not PEM)") from None
    try:
        request = x509.load_der_x509_csr(der)
        _ = request.subject, request.public_key()
    except chains.UNREADABLE:
        raise _bad("FailedToDecodeCsr", "it is not PKCS#10 in DER") from None
    return request


def _check_signature(request: x509.CertificateSigningRequest) -> None:
    try:
        is_valid = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        is_valid = False
    if not is_valid:
        raise _bad("InvalidCsrSignature", "its signature is not made by its own key")


def _check_name(request: x509.CertificateSigningRequest, id: str) -> None:
    # A registration id has no case of its own (protocol.md 7).
    names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [str(name.value).lower() for name in names] != [id.lower()]:
        raise _bad("InvalidCsrSubject", "its common name is not the registration id")


def _check_key(request: x509.CertificateSigningRequest) -> None:
    key = request.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_BITS:
        return
    why = f"its key is neither EC P-256 or P-384 nor RSA of {_RSA_BITS} bits or more"
    raise _bad("UnsupportedCsrKey", why)


def _new_key(random_bytes: RandomBytes) -> ec.EllipticCurvePrivateKey:
    # 128 bits more than the order has: no value is likelier than another.
    number = int.from_bytes(random_bytes(48), "big") % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def _ca(
    name: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    path_length: int,
    validity: tuple[datetime, datetime],
    random_bytes: RandomBytes,
) -> x509.Certificate:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _builder(name, issuer, random_bytes)
        .public_key(key.public_key())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.BasicConstraints(True, path_length), critical=True)
        .add_extension(_usage(is_ca=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(_authority(issuer_key), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _builder(
    name: x509.Name, issuer: x509.Name, random_bytes: RandomBytes
) -> x509.CertificateBuilder:
    # RFC 5280 4.1.2.2: positive, of 20 bytes at most.
    serial = int.from_bytes(random_bytes(16), "big") | 1 << 126
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .serial_number(serial & ((1 << 127) - 1))
    )


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _usage(is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _b64(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
