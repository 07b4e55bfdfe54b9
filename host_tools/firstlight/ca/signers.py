"""The keys of a CA: made, opened and destroyed, in the folder or in a PKCS#11 token.

Where a passphrase or a PIN is kept comes in as a source (custody.py); a key is opened when
something is to be signed with it, and checked to be that of its certificate.
"""

import os
from dataclasses import dataclass, field

from cryptography import x509

from ..custody import Custody
from ..errors import UsageError
from ..groupkey import token_module, token_package, token_pin
from ..pkcs11uri import SCHEME, TokenURI, parse
from . import making, seal
from .certificate import PrivateKey, public_bytes
from .folder import Folder
from .ledger import IN_FILE, ROOT, Member

_PROBE_BYTES = 32


@dataclass
class Passphrases:
    """Where passphrases are kept: the batches', and the root's if that is another.

    For a key in a token: where its PIN is, if the URI does not say. Each is read once. flag: what
    says where the batches' is, as errors call it.
    """

    custody: Custody
    batch: str | None = field(default=None, repr=False)  # perhaps a passphrase, by mistake
    root: str | None = field(default=None, repr=False)
    flag: str = "--passphrase"
    _known: dict[str, str] = field(default_factory=dict, repr=False)

    def source(self, name: str) -> str | None:
        return self.root if name == ROOT and self.root is not None else self.batch

    def of(self, name: str) -> str:
        """The passphrase of a key in a file. Raises UsageError."""
        source = self.source(name)
        if source is None:
            own = ", or --root-passphrase if it has its own" if name == ROOT else ""
            raise UsageError(
                f"the key of {name} has a passphrase: say where that is kept ({self.flag}{own})"
            )
        slot = "root" if name == ROOT and self.root is not None else "batch"
        if slot not in self._known:
            self._known[slot] = self.custody.read(source, f"the passphrase of {name}'s key")
        return self._known[slot]


def open_signer(
    folder: Folder, member: Member, certificate: x509.Certificate, secrets: Passphrases
) -> making.Issuer:
    """Open the key of the root or of a batch. Raises UsageError; ToolError if a token fails."""
    if member.key is None:
        raise UsageError(
            f"the key of {member.name} was destroyed: it signs nothing any more (its "
            "leaves are revoked with their batch)"
        )
    if member.key == IN_FILE:
        is_shared = member.name == ROOT and secrets.root is None
        hint = "; if it has its own, say where that is kept: --root-passphrase"
        key = seal.unsealed(
            folder.sealed_key(member),
            secrets.of(member.name),
            f"the key of {member.name}",
            hint if is_shared else "",
        )
    else:
        key = _in_token(member.key, member.name, secrets, None)
    if public_bytes(key.public_key()) != public_bytes(certificate.public_key()):
        raise UsageError(f"the key of {member.name} is not that of its certificate")
    if member.key != IN_FILE:
        _check_token(key, certificate.public_key())
    return making.Issuer(certificate, key)


def adopt_or_make(
    folder: Folder, name: str, kind: str, token: str | None, secrets: Passphrases, *, adopt: bool
) -> tuple[PrivateKey, str]:
    """A new CA key and what the ledger says of it; one that is kept in a file is in it then.

    adopt: take the pair that is in the token already. Raises UsageError, ToolError.
    """
    if token is None:
        passphrase = seal.check_passphrase(secrets.of(name), f"the passphrase of {name}'s key")
        key = making.new_ca_key(kind)
        folder.put_key(name, seal.sealed(key, passphrase))
        return key, IN_FILE
    if not token.startswith(SCHEME):
        raise UsageError("the token must be named by a URI: pkcs11:token=NAME;object=KEY?...")
    key = _in_token(token, name, secrets, None if adopt else kind)
    _check_token(key, key.public_key())
    return key, token


def destroy(member: Member, secrets: Passphrases) -> None:
    """Destroy a batch's key in its token. (One in a file goes when the ledger has it no longer.)

    Raises UsageError, ToolError.
    """
    if member.key is None or member.key == IN_FILE:
        return
    uri, module, pin = _token(member.key, member.name, secrets)
    with token_package():
        from . import tokenkeys  # noqa: PLC0415  an extra, which few need
    tokenkeys.destroy(uri, module, pin)


def _in_token(token: str, name: str, secrets: Passphrases, kind: str | None) -> PrivateKey:
    """The pair in a token: made, of that kind; or found, for None."""
    uri, module, pin = _token(token, name, secrets)
    with token_package():
        from . import tokenkeys  # noqa: PLC0415  an extra, which few need
    if kind is None:
        return tokenkeys.find(uri, module, pin)
    return tokenkeys.make(uri, module, pin, kind)


def _token(token: str, name: str, secrets: Passphrases) -> tuple[TokenURI, str, str | None]:
    uri = parse(token, "private")
    if uri.pin_source is None and secrets.source(name) is not None:
        pin: str | None = secrets.of(name)
    else:
        pin = token_pin(uri, secrets.custody)
    return uri, token_module(uri, secrets.custody), pin


def _check_token(key: PrivateKey, public: object) -> None:
    """Have the token sign something, and see that the public key agrees."""
    probe = os.urandom(_PROBE_BYTES)
    if not making.is_signed(public, making.sign(key, probe), probe):
        raise UsageError("the token's private key is not that of its public key")
