"""What a CA's folder knows of itself, as JSON: which certificates, where their keys are, what is
revoked, which batch is current. Nothing secret.

No I/O. Whoever may write a folder may have written anything: every field is checked.

    {"version": 1, "name": "Contoso line CA", "leaf_days": 3650, "batch_days": 4383,
     "current": "batch-1",
     "members": {
      "root": {"fingerprint": "<SHA-256>", "key": "file", "crl": 2,
               "revoked": [{"serial": "0a1b", "at": 1790000000, "reason": "superseded"}]},
      "batch-1": {"fingerprint": "...", "key": "pkcs11:token=line;object=b1?...", "crl": 1,
                  "revoked": []}}}

key: `file`, for one in the folder, encrypted; a pkcs11: URI; null: it was destroyed.
"""

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ..errors import UsageError
from ..pkcs11uri import SCHEME
from .certificate import serial_hex
from .making import Revoked

ROOT = "root"
IN_FILE = "file"
MOST_DAYS = 36525
LONGEST = 1 << 23  # bytes
_LONGEST_URI = 2048
_MOST_MEMBERS = 1000
_MOST_REVOKED = 50_000  # of one issuer
_LAST_SECOND = 253402300799  # of the year 9999
_NAME = re.compile("[a-z0-9][a-z0-9_-]{0,31}")  # no dot: x.crl.pem is the list of x
_FINGERPRINT = re.compile("[0-9a-f]{64}")
_SERIAL = re.compile("[0-9a-f]{1,40}")  # 20 bytes (RFC 5280 4.1.2.2)
REASONS = (
    "unspecified",
    "key_compromise",
    "ca_compromise",
    "affiliation_changed",
    "superseded",
    "cessation_of_operation",
    "privilege_withdrawn",
)


class Damaged(Exception):
    """Why a text is no ledger."""


@dataclass(frozen=True)
class Member:
    """The root, or a batch. crl: the number of its newest revocation list."""

    name: str
    fingerprint: str
    key: str | None
    crl: int = 0
    revoked: tuple[Revoked, ...] = ()

    def revocation(self, serial: int) -> Revoked | None:
        return next((each for each in self.revoked if each.serial == serial), None)


@dataclass(frozen=True)
class Ledger:
    """name: the CA's. members: the root first, then the batches as they were made."""

    name: str
    leaf_days: int
    batch_days: int
    current: str
    members: tuple[Member, ...]

    @property
    def root(self) -> Member:
        return self.members[0]

    @property
    def batches(self) -> tuple[Member, ...]:
        return self.members[1:]

    def has(self, name: str) -> bool:
        return any(each.name == name for each in self.members)

    def batch(self, name: str | None) -> Member:
        """A batch by its name; None: the current one. Raises UsageError."""
        wanted = name or self.current
        for each in self.batches:
            if each.name == wanted:
                return each
        known = ", ".join(each.name for each in self.batches)
        raise UsageError(f"the CA has no batch {wanted!r}; it has {known}")

    def with_member(self, member: Member) -> "Ledger":
        """The ledger with one member changed, or a new batch at its end."""
        if not self.has(member.name):
            return replace(self, members=(*self.members, member))
        members = tuple(member if each.name == member.name else each for each in self.members)
        return replace(self, members=members)

    def to_bytes(self) -> bytes:
        whole = {
            "version": 1,
            "name": self.name,
            "leaf_days": self.leaf_days,
            "batch_days": self.batch_days,
            "current": self.current,
            "members": {each.name: _member_json(each) for each in self.members},
        }
        return json.dumps(whole, indent=1).encode() + b"\n"


def batch_name(text: str) -> str:
    """Return text if a batch may be called that: it names files, too. Raises UsageError."""
    if not _NAME.fullmatch(text) or text == ROOT:
        raise UsageError(
            f"a batch is not called {text[:40]!r}: 1 to 32 of a-z 0-9 _ -, a letter or digit "
            f"first, and not {ROOT!r}"
        )
    return text


