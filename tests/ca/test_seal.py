"""ca/seal.py: a CA's key in a file, which its passphrase opens and nothing else."""

from base64 import b64decode, b64encode
from time import perf_counter

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from firstlight.ca import making, seal
from firstlight.ca.certificate import PrivateKey
from firstlight.errors import UsageError
from tests.leaks import find_secrets

PASSPHRASE = "correct horse battery 7"


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return making.new_ca_key("ec")


def test_a_key_comes_back_with_its_passphrase(key: PrivateKey) -> None:
    opened = seal.unsealed(seal.sealed(key, PASSPHRASE), PASSPHRASE, "the key")
    assert opened.private_numbers() == key.private_numbers()


def test_what_is_sealed_shows_nothing_and_is_never_twice_the_same(
    key: PrivateKey,
) -> None:
    first, second = (seal.sealed(key, PASSPHRASE) for _ in range(2))
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    secrets = {"the key": b64encode(plain).decode(), "the passphrase": PASSPHRASE}
    assert find_secrets(b64decode(b"".join(first.splitlines()[1:-1])), secrets) == []
    assert find_secrets(first, secrets) == []
    assert first != second


@pytest.mark.parametrize("passphrase", ["another one of them", PASSPHRASE + " ", "x" * 2000])
def test_another_passphrase_is_refused_and_not_shown(key: PrivateKey, passphrase: str) -> None:
    with pytest.raises(UsageError, match="of batch-1 does not open: the passphrase") as caught:
        seal.unsealed(seal.sealed(key, PASSPHRASE), passphrase, "the key of batch-1")
    assert passphrase not in str(caught.value)


def test_a_key_that_lies_open_is_refused(key: PrivateKey) -> None:
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(UsageError, match="is not encrypted, as it must be: openssl pkcs8"):
        seal.unsealed(plain, PASSPHRASE, "the key")


def test_a_damaged_file_is_refused_wherever_the_damage_is(key: PrivateKey) -> None:
    whole = bytearray(b64decode(b"".join(seal.sealed(key, PASSPHRASE).splitlines()[1:-1])))
    for place in range(len(whole)):
        broken = whole.copy()
        broken[place] ^= 0x80
        pem = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n%s\n-----END ENCRYPTED PRIVATE KEY-----\n"
        with pytest.raises(UsageError):
            seal.unsealed(pem % b64encode(broken), PASSPHRASE, "the key")


def test_guessing_a_passphrase_takes_its_time(
    key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(seal, "_N", 1 << 14)
    monkeypatch.setattr(seal, "_P", 5)
    pem = seal.sealed(key, PASSPHRASE)
    begun = perf_counter()
    seal.unsealed(pem, PASSPHRASE, "the key")
    assert perf_counter() - begun > 0.02  # 0.2 s where this was written; PBKDF2's 2048: 0.0005


def test_the_longest_passphrase_opens_what_it_sealed(key: PrivateKey) -> None:
    longest = seal.check_passphrase("x" * 1000, "the passphrase")
    opened = seal.unsealed(seal.sealed(key, longest), longest, "the key")
    assert opened.private_numbers() == key.private_numbers()
    with pytest.raises(UsageError, match="more than 1000 bytes"):
        seal.check_passphrase("x" * 1001, "the passphrase")


@pytest.mark.parametrize("passphrase", ["two lines\nof it", "a tab\tin it", "nothing\0 more"])
def test_a_passphrase_that_openssl_would_read_otherwise_is_not_taken(passphrase: str) -> None:
    with pytest.raises(UsageError, match="openssl would read another") as caught:
        seal.check_passphrase(passphrase, "the passphrase")
    assert passphrase not in str(caught.value)
    assert seal.check_passphrase("Straße und so", "the passphrase")


def test_a_passphrase_that_is_soon_guessed_is_not_taken_for_a_new_key() -> None:
    with pytest.raises(UsageError, match="fewer than 8 characters") as caught:
        seal.check_passphrase("1234567", "the passphrase")
    assert "1234567" not in str(caught.value)
