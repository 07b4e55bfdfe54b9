"""What a CA's folder holds, for people and programs: `firstlight ca show`. Opens no key."""

from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ..errors import UsageError
from .certificate import serial_hex
from .folder import Folder
from .ledger import IN_FILE, ROOT, Ledger, Member, sha256_of
from .making import kind_of


def described(folder: Folder, now: datetime) -> dict[str, Any]:
    """Everything, as JSON. Raises UsageError for a folder that is damaged."""
    ledger = folder.ledger()
    for batch in ledger.batches:
        folder.pair(ledger, batch)
    own = {folder.certificate(each).serial_number for each in ledger.batches}
    members = {each.name: _member(folder, ledger, each, own, now) for each in ledger.members}
    return {
        "name": ledger.name,
        "kind": kind_of(folder.certificate(ledger.root).public_key()),
        "leaf_days": ledger.leaf_days,
        "current": ledger.current,
        "root": members.pop(ROOT),
        "batches": list(members.values()),
        "warnings": list(_warnings(folder, ledger, now)),
    }


def lines(told: dict[str, Any]) -> list[str]:
    """The same for people."""
    said = [f"{told['name']} ({told['kind'].upper()}); leaves for {told['leaf_days']} days"]
    for each in (told["root"], *told["batches"]):
        mark = " (current)" if each["name"] == told["current"] else ""
        said += ["", f"{each['name']}{mark}: {each['subject']}{_revoked_mark(each)}"]
        said += [
            f"  SHA-256     {each['sha256']}",
            f"  thumbprint  {each['sha1']}   (SHA-1, as Azure shows it)",
            f"  serial      {each['serial']}",
            f"  valid       {each['not_before'][:10]} to {each['not_after'][:10]}",
            f"  key         {each['key']}",
        ]
        for gone in each["revoked_leaves"]:
            said.append(f"  revoked     {gone['serial']} on {gone['at'][:10]}, {gone['reason']}")
    return said + [f"\nwarning: {each}" for each in told["warnings"]]


def _revoked_mark(each: dict[str, Any]) -> str:
    gone = each["revoked"]
    return "" if gone is None else f"  REVOKED on {gone['at'][:10]}, {gone['reason']}"


def _member(
    folder: Folder, ledger: Ledger, member: Member, own: set[int], now: datetime
) -> dict[str, Any]:
    """One of them. own: the batches' serial numbers, which the root revokes and no leaf has."""
    certificate = folder.certificate(member)
    gone = ledger.root.revocation(certificate.serial_number)
    return {
        "name": member.name,
        "subject": certificate.subject.rfc4514_string(),
        "sha256": sha256_of(certificate),
        "sha1": certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303  Azure's name
        "serial": serial_hex(certificate.serial_number),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "expired": certificate.not_valid_after_utc <= now,
        "key": _where(folder, member),
        "crl_number": member.crl,
        "revoked": None if gone is None else _revocation(gone),
        "revoked_leaves": [_revocation(e) for e in member.revoked if e.serial not in own],
    }


def _revocation(gone: Any) -> dict[str, str]:
    return {
        "serial": serial_hex(gone.serial),
        "at": gone.at.isoformat(),
        "reason": gone.reason,
    }


def _where(folder: Folder, member: Member) -> str:
    if member.key is None:
        return "destroyed"
    if member.key != IN_FILE:
        return f"in a token, {member.key.partition('?')[0]}"
    path = folder.key_path(member.name)
    if path.exists():
        return f"in {path}, encrypted"
    if member.name == ROOT:
        return "not here; rotate, prove and revoke --batch need it: do those where the CA was made"
    return "not here; issuing needs it"


def _warnings(folder: Folder, ledger: Ledger, now: datetime) -> Any:
    current = ledger.batch(None)
    certificate = folder.certificate(current)
    if ledger.root.revocation(certificate.serial_number):
        yield f"{current.name} is revoked, and issues nothing: firstlight ca rotate {folder.path}"
    elif certificate.not_valid_after_utc - timedelta(days=ledger.leaf_days) < now:
        yield (
            f"leaves of {current.name} end with it, on {certificate.not_valid_after_utc.date()}, "
            f"before their {ledger.leaf_days} days: firstlight ca rotate {folder.path}"
        )
    for member in ledger.members:
        crl = folder.newest_list(member)
        if crl is None or crl.next_update_utc is None or crl.next_update_utc < now:
            yield (
                f"the revocation list of {member.name} is missing, not its newest, or too old: "
                f"firstlight ca revoke {folder.path} --renew --issuer {member.name}"
            )


def pem_of(folder: Folder, name: str) -> x509.Certificate:
    """The certificate of the root, or of a batch. Raises UsageError."""
    ledger = folder.ledger()
    if name == ROOT:
        return folder.certificate(ledger.root)
    if not ledger.has(name):
        known = ", ".join(each.name for each in ledger.members)
        raise UsageError(f"--pem names one of {known}")
    return folder.certificate(ledger.batch(name))
