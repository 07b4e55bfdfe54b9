"""Whether an enrollment's certificates may be in it, as things are in this provisioning service.

No I/O; changes nothing. Each check is a rule that can be turned off: how Azure words its refusals
is not known.
"""

from .. import chains
from ..answers import Refusal
from ..authorities import DPS
from .attestation import X509
from .records import Enrollment
from .rules import Rules
from .store import Store


def check_certificates(rules: Rules, store: Store, item: Enrollment) -> None:
    """Raise Refusal for a signer that is no CA, an unverified CA, a certificate in use."""
    attestation = item.attestation
    if not isinstance(attestation, X509):
        return
    if not rules.any_signer and not all(map(chains.is_ca, attestation.signers)):
        raise _invalid("signingCertificates", "not a CA's: its basic constraints say no CA:TRUE")
    for name in () if rules.any_reference else attestation.references:
        try:
            is_verified = store.authorities.get(DPS, name).is_verified
        except Refusal:
            raise _invalid("caReferences", f"there is no CA certificate {name[:64]}") from None
        if not is_verified:
            raise _invalid("caReferences", f"the CA certificate {name[:64]} is not verified")
    rival = None if rules.certificate_reuse else store.rival_of(item)
    if rival is not None:
        raise _invalid("x509", f"its certificate is in the enrollment {rival.id} already")


def _invalid(name: str, why: str) -> Refusal:
    return Refusal(400, 400000, f"Invalid {name}: {why}.")
