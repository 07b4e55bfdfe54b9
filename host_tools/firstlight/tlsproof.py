"""A board proves its certificate and its key by a TLS handshake with this PC, over its REPL.

The PC is the server, and OpenSSL the judge: the board's chain must lead to an anchor by this PC's
clock, and the handshake be signed with the leaf's key. So no key need be known here, nor kept. A
fresh nonce goes through the tunnel and comes back. Nothing secret is sent; of the board no byte is
believed, and how many it may say, and how often, is bounded.

    PC     _BEGIN               the board opens its identity, and answers with a ClientHello
    PC     _step('<base64>')    what the server says; the board answers with what it says to that
    ...                         until the nonce is back: five times, or twelve at most
"""

import re
import secrets
import time
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from .boardtls import WIRED
from .ca.certificate import is_issued_by
from .errors import BoardError, ProofError
from .repl import BoardExecError, Repl

_GREETING = b"firstlight-proof:"
_NONCE_BYTES = 32
_STEPS = 12
_STEP_S = 30.0  # an RSA signature on a slow chip, and its chain at 115 200 baud
_LIMIT_S = 60.0  # for all of it
_MOST_BYTES = 24576  # of the board in all: four certificates of 2 KB, and a handshake around them
_TEXT = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
# Of X509_V_ERR_*: what an operator can do something about (openssl/include/openssl/x509_vfy.h.in).
_WHY = {
    2: "does not lead to the CA: a certificate between is missing, or it is another CA",
    9: "is not valid yet by this PC's clock, which says {now}",
    10: "has expired by this PC's clock, which says {now}",
    18: "is signed by itself alone, not by the CA",
    19: "ends in a root that is not this CA's",
    20: "does not lead to the CA: a certificate between is missing, or it is another CA",
    21: "does not lead to the CA: a certificate between is missing, or it is another CA",
    24: "has a certificate between that may not sign others",
    25: "stands below more CAs than one of them allows",
    26: "is not one of a client",
    79: "has a certificate between that may not sign others",
}
# The same of what the board raised.
_HELP = {
    "AttributeError": "its MicroPython is too small for a proof by TLS; take one of upstream's",
    "ImportError": "its firmware or its MicroPython lacks something; run firstlight inject again",
    "MemoryError": "there is not enough memory; take a shorter chain, or an EC key",
    "ValueError": "its TLS does not take the certificate or the key",
}

# Over boardtls.py's stream. %r: the greeting; and where the identity is, "": in NVS (inject.py).
_BEGIN = """\
def _begin(path):
    import gc, ssl
    from binascii import a2b_base64
    import certificate
    from aziot import identity
    gc.collect()
    if path:
        with open(path, 'rb') as f:
            me = f.read()
    else:
        import board
        me = board.load('identity') or b''
    me = identity.load(me)['x509']
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_NONE
    certificate.load(context, me)
    me = None
    gc.collect()
    tls, heard, said = _wired(context, 'pc')
    is_open = False
    def step(text):
        nonlocal is_open
        heard.extend(a2b_base64(text))
        if not is_open:
            is_open = tls.write(%r) is not None
        if is_open:
            nonce = tls.read(64)
            if nonce:
                tls.write(nonce)
        _tell(said)
    return step
import sys
for _m in list(sys.modules):
    if _m in ('aziot', 'certificate') or _m.startswith('aziot.'):
        del sys.modules[_m]
_step = _begin(%r)
_step('')
"""
_END = "_step = _begin = _wired = _tell = None\nimport gc\ngc.collect()"


@dataclass(frozen=True)
class Expected:
    """Whose handshake it must be. fingerprint: SHA-256 of the leaf's DER, in lower-case hex.

    anchors: certificates (DER), to one of which its chain must lead. chain: what it must send;
    (): nobody knows, or anything that leads there.
    """

    fingerprint: str
    anchors: tuple[bytes, ...]
    chain: tuple[bytes, ...] = ()


def expected(chain: Sequence[bytes], root: bytes | None) -> Expected:
    """What a board is to prove that was given chain (DER, leaf first).

    root: the CA's; None: nobody knows it, and the chain is to be whole as far as it was given.
    """
    anchor = chain[-1] if root is None else root
    return Expected(sha256(chain[0]).hexdigest(), (anchor,), tuple(chain))


def prove(repl: Repl, wanted: Expected, path: str) -> None:
    """Have the board shake hands with the identity at path; "": with the one in its NVS.

    Raise ProofError if it is not wanted's; BoardError if the board does not answer.
    """
    try:
        until_s = time.monotonic() + _LIMIT_S
        _ran(repl, WIRED, until_s)  # by itself: the smallest heap compiles no more
        _shake(lambda code: _told(repl, code, until_s), _Server(wanted), path)
    except ProofError:
        _end(repl)
        raise
    _end(repl)


