"""One HTTPS request that a board makes through this PC: its own TLS, carried over its REPL.

A certificate's key never leaves the board, and a TLS handshake cannot be done without it. So this
PC opens the connection and carries bytes that it cannot read; the board does the rest. The board
needs no network for it. How long it may take, and how much both sides may say, is bounded.

    PC     RELAY                the board answers with a ClientHello, which goes to the server
    PC     _step('<base64>')    what the server said; the board answers with what it says to that,
    ...                         and with what it heard inside, until that is a whole HTTP answer
"""

import errno
import io
import socket
import time
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from ..azurecalls import Reply, plain
from ..boardtls import WIRED
from ..errors import BoardError
from ..repl import BoardExecError, Repl
from . import probes

_CONNECT_S = 10.0
_STEP_S = 30.0  # an RSA signature on a slow chip
_ALL_S = 90.0
_AT_ONCE = 1024  # bytes to the board: a small heap has them five times over
_MOST_BYTES = 1 << 17  # of the server, and of the board
_HELLO = b"\x16\x03"  # a record of TLS's handshake


class Unanswered(Exception):
    """No answer came of it. str: why; is_mistrust: the board does not trust the server."""

    def __init__(self, why: str, is_mistrust: bool = False) -> None:
        super().__init__(plain(" ".join(why.split())))
        self.is_mistrust = is_mistrust


@dataclass(frozen=True)
class Errand:
    """What the board is to do: its certificate number N, the server's roots (DER), the request.

    roots: (): the board's own, that it would use next. now_at: Unix seconds, to be its time for as
    long as it asks; 0: its clock is right.
    """

    host: str
    port: int
    number: int
    roots: tuple[bytes, ...]
    request: bytes
    now_at: int = 0


def ask(repl: Repl, errand: Errand) -> Reply:
    """Have the board ask; raise Unanswered, or BoardError if the board goes away."""
    try:
        for code in (probes.ROOM, WIRED):  # each for itself: the smallest heap compiles no more
            repl.exec(code)
        with _connected(errand) as sock:
            return _carry(repl, sock, errand)
    except BoardExecError as error:
        raise Unanswered(_trouble(error)) from None
    except (OSError, UnicodeError) as error:  # the latter for a name that is none
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unanswered(f"{errand.host}:{errand.port} did not answer: {why}") from None
    finally:
        with suppress(BoardError):
            repl.exec(probes.RELAY_END)


@contextmanager
def _connected(errand: Errand) -> Iterator[socket.socket]:
    with socket.create_connection((errand.host, errand.port), _CONNECT_S) as sock:
        yield sock


def _carry(repl: Repl, sock: socket.socket, errand: Errand) -> Reply:
    until_s, total, heard = time.monotonic() + _ALL_S, 0, b""
    said, more, trouble = _told(repl, _opening(errand))
    if not trouble and not said.startswith(_HELLO):  # whoever is asked hears TLS, and no more
        raise Unanswered("the board does not speak TLS")
    while True:
        heard += more
        total += len(said) + len(more)
        if said:
            sock.sendall(said)
        if trouble:
            raise Unanswered(f"TLS: {trouble}", trouble.startswith("ValueError"))
        if (reply := _reply(heard)) is not None:
            return reply
        if total > _MOST_BYTES or time.monotonic() > until_s:
            raise Unanswered("its answer does not end")
        piece = sock.recv(_AT_ONCE)
        if not piece:
            raise Unanswered(f"{errand.host}:{errand.port} hung up")
        total += len(piece)
        said, more, trouble = _told(repl, probes.RELAYED % b64encode(piece).decode())


def _opening(errand: Errand) -> str:
    roots: Sequence[str] = [b64encode(der).decode() for der in errand.roots]
    return probes.RELAY % (errand.number, roots, errand.host, errand.request, errand.now_at)


def _told(repl: Repl, code: str) -> tuple[bytes, bytes, str]:
    """What the board says to the wire, what it heard, and its trouble."""
    lines = repl.exec(code, timeout_s=_STEP_S).replace(b"\r", b"").split(b"\n")
    try:
        wire, heard, trouble = [*lines, b"", b"", b""][:3]
        return a2b_base64(wire), a2b_base64(heard), trouble.decode("utf-8", "replace")
    except ValueError:
        raise Unanswered("the board does not speak TLS") from None


def has_no_room(error: BoardExecError) -> bool:
    """Whether the board raised for want of memory, which says nothing of what it has."""
    return error.kind == "MemoryError" or error.number == errno.ENOMEM


def _trouble(error: BoardExecError) -> str:
    if has_no_room(error):
        return "the board's memory has no room for TLS while it is examined"
    return f"the board could not use its certificate or its roots ({error.kind})"


class _Heard:
    """As much of a socket as HTTPResponse wants."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._raw)


def _reply(raw: bytes) -> Reply | None:
    """The HTTP answer, once all of it is there."""
    if b"\r\n\r\n" not in raw:
        return None
    response = HTTPResponse(_Heard(raw))  # type: ignore[arg-type]
    try:
        response.begin()
        if response.length is None and not response.chunked:
            raise Unanswered("its answer has no length")
        body = response.read()
    except HTTPException:  # IncompleteRead is one
        return None
    except OverflowError:
        raise Unanswered("its answer has no end") from None
    named = {name.lower(): text for name, text in response.getheaders()}
    return Reply(response.status, named, body)
