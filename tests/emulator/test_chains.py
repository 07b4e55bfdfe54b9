"""Chains of certificates: where they lead, and every way in which they lead nowhere."""

from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator import chains
from firstlight.emulator.chains import BadChain
from tests.certificates import Issued, make, make_ca, make_leaf, make_root, named

ROOT = make_root()
UPPER = make_ca(ROOT, "Factory")
LOWER = make_ca(UPPER, "Line 1")
LEAF = make_leaf(LOWER, "dev-1")
NOW = LEAF.certificate.not_valid_before_utc.timestamp() + 86_400
YEAR_S = 365 * 86_400
SHA256_WITH_RSA = bytes.fromhex("2a864886f70d01010b")
SHA1_WITH_RSA = bytes.fromhex("2a864886f70d010105")


def leads(
    sent: Sequence[Issued], *anchors: Issued, at: float = NOW, any_order: bool = False
) -> x509.Certificate:
    chain = chains.read([one.der for one in sent])
    known = [one.certificate for one in anchors]
    return chains.anchored(chain, known, at, any_order=any_order)


def trouble(
    sent: Sequence[Issued], *anchors: Issued, at: float = NOW, any_order: bool = False
) -> tuple[str, str]:
    with pytest.raises(BadChain) as caught:
        leads(sent, *anchors, at=at, any_order=any_order)
    assert caught.value.code == 401002
    return str(caught.value), caught.value.message


def test_a_chain_is_read_as_it_was_sent() -> None:
    chain = chains.read(LEAF.chain_ders)
    assert chain.leaf == LEAF.certificate
    assert [*chain.certificates] == [one.certificate for one in (LEAF, LOWER, UPPER)]
    assert (chain.common_name, chain.sha1, chain.sha256) == ("dev-1", LEAF.sha1, LEAF.sha256)


def test_no_certificate_proves_nothing() -> None:
    with pytest.raises(BadChain, match="no certificate") as caught:
        chains.read([])
    assert caught.value.message == "Unauthorized"


@pytest.mark.parametrize("der", [b"", b"\x30\x03\x02\x01\x05", LEAF.der[:-1], LEAF.der + b"\0"])
def test_what_is_no_certificate_is_named_by_its_place(der: bytes) -> None:
    with pytest.raises(BadChain, match="certificate 2 cannot be read"):
        chains.read([LEAF.der, der])


def test_a_chain_is_bounded() -> None:
    with pytest.raises(BadChain, match="more than 10 certificates"):
        chains.read([LEAF.der] * 11)
    with pytest.raises(BadChain, match="certificate 1 cannot be read"):
        chains.read([b"\x30" * (chains.MAX_DER_BYTES + 1)])


@given(st.lists(st.tuples(st.integers(0, 399), st.integers(1, 255)), min_size=1, max_size=3))
def test_a_leaf_of_which_a_byte_is_another_leads_nowhere(flips: list[tuple[int, int]]) -> None:
    der = bytearray(LEAF.der)
    # How many bits of a signature's last byte are unused is not signed, and may differ.
    loose = len(der) - len(LEAF.certificate.signature) - 1
    for place, change in flips:
        if place % len(der) != loose:
            der[place % len(der)] ^= change
    if bytes(der) != LEAF.der:
        with pytest.raises(BadChain):
            chains.anchored(
                chains.read([bytes(der), *LEAF.chain_ders[1:]]), [ROOT.certificate], NOW
            )


def test_a_chain_leads_to_a_root_whether_that_is_sent_or_not() -> None:
    assert leads([LEAF, LOWER, UPPER], ROOT) == ROOT.certificate
    assert leads([LEAF, LOWER, UPPER, ROOT], ROOT) == ROOT.certificate


def test_it_leads_to_an_intermediate_as_well() -> None:
    assert leads([LEAF], LOWER) == LOWER.certificate
    assert leads([LEAF, LOWER], UPPER) == UPPER.certificate
    assert leads([LEAF, LOWER, UPPER, ROOT], LOWER) == LOWER.certificate


def test_the_nearest_anchor_counts() -> None:
    assert leads([LEAF, LOWER, UPPER], ROOT, UPPER) == UPPER.certificate