def _end(repl: Repl) -> None:
    """Have the board let go of its identity. (One that does not answer any more is not asked.)"""
    with suppress(BoardError):
        repl.exec(_END)


def _shake(tell: Callable[[str], bytes], server: "_Server", path: str) -> None:
    """Carry both sides' bytes until the nonce is back. tell: runs code there, for its answer."""
    said, total = tell(_BEGIN % (_GREETING, path)), 0
    for _ in range(_STEPS):
        total += len(said)
        if total > _MOST_BYTES:
            raise ProofError("the board says too much for a handshake")
        answer = server.answer(said)
        if server.is_proven:
            return
        if not answer:
            break
        said = tell(f"_step('{b2a_base64(answer, newline=False).decode()}')")
    raise ProofError("the board does not finish the handshake")


def _told(repl: Repl, code: str, until_s: float) -> bytes:
    text = _ran(repl, code, until_s)
    if not _TEXT.fullmatch(text) or len(text) % 4:
        raise ProofError("the board's proof is not a handshake")
    return a2b_base64(text)


def _ran(repl: Repl, code: str, until_s: float) -> bytes:
    left_s = max(0.0, until_s - time.monotonic())
    try:
        return repl.exec(code, timeout_s=min(_STEP_S, left_s)).strip()
    except BoardExecError as error:
        why = _HELP.get(error.kind, "")
        raise ProofError(
            f"the board could not use its certificate ({error.kind}){why and f': {why}'}"
        ) from None


class _Server:
    """The PC's end of the tunnel, in memory, with a key of this moment."""

    def __init__(self, wanted: Expected) -> None:
        self._wanted = wanted
        self._nonce = secrets.token_bytes(_NONCE_BYTES)
        self._faults: list[int] = []
        self._heard = b""
        self._is_open = False
        self._tls = SSL.Connection(self._context(), None)
        self._tls.set_accept_state()

    @property
    def is_proven(self) -> bool:
        """Whether the whole nonce came back, through a tunnel of the right leaf."""
        return self._is_open and compare_digest(self._heard, _GREETING + self._nonce)

    def answer(self, said: bytes) -> bytes:
        """Take in what the board said; return what it is told. Raise ProofError."""
        try:
            if said:
                self._tls.bio_write(said)
            with suppress(SSL.WantReadError):
                self._go_on()
        except SSL.Error:
            raise ProofError(self._why()) from None
        return self._pending()

    def _go_on(self) -> None:
        if not self._is_open:
            self._tls.do_handshake()
            self._check_chain()
            self._is_open = True
            self._tls.send(self._nonce)
        while len(self._heard) <= len(_GREETING) + _NONCE_BYTES:
            self._heard += self._tls.recv(256)

    def _pending(self) -> bytes:
        with suppress(SSL.WantReadError):
            return self._tls.bio_read(65536)
        return b""

    def _check_chain(self) -> None:
        leaf = self._tls.get_peer_certificate(as_cryptography=True)
        if leaf is None:  # set_verify() would not have let it in
            raise ProofError("the board showed no certificate")
        found = sha256(leaf.public_bytes(Encoding.DER)).hexdigest()
        if not compare_digest(found, self._wanted.fingerprint):
            raise ProofError("the board holds another certificate than it was given")
        rest = self._tls.get_peer_cert_chain(as_cryptography=True) or []  # a server's: no leaf
        sent = [leaf, *(one for one in rest if one != leaf)]
        _check_order(sent)
        if self._wanted.chain not in ((), tuple(one.public_bytes(Encoding.DER) for one in sent)):
            raise ProofError("the board sends another chain than it was given")

    def _context(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_TICKET)
        key, certificate = _own()
        context.use_certificate(certificate)
        context.use_privatekey(key)
        store = context.get_cert_store()
        if store is None:
            raise ProofError("OpenSSL has no place for the CA's certificate")
        for anchor in self._wanted.anchors:
            store.add_cert(crypto.X509.from_cryptography(x509.load_der_x509_certificate(anchor)))
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # an anchor need not be a root
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._judged)
        return context

    def _judged(self, _tls: object, _paper: object, error: int, _depth: int, good: int) -> bool:
        if not good:
            self._faults.append(error)
        return bool(good)

    def _why(self) -> str:
        if not self._faults:
            return "the board does not hold its certificate's key"
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        told = _WHY.get(self._faults[0], f"is refused by OpenSSL (error {self._faults[0]})")
        return f"the board's certificate {told.format(now=now)}"


def _check_order(sent: Sequence[x509.Certificate]) -> None:
    """Raise ProofError unless each is signed by the next: OpenSSL sorts them, DPS does not."""
    if not all(is_issued_by(one, issuer) for one, issuer in pairwise(sent)):
        raise ProofError("the board's certificates are not in order, leaf first")


def _own() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """The server's own key and certificate, which nobody checks: TLS does not go without."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "firstlight proof")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    return key, made.sign(key, hashes.SHA256())
