"""How a device proves what it is: symmetric keys, and the places of X.509 and TPM.

Values without I/O. A key leaves only through `mechanism` and `record`. An enrollment holds one
attestation of each kind below; serving another kind means giving its class `prove` and
`spelling_of`, and a Proof what they need (a certificate chain, say). Shapes: protocol.md 7
(deviceprovisioningservices, service.json: AttestationMechanism).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from .. import sas
from ..answers import Json, Refusal
from ..keys import Keys


@dataclass(frozen=True)
class Proof:
    """What a device shows of itself.

    token: parsed and in force, or None, and then `trouble` says what is wrong with it.
    spellings: of the registration id, from which a group's device may have derived its key.
    wrong_key_code: Azure's errorCode for a key that does not fit (protocol.md 2.6).
    """

    token: sas.Token | None
    trouble: Refusal | None
    spellings: tuple[str, ...]
    wrong_key_code: int

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

    def prove(self, proof: Proof) -> None:
        """Judge the device of an individual enrollment; raise Refusal."""

    def spelling_of(self, proof: Proof) -> str | None:
        """The spelling of the id under which a device is in this group; None if it is not."""

    def keys_of(self, spelling: str | None) -> Keys:
        """The device's own keys, for its hub. spelling: None for an individual enrollment."""

    def result(self, group_id: str | None) -> Json:
        """The node in registrationState that names the attestation (protocol.md 2.3)."""


@dataclass(frozen=True)
class SymmetricKey:
    """A pair of keys: the device's, or those that a group's devices derive theirs from."""

    keys: Keys = field(repr=False)

    kind = "symmetricKey"

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

    def keys_of(self, spelling: str | None) -> Keys:
        """The pair itself, or what a device of the group derives (protocol.md 4)."""
        if spelling is None:
            return self.keys
        return Keys(*(sas.derive_key(key, spelling) for key in self.keys))

    def result(self, group_id: str | None) -> Json:
        """Of a group's device alone: an individual one's answer has no such node."""
        return {} if group_id is None else {self.kind: {"enrollmentGroupId": group_id}}


@dataclass(frozen=True)
class NotServed:
    """An attestation that is kept and shown, and whose devices are refused."""

    detail: Json = field(repr=False)

    kind = ""

    def shown(self) -> Json:
        """As GET shows it: nothing in it is secret."""
        return {"type": self.kind, self.kind: self.detail}

    def mechanism(self) -> Json:
        """The same."""
        return self.shown()

    def record(self) -> Json:
        """For the journal."""
        return {"type": self.kind, self.kind: self.detail}

    def prove(self, proof: Proof) -> None:  # noqa: ARG002  (nothing proves it)
        """Raise Refusal 401 that says what is missing."""
        raise self.refusal()

    def spelling_of(self, proof: Proof) -> str | None:  # noqa: ARG002
        """No device is found in it."""
        return None

    def keys_of(self, spelling: str | None) -> Keys:  # noqa: ARG002
        """Nothing is ever assigned by it; raise Refusal 401."""
        raise self.refusal()

    def result(self, group_id: str | None) -> Json:
        """Such as {"x509": {"enrollmentGroupId": "fleet"}}."""
        return {self.kind: {} if group_id is None else {"enrollmentGroupId": group_id}}

    def refusal(self) -> Refusal:
        """The clear word."""
        name = {"x509": "X.509", "tpm": "TPM"}[self.kind]
        return Refusal(401, 401002, f"{name} attestation is not served by this local Azure yet.")


class Tpm(NotServed):
    """detail: endorsementKey and perhaps storageRootKey, base64. HTTPS only (protocol.md 1.1)."""

    kind = "tpm"


class X509(NotServed):
    """detail: clientCertificates, signingCertificates or caReferences, primary and secondary.

    A certificate is {"certificate": PEM, "info": facts}, and only its facts are shown.
    """

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


def restored(record: Json) -> Attestation:
    """What `record` wrote."""
    kind = record["type"]
    if kind == SymmetricKey.kind:
        pair = record[kind]
        return SymmetricKey(Keys(pair["primaryKey"], pair["secondaryKey"]))
    return {"x509": X509, "tpm": Tpm}[kind](record[kind])


def _is_signed(token: sas.Token | None, keys: Iterable[str]) -> bool:
    return token is not None and any(token.is_signed_by(key) for key in keys)
