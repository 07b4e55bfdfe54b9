"""Whose request it is: from a device's id scope, registration id and token to its enrollment.

No clock and no I/O; judges, and changes nothing. What a refusal says: protocol.md 2.6 and 2.7.
"""

from .. import sas
from ..answers import Refusal
from .attestation import NotServed, Proof
from .reading import check_id
from .records import Enrollment
from .rules import API_VERSIONS, Request, Rules
from .settling import Claim
from .store import Store


class Gate:
    """Finds the enrollment that a request belongs to."""

    def __init__(self, rules: Rules, store: Store) -> None:
        self._rules = rules
        self._store = store

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
        proof = self._proof(request, now_at)
        if individual is not None:
            individual.attestation.prove(proof)
            return Claim(individual, id, None, request.api_version)
        return self._find_group(proof, id, request.api_version)

    def _find_group(self, proof: Proof, id: str, api_version: str) -> Claim:
        if proof.token is not None:
            for group in self._in_order(id):
                spelling = group.attestation.spelling_of(proof)
                if spelling is not None:
                    return Claim(group, id, spelling, api_version)
        unserved = [
            group.attestation
            for group in self._store.groups.preferred()
            if isinstance(group.attestation, NotServed)
        ]
        if unserved and (proof.token is None or len(unserved) == len(self._store.groups)):
            raise unserved[0].refusal()
        raise self._unknown(proof)

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
        token, why = self._token(request)
        code = wrong
        if token is not None and not why:
            code, why = expired, self._lateness(token, now_at)
        if why:
            trouble = Refusal(401, code, "Unauthorized", why=why)
            return Proof(None, trouble, spellings, wrong)
        return Proof(token, None, spellings, wrong)

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
