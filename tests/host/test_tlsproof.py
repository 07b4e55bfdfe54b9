"""The PC's end of a proof by TLS, without a board: what a right one gets, and what a wrong one.

The other end is OpenSSL's, or nonsense. tests/board/test_tls_proof.py has MicroPython's.
"""

import re
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from firstlight import tlsproof
from firstlight.errors import BoardError, ProofError
from tests.certificates import Issued, make_ca, make_leaf, make_root

ROOT = make_root()
BATCH = make_ca(ROOT, "batch 1")
LEAF = make_leaf(BATCH, "esp32-1")
WANTED = tlsproof.expected(LEAF.chain_ders, ROOT.der)
GREETING = b"firstlight-proof:"


class Device:
    """A TLS client that is told and asked as a board is. echo: what it makes of the nonce."""

    def __init__(
        self,
        shown: Issued | None,
        more: tuple[Issued, ...] = (BATCH,),
        signs_with: Issued | None = None,
        echo: Callable[[bytes], bytes] = lambda nonce: GREETING + nonce,
        version: int = SSL.TLS1_2_VERSION,
    ) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(version)
        if shown is not None:
            context.use_certificate(shown.certificate)
            for one in more:
                context.add_extra_chain_cert(one.certificate)
            context.use_privatekey((signs_with or shown).key)
        self._echo = echo
        self._tls = SSL.Connection(context, None)
        self._tls.set_connect_state()
        self.told = 0

    def tell(self, code: str) -> bytes:
        self.told += 1
        found = re.fullmatch(r"_step\('(.*)'\)", code)
        if found:
            self._tls.bio_write(b64decode(found[1]))
        try:
            self._tls.do_handshake()
            self._tls.send(self._echo(self._tls.recv(64)))
        except SSL.WantReadError:
            pass
        try:
            return self._tls.bio_read(65536)
        except SSL.WantReadError:
            return b""


def prove(device: Device, wanted: tlsproof.Expected = WANTED) -> None:
    tlsproof._shake(device.tell, tlsproof._Server(wanted), "/identity.json")


def test_the_holder_of_the_key_passes_in_a_few_steps() -> None:
    device = Device(LEAF)
    prove(device)
    assert device.told <= 5


def test_a_chain_that_was_given_without_a_root_is_held_to_its_own_top() -> None:
    prove(Device(LEAF), tlsproof.expected(LEAF.chain_ders, None))
    alone = make_leaf(None, "esp32-1")
    prove(Device(alone, ()), tlsproof.expected([alone.der], None))
    for root in (None, BATCH.der):
        with pytest.raises(ProofError, match="sends another chain than it was given"):
            prove(Device(LEAF, ()), tlsproof.expected(LEAF.chain_ders, root))


def _shifted(begin_days: int, end_days: int) -> Issued:
    return make_leaf(BATCH, "esp32-1", since_days=begin_days, days=end_days)


OTHER = make_leaf(make_ca(make_root("Another Root"), "batch 1"), "esp32-1")
NO_CA = make_leaf(BATCH, "no CA")
BELOW = make_leaf(NO_CA, "esp32-1")
DEEP = make_leaf(make_ca(BATCH, "batch 1, line 2"), "esp32-1")
TOO_DEEP = make_leaf(make_ca(make_ca(ROOT, "last", path_length=0), "beyond"), "esp32-1")


@pytest.mark.parametrize(
    ("shown", "more", "told"),
    [
        (LEAF, (), "does not lead to the CA: a certificate between is missing"),
        (OTHER, OTHER.path[1:], "does not lead to the CA"),
        (OTHER, (*OTHER.path[1:], *ROOT.path), "the CA"),
        (_shifted(-9, -2), (BATCH,), "has expired by this PC's clock, which says 20"),
        (_shifted(2, 9), (BATCH,), "is not valid yet by this PC's clock, which says 20"),
        (BELOW, (NO_CA, BATCH), "may not sign others"),
        (DEEP, (BATCH, *DEEP.path[1:2]), "not in order, leaf first"),
        (TOO_DEEP, TOO_DEEP.path[1:3], "below more CAs than one of them allows"),
        (make_leaf(None, "esp32-1"), (), "is signed by itself alone"),
        (
            make_leaf(BATCH, "esp32-1", extended=[ExtendedKeyUsageOID.SERVER_AUTH]),
            (BATCH,),
            "of a client",
        ),
    ],
)
def test_a_chain_that_does_not_hold_is_told_for_what_it_is(
    shown: Issued, more: tuple[Issued, ...], told: str
) -> None:
    with pytest.raises(ProofError, match=told):
        prove(Device(shown, more), tlsproof.expected([shown.der], ROOT.der))


