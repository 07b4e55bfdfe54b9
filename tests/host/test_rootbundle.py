"""rootbundle.py: signed here, judged by the board's own check and by openssl; and the reverse."""

import json
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import rsa as board_rsa  # firmware/rsa.py
from firstlight import rootbundle
from firstlight.errors import UsageError
from firstlight.roots import azure_roots
from tests.board.signing import der, long_root

PEM = rootbundle.make_key()
KEY = rootbundle.private_key(PEM)
PUBLIC = KEY.public_key()
MODULUS = b64decode(rootbundle.modulus_b64(PUBLIC))
AZURE = list(azure_roots().values())
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SIGNED = rootbundle.signed(KEY, 2, AZURE, NOW)


def message(version: int, ders: list[bytes]) -> bytes:
    """What is signed, written once more from its description."""
    text = f"firstlight roots\n{version}\n"
    for one in ders:
        text += sha256(one).hexdigest() + "\n"
    return text.encode()


def test_the_board_verifies_what_is_signed_here() -> None:
    signature = b64decode(SIGNED["signature"])
    assert board_rsa.verified(MODULUS, message(2, AZURE), signature)
    assert not board_rsa.verified(MODULUS, message(3, AZURE), signature)
    assert [b64decode(text) for text in SIGNED["roots"]] == AZURE


@cache
def key_of(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@pytest.mark.parametrize("bits", [2048, 4096])
@given(text=st.binary(), at=st.integers(0, 4095))
@settings(max_examples=20)
def test_the_board_and_the_library_agree_on_every_signature(
    bits: int, text: bytes, at: int
) -> None:
    key = key_of(bits)
    modulus = b64decode(rootbundle.modulus_b64(key.public_key()))
    signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    assert board_rsa.verified(modulus, text, signature)
    other = key.sign(text, padding.PKCS1v15(), hashes.SHA512())
    assert not board_rsa.verified(modulus, text, other)
    flipped = bytearray(signature)
    flipped[at % len(flipped)] ^= 1 << at % 8
    assert not board_rsa.verified(modulus, text, bytes(flipped))


def test_openssl_verifies_what_is_signed_here(
    program: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "key.pub").write_text(rootbundle.public_pem(PUBLIC))
    (tmp_path / "signature").write_bytes(b64decode(SIGNED["signature"]))
    words = ["dgst", "-sha256", "-verify", "key.pub", "-signature", "signature"]
    done = subprocess.run(
        [program("openssl"), *words],
        input=message(2, AZURE),
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout == b"Verified OK\n"


def test_the_board_verifies_what_openssl_signed(
    program: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(PEM)
    (tmp_path / "key").chmod(0o600)
    done = subprocess.run(
        [program("openssl"), "dgst", "-sha256", "-sign", "key"],
        input=b"from openssl",
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    assert board_rsa.verified(MODULUS, b"from openssl", done.stdout)


def test_a_bundle_reads_back_also_as_a_twins_property() -> None:
    plain = rootbundle.parse(json.loads(json.dumps(SIGNED)))
    assert plain.is_signed_by(PUBLIC)
    assert plain.version == 2
    assert list(plain.ders) == AZURE
    assert rootbundle.parse(rootbundle.as_twin(SIGNED)) == plain


def test_every_text_of_the_azure_bundle_fits_into_a_twin() -> None:
    texts = [*SIGNED["roots"], SIGNED["signature"]]
    assert all(len(text) <= 4096 for text in texts)
    assert len(json.dumps(SIGNED)) <= rootbundle.LONGEST


def test_another_key_did_not_sign_it_and_a_changed_one_is_not_signed() -> None:
    other = rsa.generate_private_key(65537, 2048).public_key()
    assert not rootbundle.parse(SIGNED).is_signed_by(other)
    for change in ({"version": 3}, {"roots": SIGNED["roots"][::-1]}, {"signature": ""}):
        assert not rootbundle.parse(SIGNED | change).is_signed_by(PUBLIC)


def test_a_root_that_is_named_twice_goes_in_once() -> None:
    assert rootbundle.signed(KEY, 2, [*AZURE, *AZURE], NOW) == SIGNED


def test_a_root_that_has_expired_is_refused_by_its_name() -> None:
    late = datetime(2039, 1, 1, tzinfo=UTC)
    with pytest.raises(UsageError, match=r"DigiCert Global Root G2.* expired on 2038-01-15"):
        rootbundle.signed(KEY, 2, AZURE, late)


def test_more_than_a_board_takes_is_refused() -> None:
    small = [der(trustme.CA()) for _ in range(5)]
    assert len(rootbundle.signed(KEY, 2, small[:4], NOW)["roots"]) == 4
    for ders, why in ((small, "1 to 4 roots"), ([], "1 to 4 roots")):
        with pytest.raises(UsageError, match=why):
            rootbundle.signed(KEY, 2, ders, NOW)
    big = [long_root(900 + n) for n in range(4)]
    with pytest.raises(UsageError, match="leave out a root"):
        rootbundle.signed(KEY, 2, big, NOW)
    for version in (0, 1 << 31):
        with pytest.raises(UsageError, match="version is a number from 1"):
            rootbundle.signed(KEY, version, AZURE, NOW)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        {},
        "text",
        {"firstlight": 5},
        {"firstlight": {"roots": None}},
        SIGNED | {"version": "2"},
        SIGNED | {"version": True},
        SIGNED | {"version": 2.0},
        SIGNED | {"roots": "text"},
        SIGNED | {"roots": [5]},
        SIGNED | {"roots": ["%%%%"]},
        SIGNED | {"roots": [b64encode(AZURE[0][:-1]).decode()]},
        SIGNED | {"roots": [b64encode(AZURE[0] + b"\0").decode()]},
        SIGNED | {"roots": [b64encode(b"\x30\x82\x01\0" + bytes(256)).decode()]},
        SIGNED | {"signature": None},
    ],
)
def test_what_is_no_bundle_is_told_in_a_sentence(odd: Any) -> None:
    with pytest.raises(UsageError):
        rootbundle.parse(odd)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: (
    st.lists(inner) | st.dictionaries(st.sampled_from(["version", "roots", "signature"]), inner)
)))  # fmt: skip
def test_anything_is_a_bundle_or_refused(value: Any) -> None:
    with pytest.raises(UsageError):
        rootbundle.parse(value)


