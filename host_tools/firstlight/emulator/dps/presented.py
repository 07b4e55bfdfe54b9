"""The certificates that a device showed DPS by TLS, judged as far as an enrollment asks.

Values without I/O and without a clock; each judgement is made once, when it is wanted first. What
DPS says of each fault, as far as it was ever seen (all are 401, protocol.md 2.6):

    Unauthorized                        no certificate at all; another common name
    Invalid certificate.                not the enrolled one (azure-iot-sdk-node#547), unreadable,
                                        not in force, signed by nobody's key or by what is no CA
    CA certificate not found.           the chain ends before a verified CA: incomplete, out of
                                        order, of an unknown root (azure-iot-sdk-java#573,
                                        rwatjen/AzureIoTDPSCertificates#3)
    Signing certificate info did not match chain elements.
                                        it leads to a verified CA and into no enrollment group
                                        (azure-iot-sdk-node#532, iotedge#2739)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from cryptography import x509

from .. import chains
from ..answers import Json, Refusal
from ..chains import BadChain, Chain, Path
from . import certificates

Anchors = Callable[[], Sequence[x509.Certificate]]


@dataclass(frozen=True)
class Presented:
    """ders: the chain, the leaf first, or (). anchors: the CAs that it may lead to.

    unverified: those that it may not, which are asked for only to tell the log.
    individual_needs_ca, any_order, code: the rules individual_chain, any_chain_order and
    certificate_code.
    """

    ders: tuple[bytes, ...] = field(repr=False)
    registration_id: str
    now_at: float
    anchors: Anchors = field(repr=False)
    unverified: Anchors = field(default=tuple, repr=False)
    individual_needs_ca: bool = False
    any_order: bool = False
    code: int = 401002

    @cached_property
    def chain(self) -> Chain:
        """What was shown, of this very device; raise BadChain."""
        chain = chains.read(self.ders)
        if chain.common_name.lower() != self.registration_id.lower():
            why = f"{chains.named(chain.leaf)} has another common name than the registration id"
            raise BadChain(why, chains.UNAUTHORIZED)
        return chain

    @cached_property
    def path(self) -> Path:
        """The way to the CAs that are verified here; raise BadChain."""
        chain = self.chain
        try:
            return chains.follow(chain, self.anchors(), self.now_at, any_order=self.any_order)
        except BadChain as bad:
            raise self._explained(chain, bad) from None

    def _explained(self, chain: Chain, bad: BadChain) -> BadChain:
        """The same, with a better word for the log if a CA is known and not verified."""
        if bad.message != chains.NO_CA:
            return bad
        try:
            found = chains.anchored(chain, self.unverified(), self.now_at)
        except BadChain:
            return bad
        why = f"the chain leads to {chains.named(found)}, which is not verified here"
        return BadChain(why, bad.message)

    def check_leaf(self, thumbprints: Sequence[str]) -> None:
        """Raise Refusal unless the leaf is one of these, by SHA-256, and in force."""
        try:
            leaf = self.chain.leaf
            if self.chain.sha256 not in thumbprints:
                raise BadChain(f"{chains.named(leaf)} is not the enrolled certificate")
            chains.check_times(leaf, self.now_at)
            if self.individual_needs_ca and leaf.issuer != leaf.subject:
                _ = self.path
        except BadChain as bad:
            raise self.refusal(bad) from None

    def issuers(self) -> tuple[x509.Certificate, ...]:
        """Who signed it, the nearest first; raise Refusal."""
        try:
            return self.path.issuers
        except BadChain as bad:
            raise self.refusal(bad) from None

    def unmatched(self) -> Refusal:
        """For a good chain with none of whose certificates a group was made."""
        known = self.path.trouble
        why = f", and not beyond: {known}" if known is not None else ""
        last = chains.named(self.path.issuers[-1])
        return self.refusal(
            BadChain(f"the chain leads to {last} and into no group{why}", chains.NO_MATCH)
        )

    def refusal(self, bad: BadChain) -> Refusal:
        """What the device is told; the log is told why."""
        return Refusal(401, self.code, bad.message, why=str(bad))

    def facts(self) -> Json:
        """The leaf's, as DPS shows a certificate; raise BadChain."""
        return certificates.facts(self.chain.leaf)