def test_the_whole_way_is_known_up_to_the_last_anchor() -> None:
    known = [one.certificate for one in (LOWER, ROOT)]
    chain = chains.read([one.der for one in (LEAF, LOWER, UPPER, ROOT)])
    path = chains.follow(chain, known, NOW)
    assert [*path.issuers] == [one.certificate for one in (LOWER, UPPER, ROOT)]
    assert path.trouble is None
    path = chains.follow(chain, known[:1], NOW)
    assert [*path.issuers] == known[:1]
    short = chains.follow(chains.read([LEAF.der]), known, NOW)
    assert [*short.issuers] == known[:1]
    assert "is not known" in str(short.trouble)


@pytest.mark.parametrize("sent", [[LEAF], [LEAF, UPPER], [LEAF, LOWER]])
def test_an_incomplete_chain_leads_nowhere(sent: list[Issued]) -> None:
    why, message = trouble(sent, ROOT)
    assert "is not followed by its issuer" in why
    assert message == "CA certificate not found."


def test_certificates_come_in_order_unless_any_will_do() -> None:
    sent = [LEAF, UPPER, LOWER]
    why, message = trouble(sent, ROOT)
    assert why == "CN=dev-1 is not followed by its issuer, which comes later"
    assert message == "CA certificate not found."
    assert leads(sent, ROOT, any_order=True) == ROOT.certificate


def test_a_leaf_that_does_not_come_first_is_no_leaf() -> None:
    chain = chains.read([one.der for one in (LOWER, LEAF)])
    assert chain.common_name == "Line 1"


def test_an_unknown_root_leads_nowhere() -> None:
    other = make_root("Another Root")
    why, message = trouble([LEAF, LOWER, UPPER, ROOT], other)
    assert (why, message) == (
        "CN=Test Root is a root that is not known here",
        "CA certificate not found.",
    )
    assert trouble([LEAF, LOWER, UPPER, ROOT])[0] == why
    alone = make_leaf(None, "dev-1")
    assert trouble([alone], ROOT)[0] == "CN=dev-1 is a root that is not known here"


def test_the_name_of_a_ca_is_not_its_signature() -> None:
    false = make_root()  # the same name, another key
    leaf = make_leaf(false, "dev-1")
    why, message = trouble([leaf], ROOT)
    assert why == "CN=dev-1 has a signature that is not CN=Test Root's"
    assert message == "Invalid certificate."
    other_line = make_ca(UPPER, "Line 1")
    assert "signature that is not CN=Line 1's" in trouble([LEAF, other_line, UPPER], ROOT)[0]


def test_a_signature_is_not_the_name_of_a_ca() -> None:
    leaf = make_leaf(LOWER, "dev-1", issuer_name=named("Somebody"))
    assert "its issuer, CN=Somebody, which is not known" in trouble([leaf, LOWER, UPPER], ROOT)[0]


@pytest.mark.parametrize(("years", "word"), [(-10, "not valid yet"), (10, "has expired")])
def test_a_leaf_out_of_its_time_proves_nothing(years: int, word: str) -> None:
    at = NOW + years * YEAR_S
    why, message = trouble([LEAF, LOWER, UPPER], ROOT, at=at)
    assert why == f"CN=dev-1 {'is ' if word.startswith('not') else ''}{word}"
    assert message == "Invalid certificate."
    with pytest.raises(BadChain, match=word):
        chains.check_times(LOWER.certificate, at)


def test_a_certificate_is_good_in_its_first_and_in_its_last_second() -> None:
    leaf = LEAF.certificate
    for good in (leaf.not_valid_before_utc, leaf.not_valid_after_utc):
        chains.check_times(leaf, good.timestamp())
    for bad in (
        leaf.not_valid_before_utc.timestamp() - 1,
        leaf.not_valid_after_utc.timestamp() + 1,
    ):
        with pytest.raises(BadChain):
            chains.check_times(leaf, bad)


def test_each_ca_on_the_way_must_be_in_force() -> None:
    expired = make_ca(ROOT, "Old", since_days=-20, days=-10)
    leaf = make_leaf(expired, "dev-1")
    assert trouble([leaf, expired], ROOT)[0] == "CN=Old has expired"
    assert trouble([leaf], expired)[0] == "CN=Old has expired"
    coming = make_ca(ROOT, "New", since_days=10)
    assert trouble([make_leaf(coming, "dev-1"), coming], ROOT)[0] == "CN=New is not valid yet"


