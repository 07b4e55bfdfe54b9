"""How a device proves what it is: symmetric keys, X.509 certificates, and the place of TPM.

Values without I/O. A key leaves only through `mechanism` and `record`. An enrollment holds one
attestation of each kind below. The group that a key is derived from is found by `spelling_of`; the
one that a certificate leads to, by `marks` (store.py). Shapes: protocol.md 7
(deviceprovisioningservices, service.json: AttestationMechanism).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from cryptography import x509

from .. import sas
from ..answers import Json, Refusal
from ..hub.credential import Credential, by_keys, by_thumbprints
from ..keys import Keys
from . import certificates
from .presented import Presented

REFERENCE = "ca:"


@dataclass(frozen=True)
class Proof:
    """What a device shows of itself.

    token: parsed and in force, or None, and then `trouble` says what is wrong with it.
    spellings: of the registration id, from which a group's device may have derived its key.
    wrong_key_code: Azure's errorCode for a key that does not fit (protocol.md 2.6).
    presented: its certificates; has_token: whether there was any token, good or bad.
    """

    token: sas.Token | None
    trouble: Refusal | None
    spellings: tuple[str, ...]
    wrong_key_code: int
    presented: Presented
    has_token: bool

    def wrong(self, why: str) -> Refusal:
        """What the device is told if it proves nothing; why: for the log."""
        return self.trouble or Refusal(401, self.wrong_key_code, "Unauthorized", why=why)


class Attestation(Protocol):
    """What an enrollment knows of its device's proof, or of its devices'."""

    @property
    def kind(self) -> str:
        """symmetricKey, x509 or tpm."""

    def shown(self) -> Json:
        """As GET shows it: no keys."""

    def mechanism(self) -> Json:
        """The answer of POST .../attestationmechanism: the one call that shows keys."""

    def record(self) -> Json:
        """All of it, for the journal; read back by `restored`."""

    @property
    def marks(self) -> tuple[str, ...]:
        """What its certificates are known by: SHA-256 thumbprints, and names after "ca:"."""

    def prove(self, proof: Proof) -> None:
        """Judge the device of an individual enrollment; raise Refusal."""

    def spelling_of(self, proof: Proof) -> str | None:
        """The spelling of the id under which a device is in this group; None if it is not."""

    def credential_of(self, spelling: str | None, certificate: Json | None) -> Credential:
        """What the device shows its hub. spelling: None for an individual enrollment.

        certificate: the facts of its own, if it proved itself with one.
        """

    def result(self, group_id: str | None, certificate: Json | None = None) -> Json:
        """The node in registrationState that names the attestation (protocol.md 2.3).

        certificate: what is to be told of the device's own.
        """


@dataclass(frozen=True)
class SymmetricKey:
    """A pair of keys: the device's, or those that a group's devices derive theirs from."""

    keys: Keys = field(repr=False)

    kind = "symmetricKey"
    marks: ClassVar[tuple[str, ...]] = ()

    def shown(self) -> Json:
        """As GET shows it: no keys."""
        return {"type": self.kind}

    def mechanism(self) -> Json:
        """The keys."""
        pair = {"primaryKey": self.keys.primary_b64, "secondaryKey": self.keys.secondary_b64}
        return {"type": self.kind, self.kind: pair}

    def record(self) -> Json:
        """For the journal."""
        return self.mechanism()

    def prove(self, proof: Proof) -> None:
        """Raise Refusal unless either key made the token."""
        if not _is_signed(proof.token, self.keys):
            raise proof.wrong("wrong key")

    def spelling_of(self, proof: Proof) -> str | None:
        """Which spelling's derived key made the token; primary and secondary count."""
        for spelling in proof.spellings:
            # One key is derived at a time: most devices use the first.
            derived = (sas.derive_key(key, spelling) for key in self.keys)
            if _is_signed(proof.token, derived):
                return spelling
        return None

    def credential_of(
        self,
        spelling: str | None,
        certificate: Json | None,  # noqa: ARG002  (a key needs none)
    ) -> Credential:
        """The pair itself, or what a device of the group derives (protocol.md 4)."""
        if spelling is None:
            return by_keys(self.keys)
        return by_keys(Keys(*(sas.derive_key(key, spelling) for key in self.keys)))

    def result(self, group_id: str | None, certificate: Json | None = None) -> Json:  # noqa: ARG002
        """Of a group's device alone: an individual one's answer has no such node."""
        return {} if group_id is None else {self.kind: {"enrollmentGroupId": group_id}}