def test_either_half_of_the_key_gives_its_public_one() -> None:
    assert rootbundle.public_key(PEM) == rootbundle.public_key(rootbundle.public_pem(PUBLIC))
    assert PUBLIC.key_size == 3072
    assert int.from_bytes(MODULUS, "big") == PUBLIC.public_numbers().n
    assert len(MODULUS) == 384


def as_pem(key: Any, encryption: Any = None) -> str:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return str(private, "ascii")


def test_a_key_that_boards_cannot_use_is_refused_and_never_shown() -> None:
    small, cubed = rsa.generate_private_key(65537, 1024), rsa.generate_private_key(3, 2048)
    elliptic = ec.generate_private_key(ec.SECP256R1())
    for pem, why in (
        (as_pem(KEY, BestAvailableEncryption(b"secret")), "is encrypted; decrypt"),
        (as_pem(small), "2048 to 4096 bits"),
        (as_pem(cubed), "the exponent 65537"),
        (as_pem(elliptic), "not an RSA key"),
        (PEM[:900], "not a private key as PEM"),
        ("", "not a private key as PEM"),
        (rootbundle.public_pem(PUBLIC), "not a private key as PEM"),
    ):
        with pytest.raises(UsageError, match=why) as error:
            rootbundle.private_key(pem)
        assert not pem[40:80] or pem[40:80] not in str(error.value)


def test_a_public_key_that_boards_cannot_use_is_refused() -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = elliptic.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text, why in ((pem, "not an RSA key"), ("text", "neither a public nor a private")):
        with pytest.raises(UsageError, match=why):
            rootbundle.public_key(text)
