"""The CA certificates that a provisioning service or a hub knows, and which of them are verified.

Pure: time and random bytes come in; each change goes to the journal at once. Only a verified CA
counts. It is verified when its owner says so at the upload, or by proof of possession: a code is
made, and a certificate whose common name is the code, signed by the CA, is shown
(azure/iot-dps/how-to-verify-certificates). A code is 48 upper-case hexadecimal digits, as Azure's
(aws/aws-iot-device-sdk-python#180 shows one). Shapes: azure-rest-api-specs,
deviceprovisioningservices, resource-manager, 2022-12-12, DPSGetCertificate.json:

    {"name": "root", "type": "...", "etag": "...", "properties": {"subject": "CN=root",
     "expiry": "Sat, 31 Dec 2039 23:59:59 GMT", "thumbprint": "97388663...", "isVerified": false,
     "created": "...", "updated": "...", "certificate": "MII..."}}
"""

import base64
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from . import chains
from .answers import Json, RandomBytes, Refusal, etag
from .journal import Journal, Nowhere

DPS = "dps"
MAX_AUTHORITIES = 25  # protocol.md 2.8
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KIND = "authority"
_CODE_BYTES = 24


@dataclass(frozen=True)
class Authority:
    """One CA certificate. code: what a verification certificate must be made out to, or None.

    Times are Unix seconds.
    """

    name: str
    certificate: x509.Certificate = field(repr=False)
    is_verified: bool
    created_at: float
    updated_at: float
    etag: str
    code: str | None = None

    @property
    def der_b64(self) -> str:
        """The certificate, as it is shown and kept."""
        return base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()

    def document(self, type: str) -> Json:
        """As Azure Resource Manager shows it; the code is for the call that makes it."""
        sha1 = chains.thumbprint(self.certificate, hashes.SHA1())  # noqa: S303
        return {
            "name": self.name,
            "type": type,
            "etag": self.etag,
            "properties": {
                "subject": self.certificate.subject.rfc4514_string(),
                "expiry": _date(self.certificate.not_valid_after_utc),
                "thumbprint": sha1,
                "isVerified": self.is_verified,
                "created": _date(datetime.fromtimestamp(self.created_at, UTC)),
                "updated": _date(datetime.fromtimestamp(self.updated_at, UTC)),
                "certificate": self.der_b64,
            },
        }

    def record(self) -> Json:
        """All of it, for the journal; read back by `_restored`."""
        return {
            "name": self.name,
            "certificate": self.der_b64,
            "isVerified": self.is_verified,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "etag": self.etag,
            "code": self.code,
        }


class Authorities:
    """Every CA certificate of every owner: DPS, or a hub by its host name.

    A name is the same in upper and lower case. Raises Refusal for what cannot be done.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal or Nowhere()
        self._known: dict[str, dict[str, Authority]] = {}
        self._anchors: dict[str, tuple[x509.Certificate, ...]] = {}
        for key, record in self._journal.load(_KIND):
            owner, _, name = key.rpartition("/")
            self._known.setdefault(owner, {})[name] = _restored(record)

    def all(self, owner: str) -> list[Authority]:
        """An owner's, in the order in which they came."""
        return [*self._known.get(owner, {}).values()]

    def get(self, owner: str, name: str) -> Authority:
        """The one of that name; raise Refusal 404."""
        found = self._known.get(owner, {}).get(name.lower())
        if found is None:
            raise Refusal(404, 404201, "Not found.", why=f"no CA certificate {name[:64]}")
        return found

    def anchors(self, owner: str) -> tuple[x509.Certificate, ...]:
        """The certificates of the owner's that are verified."""
        if owner not in self._anchors:
            found = (one.certificate for one in self.all(owner) if one.is_verified)
            self._anchors[owner] = tuple(found)
        return self._anchors[owner]

    def named(self, owner: str, certificate: x509.Certificate) -> list[str]:
        """The names, in lower case, that an owner has for a certificate, verified or not."""
        known = self._known.get(owner, {}).items()
        return [name for name, one in known if one.certificate == certificate]

    def put(
        self,
        owner: str,
        name: str,
        certificate: x509.Certificate,
        verified: bool,
        now_at: float,
        random_bytes: RandomBytes,
    ) -> Authority:
        """Add a certificate, or another in its place, which must be verified anew."""
        if not _NAME.fullmatch(name):
            raise _bad("a name is 1 to 64 of A-Z a-z 0-9 . _ -")
        if not chains.is_ca(certificate):
            raise _bad("no CA's certificate: its basic constraints do not say CA:TRUE")
        known = self._known.get(owner, {})
        old = known.get(name.lower())
        if old is None and len(known) >= MAX_AUTHORITIES:
            raise Refusal(400, 400000, f"There are {MAX_AUTHORITIES} CA certificates already.")
        made_at = old.created_at if old is not None else now_at
        tag = etag(now_at, random_bytes)
        return self._keep(owner, Authority(name, certificate, verified, made_at, now_at, tag))

    def delete(self, owner: str, name: str) -> None:
        """Forget one; whatever referred to it finds it no more."""
        self.get(owner, name)
        del self._known[owner][name.lower()]
        self._anchors.pop(owner, None)
        self._journal.delete(_KIND, _key(owner, name))

    def challenge(
        self, owner: str, name: str, now_at: float, random_bytes: RandomBytes
    ) -> Authority:
        """Make a verification code, which takes the place of an older one."""
        code = random_bytes(_CODE_BYTES).hex().upper()
        return self._change(self.get(owner, name), owner, now_at, random_bytes, code=code)

    def verify(
        self,
        owner: str,
        name: str,
        proof: x509.Certificate,
        now_at: float,
        random_bytes: RandomBytes,
    ) -> Authority:
        """Take a verification certificate for what it proves; the code is used up then."""
        known = self.get(owner, name)
        if known.code is None:
            raise _bad("there is no verification code; generate one first")
        if chains.common_name(proof) != known.code:
            raise _bad("the verification certificate's common name is not the code")
        if not chains.is_signed_by(proof, known.certificate):
            raise _bad("the CA did not sign the verification certificate")
        try:
            chains.check_times(proof, now_at)
        except chains.BadChain as bad:
            raise _bad(str(bad)) from None
        return self._change(known, owner, now_at, random_bytes, code=None, is_verified=True)

    def _change(
        self,
        known: Authority,
        owner: str,
        now_at: float,
        random_bytes: RandomBytes,
        **changes: object,
    ) -> Authority:
        tag = etag(now_at, random_bytes)
        changed = replace(known, updated_at=now_at, etag=tag, **changes)  # type: ignore[arg-type]
        return self._keep(owner, changed)

    def _keep(self, owner: str, authority: Authority) -> Authority:
        self._known.setdefault(owner, {})[authority.name.lower()] = authority
        self._anchors.pop(owner, None)
        self._journal.put(_KIND, _key(owner, authority.name), authority.record())
        return authority


def _restored(record: Json) -> Authority:
    return Authority(
        name=record["name"],
        certificate=x509.load_der_x509_certificate(base64.b64decode(record["certificate"])),
        is_verified=record["isVerified"],
        created_at=record["createdAt"],
        updated_at=record["updatedAt"],
        etag=record["etag"],
        code=record["code"],
    )


def _key(owner: str, name: str) -> str:
    return f"{owner}/{name.lower()}"


def _date(at: datetime) -> str:
    return f"{at:%a, %d %b %Y %H:%M:%S} GMT"


def _bad(why: str) -> Refusal:
    return Refusal(400, 400000, f"Invalid certificate: {why}.")
