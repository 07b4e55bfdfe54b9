"""A CA is founded, and its batches follow each other: `firstlight ca init` and `rotate`.

Every key and certificate is on the disk, or in its token, before the ledger names it: whatever
ends the process, the current batch has its key. Nothing is printed here.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..errors import ToolError, UsageError
from . import making
from .authority import LEAF_DAYS
from .certificate import PublicKey, public_bytes
from .folder import Folder
from .ledger import IN_FILE, MOST_DAYS, ROOT, Ledger, Member, batch_name, sha256_of
from .revoking import new_list
from .signers import Passphrases, adopt_or_make, destroy, open_signer

_LONGEST_NAME = 64  # of a common name (RFC 5280, ub-common-name)


@dataclass(frozen=True)
class Wishes:
    """What a new CA, or a new batch, is to be. token: a pkcs11: URI, or None for a file.

    adopt: take key pairs that are in the tokens already. *_days: how long each is good for.
    """

    kind: str = "ec"
    token: str | None = None
    root_token: str | None = None
    adopt: bool = False
    root_days: int = 7305  # 20 years
    batch_days: int = 4383  # 12 years: two to issue in, and ten for the last leaf
    leaf_days: int = LEAF_DAYS


def found(
    folder: Folder, name: str, batch: str, wishes: Wishes, secrets: Passphrases, now: datetime
) -> Ledger:
    """Make a root and its first batch. Raises UsageError, ToolError."""
    _check_names(name, batch_name(batch))
    _check_days(wishes)
    folder.begin()
    with folder.changing(is_new=True):
        folder.mark_begun()
        key, where = adopt_or_make(
            folder, ROOT, wishes.kind, wishes.root_token, secrets, adopt=wishes.adopt
        )
        until = now + timedelta(days=wishes.root_days)
        root = making.Issuer(making.root(key, name, now, until), key)
        folder.put_certificate(ROOT, root.certificate)
        first = Member(ROOT, sha256_of(root.certificate), where, crl=1)
        ledger = Ledger(name, wishes.leaf_days, wishes.batch_days, batch, (first,))
        ledger = ledger.with_member(_new_batch(folder, ledger, batch, root, wishes, secrets, now))
        folder.put_list(ROOT, new_list(root, first, now))
        folder.put_ledger(ledger)
    return ledger


def rotate(
    folder: Folder,
    batch: str | None,
    wishes: Wishes,
    secrets: Passphrases,
    now: datetime,
    *,
    retire: bool,
) -> Ledger:
    """Make a new batch and have it the current one. retire: destroy the key of the one before.

    batch: None for the next number. Of the wishes, token and adopt count: the rest was said when
    the CA was made. Raises UsageError, ToolError.
    """
    with folder.changing():
        ledger = folder.ledger()
        name = batch_name(batch or next_name(ledger))
        if ledger.has(name):
            raise UsageError(f"the CA has had a batch {name} already; give this one another name")
        _check_names(ledger.name, name)
        certificate = folder.certificate(ledger.root)
        root = open_signer(folder, ledger.root, certificate, secrets)
        before = ledger.batch(None)
        added = _new_batch(folder, ledger, name, root, wishes, secrets, now)
        ledger = replace(ledger.with_member(added), current=name)
        if retire and before.key == IN_FILE:
            ledger = ledger.with_member(_without_key(before))
        folder.put_ledger(ledger)
        if retire and before.key not in (None, IN_FILE):
            _retire_in_token(before, secrets)
            ledger = ledger.with_member(_without_key(before))
            folder.put_ledger(ledger)
    return ledger


def next_name(ledger: Ledger) -> str:
    """The first of batch-1, batch-2 ... that was never there."""
    number = len(ledger.members)
    while ledger.has(f"batch-{number}"):
        number += 1
    return f"batch-{number}"


def _new_batch(
    folder: Folder,
    ledger: Ledger,
    name: str,
    root: making.Issuer,
    wishes: Wishes,
    secrets: Passphrases,
    now: datetime,
) -> Member:
    """Make the key and the certificate of a batch; the ledger does not have it yet."""
    until = making.last_moment(root.certificate, now, timedelta(days=ledger.batch_days))
    kind = making.kind_of(root.certificate.public_key())
    key, where = adopt_or_make(folder, name, kind, wishes.token, secrets, adopt=wishes.adopt)
    _check_unshared(folder, ledger, key.public_key())
    certificate = making.intermediate(root, key.public_key(), f"{ledger.name} {name}", now, until)
    folder.put_certificate(name, certificate)
    member = Member(name, sha256_of(certificate), where, crl=1)
    folder.put_list(name, new_list(making.Issuer(certificate, key), member, now))
    return member


def _check_unshared(folder: Folder, ledger: Ledger, public: PublicKey) -> None:
    """Raise UsageError for a key that the root, or a batch, has already.

    To revoke one of two that share a key, or to destroy its key, would mean both.
    """
    for member in ledger.members:
        if public_bytes(folder.certificate(member).public_key()) == public_bytes(public):
            raise UsageError(
                f"this is the key of {member.name}: a batch has one of its own; name another "
                "in --token"
            )


def _retire_in_token(before: Member, secrets: Passphrases) -> None:
    try:
        destroy(before, secrets)
    except ToolError as error:
        raise ToolError(
            f"the new batch is the current one, but the key of {before.name} was not destroyed; "
            f"do that in its token by hand: {error}"
        ) from None


def _without_key(member: Member) -> Member:
    return replace(member, key=None)


def _check_names(name: str, batch: str) -> None:
    longest = _LONGEST_NAME - len(batch) - 1
    if not name.isprintable() or not 1 <= len(name) <= longest or name.strip() != name:
        raise UsageError(
            f"the CA's name is 1 to {longest} characters that can be shown: with the batch's, "
            f"{batch!r}, it is a common name of {_LONGEST_NAME} at most"
        )


def _check_days(wishes: Wishes) -> None:
    if not 1 <= wishes.leaf_days <= wishes.batch_days <= wishes.root_days <= MOST_DAYS:
        raise UsageError(
            "a root must live at least as long as a batch, and a batch as a leaf: now they are "
            f"{wishes.root_days}, {wishes.batch_days} and {wishes.leaf_days} days"
        )
