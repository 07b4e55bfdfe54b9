"""Injection: firmware, roots and one identity onto a board, and the proof that they took.

Never reads a key back and never prints one; refuses before it writes; the identity comes last, so
a run that fails leaves the earlier identity in place, and a run that is repeated completes.
"""

import hmac
import json
import re
import secrets
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from aziot import identity
from aziot.errors import IdentityError

from .errors import BoardError, ProofError, UsageError
from .repl import BoardExecError, Implementation, Repl
from .stage import StagedFile

if TYPE_CHECKING:
    from .tlsproof import Expected

IDENTITY_PATH = "/identity.json"
IN_NVS = ""  # instead of a path: the identity that was flashed with everything else
_CANDIDATE = "/identity.next"  # until the board has proved that it can use it
LONGEST = 8192  # bytes of an identity (aziot/identity.py)
OLDEST = (1, 22, 0)  # ssl.SSLContext with load_verify_locations (micropython 1.22 release notes)
PROOF_PREFIX = b"firstlight-proof:"
_NONCE_BYTES = 32
_BLOCK = 4096
_SPARE_BYTES = 2 * _BLOCK  # for the file that is being written beside, and folders

_PROOF = """\
def _prove():
    from binascii import a2b_base64, hexlify
    from aziot import identity, sas
    path = %r
    if path:
        with open(path, 'rb') as f:
            me = f.read()
    else:
        import board
        me = board.load('identity') or b''
    me = identity.load(me)
    key = a2b_base64(me['symmetric_key']['primary'])
    return hexlify(sas.hmac_sha256(key, %r + a2b_base64('%s'))).decode()
import sys
for _m in list(sys.modules):
    if _m == 'aziot' or _m.startswith('aziot.'):
        del sys.modules[_m]
print(_prove())
"""
# Roots that came from a hub since: an injection begins anew, with its own. The board.py in memory
# may be an older one, which knows no erase().
_FORGET_ROOTS = "import sys\nsys.modules.pop('board', None)\nimport board\nboard.erase('roots')"
# What an earlier life left: an identity that was flashed (flash/nvsimage.py): its key is nobody's
# business; and certificates and roots that were issued to the one before, which need room.
_FORGET_REST = """\
import board, sys
board.erase('identity')
board.erase('cert')
sys.modules.pop('folders', None)
import folders
for _n in ('cert', 'roots'):
    folders.sweep(_n, {'good': 0, 'trial': 0})
"""


@dataclass(frozen=True)
class Injected:
    """What was done. registration_id: the board's now; written: paths (others were right)."""

    registration_id: str
    written: tuple[str, ...]


def inject(
    repl: Repl,
    document: dict[str, Any],
    files: Sequence[StagedFile],
    say: Callable[[str], None],
    root: bytes | None = None,
) -> Injected:
    """Put files and the identity document onto the board behind repl, and have it prove its key.

    say takes one line of progress at a time; none holds a secret. root: the CA's, DER, that a
    certificate must lead to; None: nobody knows it. Raise UsageError for a document that is
    wrong, BoardError for a board that cannot take it, ProofError if the proof fails.
    """
    raw = checked(document)
    board = repl.implementation()
    check_board(board)
    wanted = needed(repl, files, raw)
    say(f"board: MicroPython {_dotted(board.version)}, {board.machine or board.platform}")
    written = [file.path for file in wanted if _write(repl, file, say)]
    _tidy(repl, files, say)
    repl.exec(_FORGET_ROOTS)
    repl.write_file(_CANDIDATE, raw)
    try:
        say(f"proof: {_proven(repl, document, root)}")
    except ProofError:  # a key that nobody uses does not stay there
        with suppress(BoardError):
            repl.remove(_CANDIDATE)
        raise
    if repl.replace_file(_CANDIDATE, IDENTITY_PATH):
        written.append(IDENTITY_PATH)
        say(f"{IDENTITY_PATH} ({len(raw)} bytes)")
    repl.exec(_FORGET_REST)
    return Injected(document["registration_id"], tuple(written))


def checked(document: dict[str, Any]) -> bytes:
    """The bytes to store. Raise UsageError, naming the field, if the document is wrong.

    MicroPython's JSON knows no NaN, and takes text beyond the basic plane as UTF-8 alone, not as a
    pair of escapes.
    """
    try:
        raw = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
        if len(raw) > LONGEST:
            raise UsageError(
                f"the identity has {len(raw)} bytes, and a board takes {LONGEST}: leave networks, "
                "the payload or a CSR out, or take a shorter chain, or an EC key"
            )
        section = identity.load(raw)["x509"]
    except IdentityError as error:
        raise UsageError(f"the identity is refused: {error}") from None
    except (ValueError, RecursionError):
        raise UsageError("the identity holds what JSON on a board cannot") from None
    if section is not None:
        _check_certificate(section, document["registration_id"])
    return raw


