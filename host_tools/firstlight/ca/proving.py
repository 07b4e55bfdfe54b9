"""Proof of possession: a certificate with the service's code as its name, signed by a CA's key.

learn.microsoft.com/azure/iot-dps/how-to-verify-certificates: who uploads a CA certificate shows in
this way that its private key is theirs. The key of the proof is thrown away.
"""

import re
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from ..errors import UsageError
from . import making
from .folder import Folder
from .ledger import ROOT
from .signers import Passphrases, open_signer

PROOF_DAYS = 30
_CODE = re.compile("[0-9A-Za-z-]{8,64}")  # the services' are 40 to 64 of 0-9 A-F


def prove(
    folder: Folder, batch: str | None, code: str, secrets: Passphrases, now: datetime
) -> bytes:
    """The proof as PEM, by the root's key, or a batch's. Raises UsageError, ToolError."""
    if not _CODE.fullmatch(code):
        raise UsageError(
            "a verification code is 8 to 64 letters, digits and hyphens: copy it whole from the "
            "portal, or from properties.verificationCode of az ... generate-verification-code"
        )
    ledger = folder.ledger()
    member = ledger.root if batch in (None, ROOT) else ledger.batch(batch)
    by = open_signer(folder, member, folder.certificate(member), secrets)
    until = making.last_moment(by.certificate, now, timedelta(days=PROOF_DAYS))
    public = making.new_device_key(making.kind_of(by.key.public_key())).public_key()
    return making.leaf(by, public, code, now, until).public_bytes(Encoding.PEM)
