"""What a device authenticates with at its hub, as a provisioning service hands it over.

A value; its keys are never in a repr. At Azure a device that DPS assigned by X.509 is `selfSigned`
at its hub, also one of a group: DPS copies the leaf's SHA-256 thumbprint, into primary and
secondary alike if it knows but one (MicrosoftDocs/azure-docs#70976 and #108289,
Azure/iotedge#2951).
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from ..keys import Keys

SAS, SELF_SIGNED, CERTIFICATE_AUTHORITY, NONE = (
    "sas", "selfSigned", "certificateAuthority", "none",
)  # fmt: skip
AUTHENTICATIONS = (SAS, SELF_SIGNED, CERTIFICATE_AUTHORITY, NONE)
Thumbprints: TypeAlias = tuple[str | None, str | None]


@dataclass(frozen=True)
class Credential:
    """keys: None where there are none, as for X.509: the hub keeps or makes some, unseen.

    auth: sas, selfSigned, certificateAuthority or none; thumbprints: primary and secondary, SHA-1
    or SHA-256 in hexadecimal.
    """

    keys: Keys | None = field(default=None, repr=False)
    auth: str = SAS
    thumbprints: Thumbprints = (None, None)


def by_keys(keys: Keys) -> Credential:
    """A device that signs tokens."""
    return Credential(keys)


def by_thumbprints(primary: str, secondary: str | None = None) -> Credential:
    """A device that shows a certificate of its own; one thumbprint counts for both."""
    return Credential(None, SELF_SIGNED, (primary, secondary or primary))


def by_authority() -> Credential:
    """A device that shows a certificate of one of its hub's authorities."""
    return Credential(None, CERTIFICATE_AUTHORITY)