@dataclass(frozen=True)
class Tpm:
    """An attestation that is kept and shown, and whose devices are refused.

    detail: endorsementKey and perhaps storageRootKey, base64. HTTPS only (protocol.md 1.1).
    """

    detail: Json = field(repr=False)

    kind = "tpm"
    marks: ClassVar[tuple[str, ...]] = ()

    def shown(self) -> Json:
        """As GET shows it: nothing in it is secret."""
        return {"type": self.kind, self.kind: self.detail}

    def mechanism(self) -> Json:
        """The same."""
        return self.shown()

    def record(self) -> Json:
        """For the journal."""
        return self.shown()

    def prove(self, proof: Proof) -> None:  # noqa: ARG002  (nothing proves it)
        """Raise Refusal 401 that says what is missing."""
        raise self.refusal()

    def spelling_of(self, proof: Proof) -> str | None:  # noqa: ARG002
        """No device is found in it."""
        return None

    def credential_of(
        self,
        spelling: str | None,  # noqa: ARG002
        certificate: Json | None,  # noqa: ARG002
    ) -> Credential:
        """Nothing is ever assigned by it; raise Refusal 401."""
        raise self.refusal()

    def result(self, group_id: str | None, certificate: Json | None = None) -> Json:  # noqa: ARG002
        """Such as {"tpm": {}}."""
        return {self.kind: {}}

    def refusal(self) -> Refusal:
        """The clear word."""
        return Refusal(401, 401002, "TPM attestation is not served by this local Azure.")


@dataclass(frozen=True)
class X509:
    """A device's certificates, or the CAs that its certificate leads to.

    detail: {form: {"primary": one, "secondary": one}}, either not there, where form is
    clientCertificates (of an individual enrollment), signingCertificates or caReferences (of a
    group). A certificate is {"certificate": PEM, "info": facts}, and only its facts are shown; a
    reference is the name of a CA that is kept in authorities.py.
    """

    detail: Json = field(repr=False)

    kind = "x509"

    def shown(self) -> Json:
        """As GET shows it."""
        shown = {
            form: {
                name: {"info": one["info"]} if isinstance(one, dict) else one
                for name, one in pair.items()
            }
            for form, pair in self.detail.items()
        }
        return {"type": self.kind, self.kind: shown}

    def mechanism(self) -> Json:
        """The same: there is no secret in it."""
        return self.shown()

    def record(self) -> Json:
        """For the journal."""
        return {"type": self.kind, self.kind: self.detail}

    @property
    def marks(self) -> tuple[str, ...]:
        """Each once, the primary's first."""
        found = (*self.thumbprints, *(REFERENCE + name.lower() for name in self.references))
        return tuple(dict.fromkeys(found))

    @property
    def thumbprints(self) -> tuple[str, ...]:
        """SHA-256 of the certificates, the primary's first; of none if it has references."""
        return tuple(
            one["info"]["sha256Thumbprint"] for one in self._pair if isinstance(one, dict)
        )

    @property
    def references(self) -> tuple[str, ...]:
        """The names of CAs."""
        return tuple(one for one in self._pair if isinstance(one, str))

    @property
    def signers(self) -> tuple[x509.Certificate, ...]:
        """The signing certificates of a group."""
        pair = self.detail.get("signingCertificates", {}).values()
        return tuple(certificates.loaded(one["certificate"]) for one in pair)

    @property
    def _pair(self) -> tuple[Any, ...]:
        return tuple(one for pair in self.detail.values() for one in pair.values())

    def prove(self, proof: Proof) -> None:
        """Raise Refusal unless the device showed either certificate as its own."""
        proof.presented.check_leaf(self.thumbprints)

    def spelling_of(self, proof: Proof) -> str | None:  # noqa: ARG002
        """No key leads to it."""
        return None

    def credential_of(
        self,
        spelling: str | None,
        certificate: Json | None,
    ) -> Credential:
        """Thumbprints: of both enrolled certificates, or of the one that a group's device showed.

        A device of a group is not known by its CA at its hub (MicrosoftDocs/azure-docs#70976).
        """
        if spelling is None:
            return by_thumbprints(*self.thumbprints)
        if certificate is None:
            raise Refusal(401, 401002, "Unauthorized", why="no certificate was kept")
        return by_thumbprints(certificate["sha256Thumbprint"])

    def result(self, group_id: str | None, certificate: Json | None = None) -> Json:
        """Such as {"x509": {"enrollmentGroupId": "fleet"}}; {} for an individual enrollment."""
        node: Json = {} if group_id is None else {"enrollmentGroupId": group_id}
        if certificate is not None:
            node["certificateInfo"] = certificate
        return {self.kind: node}


def restored(record: Json) -> Attestation:
    """What `record` wrote."""
    kind = record["type"]
    if kind == SymmetricKey.kind:
        pair = record[kind]
        return SymmetricKey(Keys(pair["primaryKey"], pair["secondaryKey"]))
    kinds: dict[str, Callable[[Json], Attestation]] = {X509.kind: X509, Tpm.kind: Tpm}
    return kinds[kind](record[kind])


def _is_signed(token: sas.Token | None, keys: Iterable[str]) -> bool:
    return token is not None and any(token.is_signed_by(key) for key in keys)