def serial_number(text: str) -> int:
    """A serial number from hex, as openssl and Azure show it. Raises UsageError."""
    digits = text.replace(":", "").lower().removeprefix("0x").lstrip("0")
    if not _SERIAL.fullmatch(digits):
        raise UsageError(f"{text[:60]!r} is no serial number: up to 40 hex digits")
    return int(digits, 16)


def parse(raw: bytes) -> Ledger:
    """Read a ledger; raise Damaged."""
    if len(raw) > LONGEST:
        raise Damaged(f"it has more than {LONGEST} bytes")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or value.get("version") != 1:
        raise Damaged("it is not a JSON object of version 1")
    members = _field(value, "members", dict)
    if not 2 <= len(members) <= _MOST_MEMBERS or next(iter(members)) != ROOT:
        raise Damaged("members must be the root and at least one batch")
    ledger = Ledger(
        name=_field(value, "name", str),
        leaf_days=_number(value, "leaf_days", 1, MOST_DAYS),
        batch_days=_number(value, "batch_days", 1, MOST_DAYS),
        current=_field(value, "current", str),
        members=tuple(_member(name, each) for name, each in members.items()),
    )
    if not ledger.name.isprintable():
        raise Damaged("its name has characters that cannot be shown")
    if ledger.current not in {each.name for each in ledger.batches}:
        raise Damaged("current is none of its batches")
    return ledger


def _member(name: str, value: Any) -> Member:
    if not isinstance(value, dict) or not _NAME.fullmatch(name):
        raise Damaged("a member is not an object with a proper name")
    key = value.get("key")
    if key is not None and key != IN_FILE and not _is_token(key):
        raise Damaged(f"{name}.key is neither {IN_FILE!r} nor a pkcs11: URI")
    fingerprint = _field(value, "fingerprint", str)
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise Damaged(f"{name}.fingerprint is not 64 hex digits")
    revoked = _field(value, "revoked", list)
    if len(revoked) > _MOST_REVOKED:
        raise Damaged(f"{name}.revoked has more than {_MOST_REVOKED} entries")
    number = _number(value, "crl", 0, 1 << 31)
    return Member(name, fingerprint, key, number, tuple(map(_revoked, revoked)))


def _is_token(key: Any) -> bool:
    if not isinstance(key, str) or not key.startswith(SCHEME):
        return False
    return key.isprintable() and len(key) <= _LONGEST_URI


def _revoked(value: Any) -> Revoked:
    if not isinstance(value, dict):
        raise Damaged("a revocation is not an object")
    serial, reason = _field(value, "serial", str), _field(value, "reason", str)
    if not _SERIAL.fullmatch(serial) or not int(serial, 16):
        raise Damaged("a revocation's serial is not hex")
    if reason not in REASONS:
        raise Damaged("a revocation's reason is not known")
    at = datetime.fromtimestamp(_number(value, "at", 0, _LAST_SECOND), UTC)
    return Revoked(int(serial, 16), at, reason)


def _field(value: dict[str, Any], name: str, kind: type) -> Any:
    found = value.get(name)
    if not isinstance(found, kind):
        raise Damaged(f"it has no proper {name}")
    return found


def _number(value: dict[str, Any], name: str, least: int, most: int) -> int:
    found = value.get(name)
    if type(found) is not int or not least <= found <= most:
        raise Damaged(f"its {name} is not a number from {least} to {most}")
    return found


def _member_json(member: Member) -> dict[str, Any]:
    revoked = [
        {
            "serial": serial_hex(each.serial),
            "at": int(each.at.timestamp()),
            "reason": each.reason,
        }
        for each in member.revoked
    ]
    return {
        "fingerprint": member.fingerprint,
        "key": member.key,
        "crl": member.crl,
        "revoked": revoked,
    }


def sha256_of(certificate: x509.Certificate) -> str:
    """The fingerprint that a ledger holds."""
    return certificate.fingerprint(hashes.SHA256()).hex()
