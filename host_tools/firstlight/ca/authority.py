"""A batch's CA as a line needs it: opened once, it makes a certificate for unit after unit.

A unit's key is made here, handed over, and not kept: not in this object, not in a file, not in
a log. Several threads may ask at once.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ..custody import Custody
from ..errors import UsageError
from . import making
from .certificate import (
    DeviceCertificate,
    PublicKey,
    check_request,
    device_certificate,
    device_id,
    public_key,
)
from .folder import Folder
from .ledger import Ledger, Member, sha256_of
from .signers import Passphrases, open_signer

LEAF_DAYS = 3650  # a factory's leaf is what a device comes back with after years in a store
_SHORT = 16


class Authority(Protocol):
    """What a line needs of a batch's CA.

    name: the batch's. fingerprint: the first 16 hex digits of the root certificate's SHA-256.
    issuer: the SHA-256 of the batch's certificate, 64 hex digits. root_pem: the root, PEM. chain:
    the certificates between a leaf and the root, DER.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def issuer(self) -> str: ...
    @property
    def root_pem(self) -> bytes: ...
    @property
    def chain(self) -> tuple[bytes, ...]: ...

    def issue(self, registration_id: str) -> DeviceCertificate:
        """Make a key, its certificate and its CSR, now; keep none of them.

        Raises UsageError; ToolError if a token fails.
        """


def utc_now() -> datetime:
    return datetime.now(UTC)


class BatchAuthority:
    """An Authority over a root and a batch's CA. clock: what time it is, with a zone."""

    def __init__(
        self,
        name: str,
        root: x509.Certificate,
        batch: making.Issuer,
        leaf_days: int = LEAF_DAYS,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.name = name
        self.fingerprint = sha256_of(root)[:_SHORT]
        self.root_pem = root.public_bytes(Encoding.PEM)
        self.chain = (batch.certificate.public_bytes(Encoding.DER),)
        self.issuer = sha256(self.chain[0]).hexdigest()
        self._batch = batch
        self._life = timedelta(days=leaf_days)
        self._clock = clock

    def __repr__(self) -> str:
        return f"<BatchAuthority {self.name} of {self.fingerprint}>"

    def issue(self, registration_id: str) -> DeviceCertificate:
        """Make a key, its certificate and its CSR, now. Raises UsageError, ToolError."""
        device = device_id(registration_id)
        key = making.new_device_key(making.kind_of(self._batch.certificate.public_key()))
        leaf = self._leaf(device, key.public_key())
        chain = [leaf, self._batch.certificate]
        return device_certificate(chain, key, making.request(key, device))

    def certify(
        self, request: x509.CertificateSigningRequest, registration_id: str
    ) -> tuple[bytes, ...]:
        """Sign a request that somebody brings; return the chain, DER, leaf first.

        Raises UsageError, ToolError.
        """
        device = device_id(registration_id)
        check_request(request, device)
        public = public_key(request, "the signing request's key")
        return (self._leaf(device, public).public_bytes(Encoding.DER), *self.chain)

    def _leaf(self, device: str, public: PublicKey) -> x509.Certificate:
        now = self._clock()
        until = making.last_moment(self._batch.certificate, now, self._life)
        return making.leaf(self._batch, public, device, now, until)


def open_authority(
    folder: Path,
    batch: str | None,
    passphrase: str | None,
    custody: Custody,
    clock: Callable[[], datetime] = utc_now,
    flag: str = "--passphrase",
) -> BatchAuthority:
    """Open the key of a batch of the CA in a folder. batch: None for the current one.

    passphrase: where that of the key is kept, as custody.py reads; for a key in a token, where its
    PIN is, unless the token's URI says so. flag: what says it, as errors call it. Needs nothing of
    the root's but its certificate. Raises UsageError; ToolError if a token fails.
    """
    home = Folder(folder)
    ledger = home.ledger()
    member = ledger.batch(batch)
    root, certificate = home.pair(ledger, member)
    check_not_revoked(ledger, member, certificate)
    making.last_moment(certificate, clock(), timedelta(days=ledger.leaf_days))
    signer = open_signer(home, member, certificate, Passphrases(custody, passphrase, flag=flag))
    return BatchAuthority(member.name, root, signer, ledger.leaf_days, clock)


def check_not_revoked(ledger: Ledger, member: Member, certificate: x509.Certificate) -> None:
    """Raise UsageError for a batch that issues nothing any more."""
    revoked = ledger.root.revocation(certificate.serial_number)
    if revoked is not None:
        raise UsageError(
            f"the batch {member.name} was revoked on {revoked.at.date()} and issues nothing any "
            "more; make a new one: firstlight ca rotate"
        )