def test_a_ca_that_was_renewed_counts_with_its_later_end() -> None:
    old = make_root("Renewed", since_days=-20, days=-10)
    new = make_root("Renewed", key=old.key)
    leaf = make_leaf(old, "dev-1")
    assert leads([leaf], old, new) == new.certificate
    assert leads([leaf, old], new) == new.certificate


def test_an_expired_ca_that_is_kept_here_does_not_hide_the_renewed_one_that_was_sent() -> None:
    old = make_ca(ROOT, "Renewed", since_days=-20, days=-10)
    new = make_ca(ROOT, "Renewed", key=old.key)
    leaf = make_leaf(old, "dev-1")
    assert leads([leaf, new], old, ROOT) == ROOT.certificate
    assert trouble([leaf, new], old)[0] == (
        "CN=Renewed is not followed by its issuer, CN=Test Root, which is not known"
    )
    assert trouble([leaf, old], old, ROOT)[0] == "CN=Renewed has expired"
    top = make_root("Top", since_days=-20, days=-10)
    again = make_root("Top", key=top.key)
    assert trouble([make_leaf(top, "dev-1"), again], top)[0] == "CN=Top has expired"


@pytest.mark.parametrize(
    "no_ca",
    [
        make_leaf(ROOT, "No CA"),
        make(ROOT, "No CA", ca=True, basic=False),
        make(ROOT, "No CA", ca=False, usage=False),
        make(ROOT, "No CA", ca=True, may_sign=False),
    ],
)
def test_a_device_cannot_sign_for_another(no_ca: Issued) -> None:
    leaf = make_leaf(no_ca, "dev-1")
    for sent, anchor in (([leaf, no_ca], ROOT), ([leaf], no_ca)):
        why, message = trouble(sent, anchor)
        assert why == "CN=No CA signed a certificate and is no CA"
        assert message == "Invalid certificate."


def test_a_ca_without_key_usage_may_sign() -> None:
    plain = make(ROOT, "Plain", ca=True, usage=False)
    assert chains.is_ca(plain.certificate)
    assert leads([make_leaf(plain, "dev-1"), plain], ROOT) == ROOT.certificate


def test_a_ca_bounds_how_many_are_below_it() -> None:
    root = make_root("Short", path_length=0)
    below = make_ca(root, "Below")
    assert leads([make_leaf(root, "dev-1")], root) == root.certificate
    why, _ = trouble([make_leaf(below, "dev-1"), below], root)
    assert why == "CN=Short allows 0 CAs below it, not 1"


def test_a_cas_own_certificate_is_no_devices() -> None:
    why, message = trouble([ROOT], ROOT)
    assert why == "CN=Test Root is a CA's own certificate, no device's"
    assert message == "Signing certificate info did not match chain elements."


def test_cas_that_sign_each_other_are_no_endless_way() -> None:
    one = make_root("One")
    two = make_root("Two")
    one_by_two = make(two, "One", ca=True, key=one.key)
    two_by_one = make(one, "Two", ca=True, key=two.key)
    leaf = make_leaf(one_by_two, "dev-1")
    path = chains.follow(
        chains.read([leaf.der]), [one_by_two.certificate, two_by_one.certificate], NOW
    )
    assert "longer than" in str(path.trouble)


def test_a_name_is_the_one_common_name() -> None:
    pair = x509.Name([*named("a"), *named("b")])
    for subject in (pair, named(None)):
        key = ed25519.Ed25519PrivateKey.generate()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(named("i"))
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(LEAF.certificate.not_valid_before_utc)
            .not_valid_after(LEAF.certificate.not_valid_after_utc)
            .sign(key, None)
        )
        assert chains.common_name(certificate) == ""
        assert chains.named(certificate) in ("CN=b,CN=a", "a certificate without a name")


def test_rsa_leads_as_well() -> None:
    root = make_root("RSA", key="rsa")
    leaf = make_leaf(root, "dev-1")
    assert leads([leaf], root) == root.certificate
    assert root.certificate.signature_hash_algorithm is not None
    assert isinstance(root.certificate.signature_hash_algorithm, hashes.SHA256)
    weak = leaf.der.replace(SHA256_WITH_RSA, SHA1_WITH_RSA)
    with pytest.raises(BadChain, match="CN=dev-1 is signed by an algorithm that is not taken"):
        chains.anchored(chains.read([weak]), [root.certificate], NOW)