def check_board(board: Implementation) -> None:
    """Raise BoardError unless the firmware can run there."""
    if board.name != "micropython":
        raise BoardError(f"the board runs {board.name[:32]}, and this firmware needs MicroPython")
    if board.version < OLDEST:
        has, needs = _dotted(board.version), _dotted(OLDEST)
        raise BoardError(f"the board runs MicroPython {has}, and this firmware needs {needs}")


def needed(repl: Repl, files: Sequence[StagedFile], raw: bytes) -> list[StagedFile]:
    """The files that the board does not have yet. Raise BoardError if there is no room."""
    there = repl.hashes([file.path for file in files] + [IDENTITY_PATH])
    wanted = [file for file in files if _differs(file, there[file.path])]
    sizes = [len(file.data) for file in wanted] + [len(raw)]
    room = sum(-(-size // _BLOCK) * _BLOCK for size in sizes) + _SPARE_BYTES
    replaced = sum(1 for file in wanted if there[file.path]) + bool(there[IDENTITY_PATH])
    free = repl.free_bytes() + replaced * _BLOCK
    if free < room:
        raise BoardError(f"the board's file system has {free} bytes free, and {room} are needed")
    return wanted


def prove(repl: Repl, by: "str | Expected", path: str = IDENTITY_PATH) -> None:
    """Have the board prove the identity at path, or IN_NVS, by a fresh nonce.

    by: its primary key, base64, with which it signs; or whose certificate and key it uses for a
    TLS handshake. Raise ProofError if it does not.
    """
    if isinstance(by, str):
        _prove_key(repl, by, path)
        return
    from . import tlsproof  # noqa: PLC0415  needs pyOpenSSL, which takes a moment

    tlsproof.prove(repl, by, path)


def _proven(repl: Repl, document: dict[str, Any], root: bytes | None) -> str:
    """Have the board prove its candidate; return how, for people."""
    if document.get("x509") is None:
        prove(repl, document["symmetric_key"]["primary"], _CANDIDATE)
        return "the board signed a fresh nonce with its key"
    from .tlsproof import expected  # noqa: PLC0415  see prove()

    chain = [a2b_base64(one) for one in document["x509"]["chain"]]
    prove(repl, expected(chain, root), _CANDIDATE)
    return "the board shook hands over TLS with its certificate"


def _check_certificate(section: dict[str, Any], registration_id: str) -> None:
    """Raise UsageError unless chain, key and CSR belong together, and to that device."""
    from cryptography import x509  # noqa: PLC0415  see prove()

    from .ca import certificate  # noqa: PLC0415

    try:
        chain = [x509.load_der_x509_certificate(a2b_base64(one)) for one in section["chain"]]
        csr = section.get("csr") and x509.load_der_x509_csr(a2b_base64(section["csr"]))
    except ValueError:
        raise UsageError(
            "the identity holds what is no certificate, or no signing request"
        ) from None
    key = certificate.device_key(a2b_base64(section["key"]))
    found = certificate.device_certificate(chain, key, csr)
    if found.registration_id != registration_id:
        raise UsageError(
            f"the certificate is of {found.registration_id}, and DPS wants its common name as "
            f"registration id, not {registration_id}"
        )


def _prove_key(repl: Repl, primary_key_b64: str, path: str) -> None:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    expected = hmac.new(a2b_base64(primary_key_b64), PROOF_PREFIX + nonce, sha256).hexdigest()
    nonce_b64 = b2a_base64(nonce, newline=False).decode()
    try:
        answer = repl.exec(_PROOF % (path, PROOF_PREFIX, nonce_b64), timeout_s=30).strip()
    except BoardExecError as error:
        raise ProofError(f"the board could not sign with its identity ({error.kind})") from None
    if not re.fullmatch(rb"[0-9a-f]{64}", answer):
        raise ProofError("the board's proof is not a signature")
    if not hmac.compare_digest(answer.decode(), expected):
        raise ProofError("the board does not hold the key it was given")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def _differs(file: StagedFile, found: str) -> bool:
    return not found if file.keep else found != sha256(file.data).hexdigest()


def _write(repl: Repl, file: StagedFile, say: Callable[[str], None]) -> bool:
    written = repl.write_file(file.path, file.data, differs=True)  # needed() says so
    if written:
        say(f"{file.path} ({len(file.data)} bytes)")
    return written


def _tidy(repl: Repl, files: Sequence[StagedFile], say: Callable[[str], None]) -> None:
    """Remove what would be used instead: a module's other form, a root that is not wanted."""
    rivals = [file.rival for file in files if file.rival]
    there = repl.hashes(rivals) if rivals else {}
    staged = {file.path for file in files}
    roots = {f"/roots/{name}" for name in repl.list_folder("/roots")}
    for path in sorted([path for path, found in there.items() if found] + list(roots - staged)):
        repl.remove(path)
        say(f"{path} removed")
    repl.remove(IDENTITY_PATH + ".new")  # a run that was cut off may have left a key there
