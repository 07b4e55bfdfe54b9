"""ca/certificate.py: what a device proves itself with, put together from files by hand."""

import warnings
from base64 import b64decode, b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from firstlight.ca import making
from firstlight.ca.certificate import (
    DeviceCertificate,
    PrivateKey,
    device_id,
    device_key,
    load_device_certificate,
    serial_hex,
)
from firstlight.ca.making import Issuer
from firstlight.errors import UsageError
from tests.leaks import find_secrets

NOW = datetime(2026, 11, 22, tzinfo=UTC)
UNTIL = NOW + timedelta(days=365)
DEVICE = "esp32-a1b2c3"


class Made:
    """A root, an intermediate, and a leaf with its key, all EC."""

    def __init__(self) -> None:
        root_key, key = making.new_ca_key("ec"), making.new_ca_key("ec")
        self.root = making.root(root_key, "A root", NOW, UNTIL)
        by = Issuer(self.root, root_key)
        self.batch = making.intermediate(by, key.public_key(), "A batch", NOW, UNTIL)
        self.by = Issuer(self.batch, key)
        self.key = making.new_device_key("ec")
        self.leaf = making.leaf(self.by, self.key.public_key(), DEVICE, NOW, UNTIL)
        self.csr = making.request(self.key, DEVICE)


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


def pem(*parts: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in parts)


