"""Clients' certificates: asked for of everybody, demanded of nobody, handed on as they came."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from firstlight.emulator.handshake import MOST_CERTIFICATES
from tests.certificates import Issued, make_ca, make_key, make_leaf, make_root, named
from tests.emulator.tls_ends import Client, Inside, client_context, run

ID = "dev-1"
CERTIFICATE_VERIFY = 15


@cache
def root() -> Issued:
    return make_root()


@cache
def batch() -> Issued:
    return make_ca(root(), "batch 1")


@cache
def device() -> Issued:
    return make_leaf(make_ca(batch(), "line 1"), ID)


def with_extension(id: str, value: bytes) -> x509.Certificate:
    """A CA's certificate with an extension of these bytes."""
    key, now = make_key(), datetime.now(UTC)
    wrong = x509.UnrecognizedExtension(x509.ObjectIdentifier(id), value)
    return (
        x509.CertificateBuilder()
        .subject_name(named("Odd"))
        .issuer_name(named("Odd"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(wrong, critical=False)
        .sign(key, hashes.SHA256())
    )


def chain_seen(context: ssl.SSLContext) -> tuple[bytes, ...]:
    """What the protocol inside is told of a client's certificates."""
    client = Client(Inside(), context=context).connect()
    found = client.server.get_extra_info("peer_chain")
    assert isinstance(found, tuple)
    return found


def refused(client: Client) -> str:
    """Why a handshake came to nothing."""
    client.shake_hands()
    with pytest.raises(ssl.SSLError):
        client.exchange()
    assert client.inside.events == []
    (why,) = client.failures
    return why


def test_nobody_needs_a_certificate() -> None:
    async def body() -> None:
        assert chain_seen(client_context()) == ()

    run(body)


@pytest.mark.parametrize(
    "shown",
    [
        lambda: [device()],
        lambda: [*device().path],
        lambda: [*device().path, root()],
        lambda: [device(), batch(), device().path[1]],  # in the wrong order
        lambda: [device(), make_root("another's")],
        lambda: [device(), device()],
    ],
    ids=["leaf", "chain", "with its root", "out of order", "foreign", "twice"],
)
def test_a_chain_is_handed_on_as_it_was_sent(shown: Callable[[], list[Issued]]) -> None:
    async def body() -> None:
        sent = shown()
        context = client_context(device(), "".join(one.pem for one in sent))
        assert chain_seen(context) == tuple(one.der for one in sent)

    run(body)


@pytest.mark.parametrize(
    "shown",
    [
        lambda: make_leaf(None, ID),
        lambda: make_leaf(root(), ID, days=-1, since_days=-2),
        lambda: make_leaf(root(), ID, days=2, since_days=1),
        lambda: make_leaf(make_ca(root(), days=-1, since_days=-2), ID),
        lambda: make_leaf(make_leaf(None, "no CA"), ID),
        lambda: make_leaf(root(), ID, basic=False, usage=False, extended=()),
        lambda: make_leaf(root(), ID, extended=()),
        lambda: make_leaf(root(), None),
        lambda: make_leaf(root(), ID, key="rsa"),
        root,
    ],
    ids=[
        "self-signed", "expired", "not yet valid", "of an expired CA", "of no CA",
        "without extensions", "without purpose", "without a name", "RSA", "a root itself",
    ],
)  # fmt: skip
def test_a_handshake_takes_any_certificate(shown: Callable[[], Issued]) -> None:
    async def body() -> None:
        certificate = shown()
        assert chain_seen(client_context(certificate))[0] == certificate.der

    run(body)


def test_whoever_has_not_the_key_is_refused() -> None:
    def spoil(data: bytes) -> bytes:
        """The last byte of the signature in CertificateVerify, a record of its own."""
        at, spoiled = 0, bytearray(data)
        while at < len(data):
            end = at + 5 + int.from_bytes(data[at + 3 : at + 5])
            if data[at] == 22 and data[at + 5] == CERTIFICATE_VERIFY:
                spoiled[end - 1] ^= 1
            at = end
        return bytes(spoiled)

    async def body() -> None:
        client = Client(Inside(), context=client_context(device()))
        client.spoil = spoil
        assert refused(client) == "bad signature"

    run(body)


def test_a_certificate_without_end_is_refused_in_the_handshake() -> None:
    async def body() -> None:
        leaf = device()
        context = client_context(leaf, leaf.pem + batch().pem * (100 * 1024 // len(batch().der)))
        assert refused(Client(Inside(), context=context)) == "excessive message size"

    run(body)


def test_no_more_certificates_are_kept_than_tell_a_chain_that_is_too_long() -> None:
    async def body() -> None:
        seen = chain_seen(client_context(device(), device().pem + batch().pem * 30))
        assert len(seen) == MOST_CERTIFICATES

    run(body)


@pytest.mark.parametrize("id", ["2.5.29.19", "2.5.29.15", "2.5.29.14", "2.5.29.31"])
def test_a_certificate_that_openssl_cannot_make_out_ends_no_conversation(id: str) -> None:
    """Its complaint stays behind in OpenSSL's queue: no later step may take it for its own."""

    def echo(inside: Inside, data: bytes) -> None:
        assert inside.transport is not None
        inside.transport.write(data)

    async def body() -> None:
        odd = with_extension(id, b"no DER")
        context = client_context(device(), device().pem + odd.public_bytes(Encoding.PEM).decode())
        client = Client(Inside(echo), context=context).connect()
        for said in (b"once", b"twice"):
            client.say(said)
            assert client.hear() == said
        assert client.server.get_extra_info("peer_chain")[1] == odd.public_bytes(Encoding.DER)

    run(body)


def test_no_session_is_resumed_for_it_would_come_without_its_certificate() -> None:
    async def body() -> None:
        context = client_context(device())
        first = Client(Inside(), context=context).connect()
        assert first.tls.session is not None
        assert not first.tls.session.has_ticket
        again = Client(Inside(), context=context, session=first.tls.session).connect()
        assert not again.tls.session_reused
        assert again.server.get_extra_info("peer_chain") == device().chain_ders

    run(body)
