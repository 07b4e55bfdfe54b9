"""Whose request it is: from id scope, registration id, and token or certificates to an enrollment.

No clock and no I/O; judges, and changes nothing. What a refusal says: protocol.md 2.6 and 2.7.
Of the groups that a device's certificate leads to the nearest counts, enabled or not: that of the
CA that signed it before that of the root (azure/iot-dps/concepts-x509-attestation, "DPS order of
operations with certificates").
"""

from collections.abc import Sequence

from cryptography import x509

from .. import chains, sas
from ..answers import Refusal
from ..authorities import DPS
from ..hub.credential import by_authority
from . import certificates
from .attestation import X509, Proof
from .issuing import Issuer
from .presented import Presented
from .reading import check_id
from .records import Enrollment
from .rules import API_VERSIONS, Request, Rules
from .settling import Claim
from .store import Store


class Gate:
    """Finds the enrollment that a request belongs to. issuer: of what devices asked for (csr)."""

    def __init__(self, rules: Rules, store: Store, issuer: Issuer | None = None) -> None:
        self._rules = rules
        self._store = store
        self._issuer = issuer

    def admit(self, request: Request, now_at: float) -> Claim:
        """Judge a request; raise Refusal.

        An individual enrollment hides the groups, as at Azure.
        """
        version = request.api_version
        if version and version not in API_VERSIONS and not self._rules.unknown_version:
            raise Refusal(400, 400000, "The api-version is not known.")
        if not self._is_scope(request.id_scope):
            raise Refusal(404, 404201, "Not found.", why="no such id scope")
        id = check_id(request.registration_id, "RegistrationId")
        individual = self._store.individuals.get(id)
        if individual is None and not len(self._store.groups):
            raise self._unknown(None)
        if self._rules.issued_at_dps and self._is_issued(request, now_at):
            return self._issued(individual, id, request)
        proof = self._proof(request, now_at)
        if individual is not None:
            individual.attestation.prove(proof)
            return _claim(individual, id, None, request, proof)
        return self._find_group(proof, id, request)

    def _is_issued(self, request: Request, now_at: float) -> bool:
        chain, id = request.chain, request.registration_id
        if self._issuer is None or request.token or not chain:
            return False
        return self._issuer.has_issued(chain, id, now_at)

    def _issued(self, individual: Enrollment | None, id: str, request: Request) -> Claim:
        """Of a device that shows what it was issued; raise Refusal if its enrollment is gone."""
        version, known = request.api_version, self._store.registration(id)
        facts = certificates.facts(chains.read(request.chain).leaf)
        if individual is not None:
            return Claim(individual, id, None, version, facts, at_hub=by_authority())
        group = self._store.groups.get(known.group_id) if known and known.group_id else None
        if group is None:
            raise self._unknown(None)
        return Claim(group, id, id, version, facts, at_hub=by_authority())

    def _find_group(self, proof: Proof, id: str, request: Request) -> Claim:
        if proof.token is not None:
            for group in self._in_order(id):
                spelling = group.attestation.spelling_of(proof)
                if spelling is not None:
                    return _claim(group, id, spelling, request, proof)
        certified = self._store.groups.count(X509.kind)
        if proof.has_token and certified < len(self._store.groups):
            raise self._unknown(proof)
        if not certified and not proof.presented.ders:
            raise self._unknown(proof)
        return _claim(self._certified(proof.presented), id, id, request, proof)

    def _certified(self, presented: Presented) -> Enrollment:
        """The group that a device's certificates lead to; raise Refusal."""
        for issuer in presented.issuers():
            group = self._store.group_of(issuer)
            if group is not None:
                return group
        if self._rules.unknown_enrollment == "404":
            raise Refusal(404, 404201, "Not found.", why="no enrollment")
        raise presented.unmatched()

    def _anchors(self) -> Sequence[x509.Certificate]:
        """The CAs that a device's certificates may lead to."""
        verified = self._store.authorities.anchors(DPS)
        if self._rules.chain_to == "verified":
            return verified
        attestations = [group.attestation for group in self._store.groups.preferred()]
        signers = [one.signers for one in attestations if isinstance(one, X509)]
        return (*verified, *(signer for pair in signers for signer in pair))

    def _unverified(self) -> list[x509.Certificate]:
        """The CAs that are known and that nothing may lead to."""
        known = self._store.authorities.all(DPS)
        return [one.certificate for one in known if not one.is_verified]

    def _in_order(self, id: str) -> tuple[Enrollment, ...]:
        """The groups; that of the device's last registration first, for it is the likeliest."""
        groups = self._store.groups.preferred()
        known = self._store.registration(id) if len(groups) > 1 else None
        last = known and known.group_id and self._store.groups.get(known.group_id)
        return (last, *groups) if last and last.enabled else groups

    def _unknown(self, proof: Proof | None) -> Refusal:
        """For a device that no enrollment is for. proof: None if no group can have it either."""
        how = self._rules.unknown_enrollment
        if proof is not None and proof.trouble is not None:
            return proof.trouble
        if how == "401" or (how == "auto" and proof is not None):
            code = proof.wrong_key_code if proof else self._rules.wrong_key_code
            return Refusal(401, code, "Unauthorized", why="no enrollment's key made this token")
        return Refusal(404, 404201, "Not found.", why="no enrollment")

    def _is_scope(self, text: str) -> bool:
        if self._rules.scope_case:
            return text == self._rules.id_scope
        return text.lower() == self._rules.id_scope.lower()

    def _proof(self, request: Request, now_at: float) -> Proof:
        rules, id = self._rules, request.registration_id
        is_mqtt = request.over == "mqtt"
        wrong = rules.wrong_key_code if is_mqtt else rules.wrong_key_code_https
        expired = rules.expired_code if is_mqtt else rules.expired_code_https
        lower = id.lower()
        spellings: tuple[str, ...] = (id if rules.derive_from == "sent" else lower,)
        if rules.derive_from == "either" and id != lower:
            spellings = (lower, id)
        presented = self._presented(request, now_at)
        token, why = self._token(request)
        code = wrong
        if token is not None and not why:
            code, why = expired, self._lateness(token, now_at)
        if why:
            trouble = Refusal(401, code, "Unauthorized", why=why)
            return Proof(None, trouble, spellings, wrong, presented, bool(request.token))
        return Proof(token, None, spellings, wrong, presented, bool(request.token))

    def _presented(self, request: Request, now_at: float) -> Presented:
        rules = self._rules
        return Presented(
            request.chain,
            request.registration_id,
            now_at,
            self._anchors,
            self._unverified,
            rules.individual_chain == "verified",
            rules.any_chain_order,
            rules.certificate_code,
        )

    def _token(self, request: Request) -> tuple[sas.Token | None, str]:
        """The token, and what is wrong with it, if anything."""
        try:
            token = sas.parse(request.token)
        except sas.BadToken as bad:
            return None, str(bad)
        wanted = f"{request.id_scope}/registrations/{request.registration_id}"
        named = token.resource
        if not self._rules.sr_case:
            wanted, named = wanted.lower(), named.lower()
        if named != wanted:
            return token, "the token is for another sr"
        # The Python SDK sends no skn (protocol.md 1.4).
        if token.key_name not in ("", "registration"):
            return token, "skn is not registration"
        return token, ""

    def _lateness(self, token: sas.Token, now_at: float) -> str:
        if token.expires_at <= now_at:
            return "the token has expired"
        longest_s = self._rules.max_token_s
        if longest_s is not None and token.expires_at - now_at > longest_s:
            return f"the token is for more than {longest_s} s"
        return ""


def _claim(
    enrollment: Enrollment, id: str, spelling: str | None, request: Request, proof: Proof
) -> Claim:
    by_certificate = isinstance(enrollment.attestation, X509)
    facts = proof.presented.facts() if by_certificate else None
    return Claim(enrollment, id, spelling, request.api_version, facts)
