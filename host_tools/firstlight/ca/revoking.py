"""What is no longer good: a batch, or one leaf; kept in the ledger, and signed as a list (CRL).

The ledger is written before the list: should the process end in between, the list is made by doing
the same again. Nothing is printed here.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from ..errors import UsageError
from . import making
from .certificate import is_issued_by
from .folder import Folder
from .ledger import REASONS, ROOT, Ledger, Member, sha256_of
from .signers import Passphrases, open_signer

LIST_DAYS = 365  # how long a list is good for; the same call again makes a new one


@dataclass(frozen=True)
class Target:
    """What to revoke. issuer: root for a batch, else the batch that issued the leaf."""

    issuer: str
    serial: int
    name: str


@dataclass(frozen=True)
class Done:
    """Where the list is. was_known: revoked already."""

    pem: Path
    der: Path
    was_known: bool = False


def a_batch(folder: Folder, ledger: Ledger, name: str) -> Target:
    """A whole batch, by its name. Raises UsageError."""
    member = ledger.batch(name)
    return Target(ROOT, folder.certificate(member).serial_number, member.name)


def a_serial(folder: Folder, ledger: Ledger, serial: int, issuer: str | None) -> Target:
    """A leaf by its serial number. issuer: the batch that issued it; None: the only one there is.

    A number alone does not tell, and in another batch's list it would say nothing. Raises
    UsageError.
    """
    for member in ledger.members:
        if folder.certificate(member).serial_number == serial:
            raise UsageError(f"this is the serial number of {member.name} itself: use --batch")
    if issuer is None and len(ledger.batches) > 1:
        names = ", ".join(batch.name for batch in ledger.batches)
        raise UsageError(
            f"which batch issued it? say --issuer with one of {names}: a record's `issuer` is the "
            "SHA-256 that `firstlight ca show` has beside the batch's name"
        )
    return Target(ledger.batch(issuer).name, serial, f"{serial:x}")


def a_certificate(folder: Folder, ledger: Ledger, certificate: x509.Certificate) -> Target:
    """A leaf or a batch by its certificate. Raises UsageError."""
    for member in ledger.batches:
        if member.fingerprint == sha256_of(certificate):
            return a_batch(folder, ledger, member.name)
        if is_issued_by(certificate, folder.certificate(member)):
            subject = certificate.subject.rfc4514_string()
            return Target(member.name, certificate.serial_number, subject)
    raise UsageError("this certificate was issued by none of the CA's batches")


def revoke(
    folder: Folder,
    target: Target,
    reason: str,
    secrets: Passphrases,
    now: datetime,
) -> Done:
    """Revoke it, and sign the list; for what is revoked already, a new list.

    Raises UsageError, ToolError.
    """
    if reason not in REASONS:
        raise UsageError(f"the reason is one of {', '.join(REASONS)}")
    with folder.changing():
        ledger = folder.ledger()
        issuer = _issuer(ledger, target.issuer)
        was_known = issuer.revocation(target.serial) is not None
        added = () if was_known else (making.Revoked(target.serial, now, reason),)
        issuer = replace(issuer, revoked=issuer.revoked + added)
        pem, der = _signed(folder, ledger, issuer, secrets, now)
    return Done(pem, der, was_known)


def renew(folder: Folder, issuer: str | None, secrets: Passphrases, now: datetime) -> Done:
    """Revoke nothing, and sign an issuer's list anew: before it is old, or if it is missing.

    issuer: the root, a batch, or None for the current one. Raises UsageError, ToolError.
    """
    with folder.changing():
        ledger = folder.ledger()
        return Done(*_signed(folder, ledger, _issuer(ledger, issuer), secrets, now))


def _issuer(ledger: Ledger, name: str | None) -> Member:
    return ledger.root if name == ROOT else ledger.batch(name)


def _signed(
    folder: Folder, ledger: Ledger, issuer: Member, secrets: Passphrases, now: datetime
) -> tuple[Path, Path]:
    """Sign the next list of an issuer and write everything; return where the list is."""
    signer = open_signer(folder, issuer, folder.certificate(issuer), secrets)
    issuer = replace(issuer, crl=issuer.crl + 1)
    crl = new_list(signer, issuer, now)
    folder.put_ledger(ledger.with_member(issuer))
    return folder.put_list(issuer.name, crl)


def new_list(by: making.Issuer, member: Member, now: datetime) -> x509.CertificateRevocationList:
    """A member's revocation list, of its number. Raises UsageError if its time is over."""
    until = making.last_moment(by.certificate, now, timedelta(days=LIST_DAYS))
    return making.revocation_list(by, member.revoked, member.crl, now, until)