def key_pem(key: PrivateKey, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def test_a_chain_and_its_key_make_a_device_certificate(made: Made) -> None:
    found = load_device_certificate(
        pem(made.leaf, made.batch), key_pem(made.key), csr_pem=pem(made.csr)
    )
    assert found.registration_id == DEVICE
    assert found.chain == tuple(
        each.public_bytes(Encoding.DER) for each in (made.leaf, made.batch)
    )
    assert found.not_after_at == int(UNTIL.timestamp())
    assert int(found.serial, 16) == made.leaf.serial_number
    section = found.section()
    assert [b64decode(each) for each in section["chain"]] == list(found.chain)
    assert device_key(b64decode(section["key"])).private_numbers() == made.key.private_numbers()
    assert x509.load_der_x509_csr(b64decode(section["csr"])) == made.csr


def test_the_key_is_sec1_or_pkcs1_which_boards_read(made: Made) -> None:
    found = load_device_certificate(pem(made.leaf, made.batch), key_pem(made.key))
    sec1 = made.key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert found.key == sec1
    assert found.csr is None
    assert "csr" not in found.section()


def test_it_does_not_show_its_key(made: Made) -> None:
    found = load_device_certificate(pem(made.leaf, made.batch), key_pem(made.key))
    shown = f"{found} {found!r} {[found]}".encode()
    assert found.fingerprint[:16].encode() in shown
    secret = {"the key": found.section()["key"]}
    assert find_secrets(shown, secret) == []
    assert find_secrets(repr(vars(found)).encode(), secret)  # so that the line above can fail


def test_a_root_at_the_end_is_left_out(made: Made) -> None:
    found = load_device_certificate(pem(made.leaf, made.batch, made.root), key_pem(made.key))
    assert len(found.chain) == 2


def test_a_self_signed_leaf_is_a_chain_of_its_own(made: Made) -> None:
    leaf = making.root(made.key, DEVICE, NOW, UNTIL)  # as openssl req -x509 makes one: a CA
    found = load_device_certificate(pem(leaf), key_pem(made.key))
    assert (found.registration_id, len(found.chain)) == (DEVICE, 1)


def test_an_encrypted_key_opens_with_its_passphrase(made: Made) -> None:
    sealed = key_pem(made.key, BestAvailableEncryption(b"open sesame"))
    chain = pem(made.leaf, made.batch)
    assert load_device_certificate(chain, sealed, "open sesame").registration_id == DEVICE
    for passphrase, text in ((None, "is encrypted"), ("another", "its passphrase is another")):
        with pytest.raises(UsageError, match=text):
            load_device_certificate(chain, sealed, passphrase)
    with pytest.raises(UsageError, match="is not encrypted"):
        load_device_certificate(chain, key_pem(made.key), "open sesame")


def test_what_does_not_fit_together_is_refused(made: Made) -> None:
    other = Made()
    key, good = key_pem(made.key), pem(made.leaf, made.batch)
    below = making.leaf(Issuer(made.leaf, made.key), made.key.public_key(), DEVICE, NOW, UNTIL)
    for chain, with_key, csr, text in (
        (pem(made.batch, made.leaf), key, None, "first certificate is a CA's: put the leaf first"),
        (pem(made.leaf, other.batch), key, None, "1 of the chain is not issued by certificate 2"),
        (pem(made.leaf, made.root), key, None, None),  # the root is left out, so nothing is wrong
        (pem(made.leaf, made.leaf), key, None, "1 of the chain is not issued by certificate 2"),
        (pem(made.leaf, *[made.batch] * 4), key, None, "5 certificates is too long"),
        (pem(below, made.leaf, made.batch), key, None, "1 of the chain is not issued by"),
        (good, key_pem(other.key), None, "not that of the leaf"),
        (good, key, pem(other.csr), "not by the key of the leaf"),
        (good, key, pem(making.request(made.key, "esp32-other")), "common name is not esp32-a1b"),
        (good, key, b"no request", "not PEM that can be read"),
        (b"", key, None, "no certificates as PEM"),
        (good, b"no key", None, "not a private key as PEM"),
    ):
        if text is None:
            load_device_certificate(chain, with_key, csr_pem=csr)
            continue
        with pytest.raises(UsageError, match=text):
            load_device_certificate(chain, with_key, csr_pem=csr)


@pytest.mark.parametrize("kind", ["P-384", "RSA 1024"])
def test_a_key_that_boards_do_not_take_is_refused(made: Made, kind: str) -> None:
    key: PrivateKey = ec.generate_private_key(ec.SECP384R1())
    if kind == "RSA 1024":
        key = rsa.generate_private_key(65537, 1024)
    leaf = making.leaf(made.by, key.public_key(), DEVICE, NOW, UNTIL)
    with pytest.raises(UsageError, match="neither EC P-256 nor RSA of 2048 bits"):
        load_device_certificate(pem(leaf, made.batch), key_pem(key))


def test_a_common_name_must_be_a_registration_id(made: Made) -> None:
    for name, text in (("ESP32-A", "did you mean esp32-a"), ("a device", "is refused")):
        leaf = making.leaf(made.by, made.key.public_key(), name, NOW, UNTIL)
        with pytest.raises(UsageError, match=text):
            load_device_certificate(pem(leaf, made.batch), key_pem(made.key))


def test_an_id_is_as_long_as_a_common_name_at_most() -> None:
    assert device_id("a" * 64) == "a" * 64
    with pytest.raises(UsageError, match="has 65 characters, and a certificate's common name"):
        device_id("a" * 65)


def test_a_serial_number_has_whole_bytes() -> None:
    assert [serial_hex(each) for each in (1, 0xAB, 0xABC)] == ["01", "ab", "0abc"]


def armoured(der: bytes, label: str = "CERTIFICATE") -> bytes:
    return f"-----BEGIN {label}-----\n{b64encode(der).decode()}\n-----END {label}-----\n".encode()


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("a003020102", "a003020107", "no certificates as PEM, or one that cannot be read"),
        ("a0030201020214", "a00302010202148", "leaf's serial number is not positive"),
        ("06082a8648ce3d030107", "06082a8648ce3d030106", "leaf's key is neither EC P-256"),
        (b"esp32".hex(), "ff" * 5, "must have one common name"),
    ],
)
def test_a_certificate_that_is_odd_is_refused_in_words(
    made: Made, before: str, after: str, text: str
) -> None:
    whole = made.leaf.public_bytes(Encoding.DER).hex()
    assert before in whole
    start = whole.index(before)
    odd = bytes.fromhex(whole[:start] + after + whole[start + len(after) :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the library says of the serial number
        with pytest.raises(UsageError, match=text):
            load_device_certificate(armoured(odd), key_pem(made.key))


def test_a_request_of_an_unheard_of_curve_is_refused_in_words(made: Made) -> None:
    whole = made.csr.public_bytes(Encoding.DER)
    curve = bytes.fromhex("06082a8648ce3d030107")
    odd = armoured(whole.replace(curve, curve[:-1] + b"\x06"), "CERTIFICATE REQUEST")
    with pytest.raises(UsageError, match="request's key is neither EC P-256"):
        load_device_certificate(pem(made.leaf, made.batch), key_pem(made.key), csr_pem=odd)


@given(st.data())
def test_a_certificate_with_a_changed_byte_is_refused_or_taken(
    made: Made, data: st.DataObject
) -> None:
    whole = bytearray(made.leaf.public_bytes(Encoding.DER))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with warnings.catch_warnings(), suppress(UsageError):
        warnings.simplefilter("ignore")  # as above
        load_device_certificate(armoured(bytes(whole)), key_pem(made.key))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_refused_as_input(chain: bytes, key: bytes) -> None:
    armour = b"-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n"
    for each in (chain, armour % chain):
        with pytest.raises(UsageError):
            load_device_certificate(each, key)


def test_values_are_values(made: Made) -> None:
    words = (pem(made.leaf, made.batch), key_pem(made.key))
    assert load_device_certificate(*words) == load_device_certificate(*words)
    assert isinstance(load_device_certificate(*words), DeviceCertificate)
