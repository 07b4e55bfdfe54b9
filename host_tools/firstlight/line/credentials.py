"""What units of a line prove themselves with: keys of a group, or certificates of a batch's CA.

A unit's key is made for its injection and forgotten after it: who proves the unit later goes by
what the record has of that. Several threads may ask at once. Shows no key to whoever prints it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .. import inject as injection
from .. import keys
from ..ca.authority import Authority
from ..ca.certificate import DeviceCertificate
from ..errors import ToolError
from ..groupkey import GroupKey
from ..repl import Repl
from ..tlsproof import Expected


@dataclass(frozen=True, repr=False)
class Made:
    """One unit's. section: its part of the identity, SECRET. facts: what the record may have.

    root: the CA's certificate, DER, that the unit's must lead to.
    """

    section: dict[str, Any]
    facts: dict[str, str]
    root: bytes | None = None


def given(certificate: DeviceCertificate) -> Made:
    """What a unit gets that has this certificate, of whatever CA."""
    until = datetime.fromtimestamp(certificate.not_after_at, UTC)
    facts = {
        "certificate": certificate.fingerprint,
        "serial": certificate.serial,
        "good_until": until.isoformat().replace("+00:00", "Z"),
    }
    return Made({"x509": certificate.section()}, facts)


class Credentials(Protocol):
    """What a line needs. fingerprint: what tells these from another line's, 16 hex digits.

    fact: the record's name for that fingerprint, one of stages.MADE_WITH.
    """

    @property
    def fingerprint(self) -> str: ...
    @property
    def fact(self) -> str: ...

    def make(self, registration_id: str) -> Made:
        """Make a unit's. Raises UsageError; ToolError if a token fails."""

    def prove(self, repl: Repl, registration_id: str, facts: Mapping[str, str]) -> None:
        """Have a unit prove its own. facts: the record's, of its injection. Raises ProofError."""


class GroupKeys:
    """Symmetric keys: derived from a group's, and again whenever they are needed."""

    fact = "group_key"

    def __init__(self, primary: GroupKey, secondary: GroupKey | None = None) -> None:
        self._primary, self._secondary = primary, secondary
        self.fingerprint = primary.fingerprint

    def make(self, registration_id: str) -> Made:
        """Derive a unit's keys. Raises UsageError; ToolError if a token fails."""
        pair = {"primary": self._primary.derive(registration_id)}
        if self._secondary is not None:
            pair["secondary"] = self._secondary.derive(registration_id)
        facts = {self.fact: self.fingerprint, "device_key": keys.fingerprint(pair["primary"])}
        return Made({"symmetric_key": pair}, facts)

    def prove(self, repl: Repl, registration_id: str, facts: Mapping[str, str]) -> None:  # noqa: ARG002
        """Have a unit sign with its key. Raises ProofError."""
        injection.prove(repl, self._primary.derive(registration_id))


class Certificates:
    """A certificate and a key for each unit, made when it is injected, and never again."""

    fact = "authority"

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self.fingerprint = authority.fingerprint
        root = x509.load_pem_x509_certificate(authority.root_pem)
        self._root = root.public_bytes(Encoding.DER)

    def make(self, registration_id: str) -> Made:
        """Make a unit's key and certificate. Raises UsageError; ToolError if a token fails."""
        made = given(self._authority.issue(registration_id))
        facts = {self.fact: self.fingerprint, "issuer": self._authority.issuer, **made.facts}
        return Made(made.section, facts, self._root)

    def prove(self, repl: Repl, registration_id: str, facts: Mapping[str, str]) -> None:
        """Have a unit shake hands with its certificate. Raises ProofError, ToolError."""
        if "certificate" not in facts:
            raise ToolError(f"the record does not say which certificate {registration_id} has")
        injection.prove(repl, Expected(facts["certificate"], (self._root,)))
