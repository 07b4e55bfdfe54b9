"""The demo's factory with certificates: a CA, its proof to DPS, and leaves for the board.

Every part is the real one, as a factory would call it; DPS's own Resource Manager alone has a
stand-in, the local Azure's calls. The CA's passphrase and every key stay in memory, or encrypted.
"""

import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from . import attesting, azure
from .ca import founding, proving
from .ca.authority import BatchAuthority, open_authority, utc_now
from .ca.certificate import DeviceCertificate
from .ca.folder import Folder
from .ca.ledger import ROOT
from .ca.signers import Passphrases, open_signer
from .custody import Custody
from .errors import ToolError
from .localcalls import LocalCalls

Tell = Callable[[str, str], None]

_NAME = "Demo CA"
_BATCH = "batch-1"
_POLICY = "default"  # of the local Azure, for certificates that it issues
_SHELF = timedelta(hours=20)  # of the one day that a leaf is good for, in the last act


class CertifiedLine:
    """A line whose boards get certificates. folder: for the CA, new; azure_folder: info.json's."""

    def __init__(self, folder: Path, azure_folder: Path, tell: Tell) -> None:
        self._folder = Folder(folder)
        self._calls = LocalCalls(azure_folder)
        self._tell = tell
        # Nowhere else: whoever reads the folder has keys that nobody opens.
        self._custody = Custody({"DEMO_CA": secrets.token_urlsafe(24)}, None)
        self._source = "env:DEMO_CA"

    def open(self, service: azure.Service, group: str) -> None:
        """Make the CA, have DPS verify it, and enroll the batch. Raises ToolError."""
        found = founding.found(
            self._folder, _NAME, _BATCH, founding.Wishes(), self._secrets(), utc_now()
        )
        self._tell("ca", f"made a root and the CA of {found.current}; their keys are encrypted")
        self._verify()
        by = attesting.of_group(self._folder.path / f"{_BATCH}.pem", None)
        wishes = {"enrollmentGroupId": group, "attestation": by, azure.POLICY: _POLICY}
        service.create("enrollmentGroups", group, wishes)
        self._tell("host", f"enrolled group {group} by the certificate of {_BATCH}")

    def section(self, name: str) -> dict[str, Any]:
        """What an identity of that name has, made now, and kept nowhere."""
        authority = open_authority(self._folder.path, None, self._source, self._custody)
        return self._given(authority.issue(name))

    def old_section(self, name: str) -> dict[str, Any]:
        """The same of a leaf that has lain on a shelf for most of its life, which is a day."""
        ledger = self._folder.ledger()
        member = ledger.batch(None)
        root, certificate = self._folder.pair(ledger, member)
        signer = open_signer(self._folder, member, certificate, self._secrets())
        authority = BatchAuthority(member.name, root, signer, 1, lambda: utc_now() - _SHELF)
        return self._given(authority.issue(name))

    @property
    def root(self) -> bytes:
        """The root's certificate, DER."""
        return self._folder.certificate(self._folder.ledger().root).public_bytes(Encoding.DER)

    def _given(self, made: DeviceCertificate) -> dict[str, Any]:
        self._tell("ca", f"signed a certificate for {made.registration_id}, its key made just now")
        return {"x509": made.section()}

    def _secrets(self) -> Passphrases:
        return Passphrases(self._custody, self._source)

    def _verify(self) -> None:
        """Upload the root, and show that its key is ours: sign the code that DPS gives."""
        place = "/emulator/certificates/dps/demo-root"
        root_pem = (self._folder.path / f"{ROOT}.pem").read_text("ascii")
        self._calls.call("PUT", place, {"properties": {"certificate": root_pem}})
        answer = self._calls.call("POST", f"{place}/generateVerificationCode")
        code = str(answer["properties"]["verificationCode"])
        proof = proving.prove(self._folder, ROOT, code, self._secrets(), utc_now())
        answer = self._calls.call("POST", f"{place}/verify", {"certificate": proof.decode()})
        if not answer["properties"]["isVerified"]:
            raise ToolError("the local DPS did not verify the root")
        self._tell("dps", "the root is verified: who uploaded it signed a fresh code with its key")
