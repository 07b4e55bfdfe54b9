"""A CA's folder on the disk: a ledger, and beside it certificates, keys and revocation lists.

The ledger says what there is: a file that it does not name does not count, and everything that it
names is written before it. Every file is written whole, so a process may end at any point. One
process changes a folder at a time; who only reads or issues changes nothing. Folders are copied to
stations, without root.key: what is not there is missed when it is needed, and not before.

Who may write the ledger says which root is trusted and which library drives a token: a folder in
which anybody but its user, or root, may do that is not read.
"""

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ..custody import check_private
from ..errors import ToolError, UsageError
from ..wholefile import write_whole
from . import seal
from .certificate import UNREADABLE, is_authority, is_issued_by
from .ledger import IN_FILE, LONGEST, ROOT, Damaged, Ledger, Member, parse, sha256_of

LEDGER = "ca.json"
_LOCK = ".lock"
_BEGUN = ".init"  # there while a folder is being made
_LONGEST_PEM = 1 << 14
_LEFT_OVER = re.compile(r"\.[0-9a-f]{16}\.part")
_PUBLIC = 0o644
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LOCKING = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Folder:
    """One folder. Nothing is read before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"<Folder {self.path}>"

    def ledger(self) -> Ledger:
        """What the folder says it holds. Raises UsageError."""
        try:
            self._check_owned(self.path.stat())
            with self._open(LEDGER) as file:
                self._check_owned(os.fstat(file.fileno()))
                return parse(file.read(LONGEST + 1))
        except FileNotFoundError:
            raise UsageError(self._why_none()) from None
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}") from None
        except Damaged as error:
            raise UsageError(
                f"{self.path / LEDGER} is damaged: {error}; put it back from a copy of the folder"
            ) from None

    def _why_none(self) -> str:
        if (self.path / _BEGUN).exists():
            return (
                f"the making of a CA in {self.path} was interrupted before it was one; "
                "do it again: firstlight ca init"
            )
        return f"{self.path} holds no CA (no {LEDGER}); make one: firstlight ca init"

    def certificate(self, member: Member) -> x509.Certificate:
        """The certificate of the root or of a batch. Raises UsageError."""
        path = self.path / f"{member.name}.pem"
        try:
            found = x509.load_pem_x509_certificate(self._read(path.name, _LONGEST_PEM))
        except FileNotFoundError:
            raise UsageError(f"{path} is missing; put it back from a copy") from None
        except UNREADABLE:
            raise UsageError(f"{path} is no certificate; put it back from a copy") from None
        if sha256_of(found) != member.fingerprint:
            raise UsageError(f"{path} is another certificate than {LEDGER} says; which is right?")
        if not found.subject.rfc4514_string().isprintable():
            raise UsageError(f"{path} has a name with characters that cannot be shown")
        return found

    def pair(self, ledger: Ledger, batch: Member) -> tuple[x509.Certificate, x509.Certificate]:
        """The root's certificate and a batch's, which it must have issued. Raises UsageError."""
        root, found = self.certificate(ledger.root), self.certificate(batch)
        if not is_issued_by(root, root) or not is_authority(root):
            raise UsageError(f"{self.path / 'root.pem'} is no root: not a CA, or not self-signed")
        if not is_issued_by(found, root) or not is_authority(found):
            raise UsageError(f"{self.path / batch.name}.pem is no CA that the root has issued")
        return root, found

    def key_path(self, name: str) -> Path:
        return self.path / f"{name}.key"

    def sealed_key(self, member: Member) -> bytes:
        """What is in a key's file. Raises UsageError, for one that is not here, too."""
        path = self.key_path(member.name)
        try:
            with self._open(path.name) as file:
                check_private(os.fstat(file.fileno()), path, "a CA's key")
                return file.read(seal.LONGEST)
        except FileNotFoundError:
            hint = ": do this where the CA was made" if member.name == ROOT else ""
            raise UsageError(f"the key of {member.name} is not in {self.path}{hint}") from None

    @contextmanager
    def changing(self, *, is_new: bool = False) -> Iterator[None]:
        """Keep every other process from changing the folder. Raises ToolError if one does.

        is_new: it holds no CA yet, as it must otherwise.
        """
        if not is_new:
            self.ledger()
        try:
            lock = os.open(self.path / _LOCK, _LOCKING, 0o600)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written into: {error.strerror}") from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ToolError(
                    f"another process is changing the CA in {self.path}; wait for it, then do "
                    "this again"
                ) from None
            self._sweep()
            yield
        except OSError as error:
            raise ToolError(f"{self.path} cannot be written into: {error.strerror}") from None
        finally:
            os.close(lock)

    def begin(self) -> None:
        """Make the folder ready for a CA. Raises UsageError if it may hold one, or else things."""
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            self._check_owner(self.path.stat())
            there = {entry.name for entry in self.path.iterdir()}
        except OSError as error:
            raise UsageError(f"{self.path} cannot be made: {error.strerror}") from None
        if LEDGER in there:
            raise UsageError(
                f"{self.path} holds a CA already; name another folder, or make it a new batch: "
                "firstlight ca rotate"
            )
        known = {name for name in there if name == _LOCK or _LEFT_OVER.fullmatch(name)}
        if there - known and _BEGUN not in there:
            raise UsageError(f"{self.path} holds other things; name a new or an empty folder")
        try:
            self.path.chmod(0o700)
        except OSError as error:
            raise UsageError(f"{self.path} is not yours: {error.strerror}") from None

    def mark_begun(self) -> None:
        """Say that a CA is being made here. Called under changing(), as all below."""
        if (self.path / LEDGER).exists():
            raise UsageError(f"{self.path} holds a CA already: another process made it just now")
        write_whole(self.path / _BEGUN, b"")

    def put_key(self, name: str, pem: bytes) -> None:
        write_whole(self.key_path(name), pem)

    def put_certificate(self, name: str, certificate: x509.Certificate) -> None:
        write_whole(self.path / f"{name}.pem", certificate.public_bytes(Encoding.PEM), _PUBLIC)

    def put_list(self, name: str, crl: x509.CertificateRevocationList) -> tuple[Path, Path]:
        """Write a revocation list, as PEM and as DER; return where."""
        pem, der = self.path / f"{name}.crl.pem", self.path / f"{name}.crl"
        write_whole(pem, crl.public_bytes(Encoding.PEM), _PUBLIC)
        write_whole(der, crl.public_bytes(Encoding.DER), _PUBLIC)
        return pem, der

    def newest_list(self, member: Member) -> x509.CertificateRevocationList | None:
        """The root's or a batch's revocation list; None: there is none, or not the newest."""
        try:
            crl = x509.load_der_x509_crl(self._read(f"{member.name}.crl", LONGEST))
            found = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        except (FileNotFoundError, x509.ExtensionNotFound, *UNREADABLE):
            return None
        return crl if found == member.crl else None

    def put_ledger(self, ledger: Ledger) -> None:
        """The step that makes a change so. What the ledger no longer names goes after it.

        Raises UsageError for one that would not be read again, of too many things.
        """
        raw = ledger.to_bytes()
        try:
            parse(raw)
        except Damaged as error:
            raise UsageError(
                f"the CA in {self.path} has no room for this: {error}; make another CA"
            ) from None
        write_whole(self.path / LEDGER, raw, _PUBLIC)
        self._sweep()

    def _sweep(self) -> None:
        """Delete what an interrupted process left, and keys that were to be destroyed."""
        for entry in list(self.path.iterdir()):
            if _LEFT_OVER.fullmatch(entry.name):
                entry.unlink(missing_ok=True)
        if not (self.path / LEDGER).exists():
            return
        (self.path / _BEGUN).unlink(missing_ok=True)
        with suppress(UsageError):
            for member in self.ledger().members:
                if member.key != IN_FILE:
                    self.key_path(member.name).unlink(missing_ok=True)

    def _check_owned(self, found: os.stat_result) -> None:
        """Raise UsageError for a folder, or a ledger, that others may change."""
        self._check_owner(found)
        if found.st_mode & _OTHERS_WRITE:
            raise UsageError(
                f"others than its owner may write into {self.path}, and so change what this "
                f"CA is; close it first: chmod -R go-w {self.path}"
            )

    def _check_owner(self, found: os.stat_result) -> None:
        if found.st_uid not in (os.geteuid(), 0):
            raise UsageError(
                f"{self.path} belongs to another user, who may change what this CA is: take a "
                "folder, or a copy of this one, that is your own"
            )

    def _read(self, name: str, longest: int) -> bytes:
        """A file's bytes, and one more than longest if it is longer. Raises as _open does."""
        with self._open(name) as file:
            return file.read(longest + 1)

    @contextmanager
    def _open(self, name: str) -> Iterator[BinaryIO]:
        """Open one of the files, and wait for none. Raises FileNotFoundError, UsageError."""
        path = self.path / name
        try:
            with open(path, "rb", opener=_at_once) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise UsageError(f"{path} is not a file; put it back from a copy")
                yield file
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for a pipe's other end."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
