"""TLS as a server of Azure's speaks it, by OpenSSL: the context, and the peer's certificates.

A certificate is asked for of every client, and demanded of none; any is taken, for it is judged
when the device says who it is (protocol.md 1.6). That the client has its key, TLS itself proves.
Python's own ssl would refuse a certificate whose CA it does not know.

OpenSSL bounds the certificates that a client sends: 100 KB together.
"""

from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_ASN1, X509, dump_certificate

MOST_CERTIFICATES = 11  # one more than anyone takes, so that a chain too long is seen to be
_DEPTH = 10  # what OpenSSL looks at for its own judgement, which is not asked for
# As Python's own ssl: OpenSSL's, without what is weak (CPython, Modules/_ssl.c).
_CIPHERS = b"@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
_OPTIONS = (
    SSL.OP_ALL
    | SSL.OP_CIPHER_SERVER_PREFERENCE
    | SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION  # or another certificate might come later
    | SSL.OP_NO_TICKET  # a session that is resumed would come without its certificates
)
_MOST_BYTES = 64 * 1024


def new_context() -> SSL.Context:
    """A server's, TLS 1.2 alone; what it proves itself with is put in by the caller."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_options(_OPTIONS)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # 32 KB less for a connection that rests
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"firstlight")
    context.set_verify(SSL.VERIFY_PEER, _take_any)
    context.set_verify_depth(_DEPTH)
    return context


def new_server(context: SSL.Context) -> SSL.Connection:
    """A server's end of a connection, in memory."""
    tls = SSL.Connection(context, None)
    tls.set_accept_state()
    return tls


def ready(tls: SSL.Connection) -> bytes:
    """What is ready for the peer, a piece of it; b"" when nothing is."""
    try:
        return tls.bio_read(_MOST_BYTES)
    except SSL.WantReadError:
        return b""


def server_name(tls: SSL.Connection) -> str:
    """The name that the peer asked for, in lower case; "" for none."""
    return (tls.get_servername() or b"").decode("ascii", "replace").lower()


def peer_chain(tls: SSL.Connection) -> tuple[bytes, ...]:
    """What the peer sent as its certificates, DER, the leaf first; () if it sent none."""
    leaf = tls.get_peer_certificate()
    if leaf is None:
        return ()
    # A server's OpenSSL has the rest apart from the leaf (SSL_get_peer_cert_chain(3)).
    rest = tls.get_peer_cert_chain() or []
    some = [leaf, *rest][:MOST_CERTIFICATES]
    return tuple(dump_certificate(FILETYPE_ASN1, certificate) for certificate in some)


def word(error: SSL.Error) -> str:
    """OpenSSL's own word for what went wrong."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return str(reasons[-1][2]) if reasons and reasons[-1][2] else type(error).__name__.lower()


def _take_any(_: SSL.Connection, __: X509, ___: int, ____: int, _____: int) -> bool:
    return True
