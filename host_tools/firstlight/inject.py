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
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from aziot import identity
from aziot.errors import IdentityError

from .errors import BoardError, ProofError, UsageError
from .repl import BoardExecError, Implementation, Repl
from .stage import StagedFile

IDENTITY_PATH = "/identity.json"
IN_NVS = ""  # instead of a path: the identity that was flashed with everything else
_CANDIDATE = "/identity.next"  # until the board has proved that it can use it
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
# One that was flashed (flash/nvsimage.py) is not read any more, and its key is nobody's business.
_FORGET_FLASHED = "import board\nboard.erase('identity')"


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
) -> Injected:
    """Put files and the identity document onto the board behind repl, and have it prove its key.

    say takes one line of progress at a time; none holds a secret. Raise UsageError for a document
    that is wrong, BoardError for a board that cannot take it, ProofError if the proof fails.
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
    prove(repl, document["symmetric_key"]["primary"], _CANDIDATE)
    say("proof: the board signed a fresh nonce with its key")
    if repl.replace_file(_CANDIDATE, IDENTITY_PATH):
        written.append(IDENTITY_PATH)
        say(f"{IDENTITY_PATH} ({len(raw)} bytes)")
    repl.exec(_FORGET_FLASHED)
    return Injected(document["registration_id"], tuple(written))


def checked(document: dict[str, Any]) -> bytes:
    """The bytes to store. Raise UsageError, naming the field, if the document is wrong.

    MicroPython's JSON knows no NaN, and takes text beyond the basic plane as UTF-8 alone, not as a
    pair of escapes.
    """
    try:
        raw = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
        identity.load(raw)
    except IdentityError as error:
        raise UsageError(f"the identity is refused: {error}") from None
    except (ValueError, RecursionError):
        raise UsageError("the identity holds what JSON on a board cannot") from None
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


def prove(repl: Repl, primary_key_b64: str, path: str = IDENTITY_PATH) -> None:
    """Have the board sign a fresh nonce with the key at path, or IN_NVS.

    Raise ProofError if it does not.
    """
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