def test_whoever_holds_another_certificate_or_none_or_no_key_does_not_pass() -> None:
    sibling = make_leaf(BATCH, "esp32-1")
    with pytest.raises(ProofError, match="another certificate than it was given"):
        prove(Device(sibling))
    with pytest.raises(ProofError, match="does not hold its certificate's key"):
        prove(Device(None))


def test_a_signature_by_another_key_does_not_pass() -> None:
    """Of which OpenSSL's client makes none: so a byte of the right one is turned."""
    device = Device(LEAF)
    turned: list[bytes] = []

    def tell(code: str) -> bytes:
        said = device.tell(code)
        at = said.find(b"\x16\x03\x03", 1)
        while at >= 0 and said[at + 5] != 15:  # CertificateVerify (RFC 5246, 7.4.8)
            at = said.find(b"\x16\x03\x03", at + 1)
        if at < 0:
            return said
        turned.append(said)
        last = at + 5 + int.from_bytes(said[at + 3 : at + 5], "big") - 1
        return said[:last] + bytes([said[last] ^ 1]) + said[last + 1 :]

    with pytest.raises(ProofError, match="does not hold its certificate's key"):
        tlsproof._shake(tell, tlsproof._Server(WANTED), "")
    assert turned


@pytest.mark.parametrize(
    "echo",
    [
        lambda nonce: nonce,
        lambda nonce: GREETING + nonce[::-1],
        lambda nonce: GREETING + nonce + b"x",
        lambda nonce: GREETING + nonce[:-1],
        lambda nonce: b"x" * 4096,
    ],
)
def test_a_nonce_that_does_not_come_back_whole_is_no_proof(echo: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ProofError, match="does not finish the handshake"):
        prove(Device(LEAF, echo=echo))


def test_tls_1_3_is_not_spoken() -> None:
    with pytest.raises(ProofError):
        prove(Device(LEAF, version=SSL.TLS1_3_VERSION))


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=14), st.booleans())
def test_a_board_may_say_anything_and_it_ends(said: list[bytes], begins_well: bool) -> None:
    words = iter(said + [b""] * 20)
    device = Device(LEAF)
    count = 0

    def tell(code: str) -> bytes:
        nonlocal count
        count += 1
        return device.tell(code) if begins_well and count == 1 else next(words)

    with pytest.raises(ProofError):
        tlsproof._shake(tell, tlsproof._Server(WANTED), "")
    assert count <= 13


@pytest.mark.parametrize("piece", [b"\x16\x03\x03\x3f\xff", b"\x16\x03\x03\x00\x01\x00" * 700])
def test_a_board_that_talks_without_end_is_cut_short(piece: bytes) -> None:
    with pytest.raises(ProofError):
        tlsproof._shake(lambda _: piece * 5, tlsproof._Server(WANTED), "")


def test_too_much_is_not_even_looked_at() -> None:
    with pytest.raises(ProofError, match="says too much"):
        tlsproof._shake(lambda _: bytes(24577), tlsproof._Server(WANTED), "")


@pytest.mark.parametrize("trouble", [BoardError("gone"), KeyboardInterrupt()])
def test_a_board_that_does_not_answer_is_not_spoken_to_again(trouble: BaseException) -> None:
    asked: list[str] = []

    class Deaf:
        def exec(self, code: str, timeout_s: float | None = None) -> bytes:
            asked.append(code)
            raise trouble

    deaf: Any = Deaf()
    with pytest.raises(type(trouble)):
        tlsproof.prove(deaf, WANTED, "")
    assert len(asked) == 1


def test_times_in_messages_are_this_pcs() -> None:
    now = datetime.now(UTC)
    with pytest.raises(ProofError) as told:
        prove(Device(_shifted(-9, -2)), WANTED)
    found = re.search(r"says (.*) UTC", str(told.value))
    assert found
    said = datetime.strptime(found[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert abs(said - now) < timedelta(minutes=2)
