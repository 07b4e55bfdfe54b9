"""The issuing CA alone: which CSR it takes, and what it makes of one."""

import base64
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import assume, given
from hypothesis import strategies as st

from firstlight.emulator import chains
from firstlight.emulator.answers import Json, Refusal
from firstlight.emulator.dps.issuing import Issuer, new_issuer
from firstlight.emulator.dps.rules import Behaviour
from firstlight.emulator.hub.credential import by_authority
from firstlight.errors import UsageError
from tests.certificates import make_csr, make_key, named
from tests.emulator.hubs import NOW, random_bytes

VERSION = "2025-07-01-preview"
POLICIES = {"default": 3600.0, "short": 6}
KEY = make_key()
PAPERS: Json = new_issuer(random_bytes, NOW)


def an_issuer(papers: Json = PAPERS, **rules: Any) -> Issuer:
    return Issuer(Behaviour(**{"credential_policies": POLICIES} | rules), papers, random_bytes)


def written(csr: x509.CertificateSigningRequest) -> str:
    return base64.b64encode(csr.public_bytes(Encoding.DER)).decode()


CSR = written(make_csr(KEY, "dev-1"))
CSR_DER = base64.b64decode(CSR)
COMMON_NAME, COUNTRY = bytes.fromhex("550403"), bytes.fromhex("550406")


def refused(
    csr: Any, issuer: Issuer | None = None, version: str = VERSION, policy: str | None = "default"
) -> Refusal:
    with pytest.raises(Refusal) as caught:
        (issuer or an_issuer()).check(csr, "dev-1", version, policy)
    assert caught.value.status == 400
    return caught.value


def issued(name: str = "dev-1", policy: str = "default", csr: str = CSR) -> list[bytes]:
    return [base64.b64decode(one) for one in an_issuer().issue(csr, name, policy, NOW)]


def test_a_chain_leads_from_the_leaf_to_the_root_and_is_for_the_devices_key() -> None:
    ders = issued()
    chain = chains.read(ders)
    leaf, issuer, root = chain.certificates
    assert chains.anchored(chain, an_issuer().anchors, NOW) == root
    assert chain.common_name == "dev-1"
    assert leaf.public_key() == KEY.public_key()
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not chains.is_ca(leaf)
    assert chains.is_ca(issuer)
    assert max(map(len, ders)) < 640  # a board holds a chain in its memory
    with pytest.raises(
        chains.BadChain
    ):  # the issuing CA is not a thing that a device may leave out
        chains.anchored(chains.read(ders[:1]), an_issuer().anchors, NOW)


def test_openssl_verifies_what_is_issued(tmp_path: Path) -> None:
    leaf, issuer, root = (x509.load_der_x509_certificate(der) for der in issued())
    for name, one in (("leaf", leaf), ("issuer", issuer), ("root", root)):
        (tmp_path / name).write_bytes(one.public_bytes(Encoding.PEM))
    command = (
        "openssl",
        "verify",
        "-x509_strict",
        "-purpose",
        "sslclient",
        "-attime",
        str(int(NOW)),
    )
    done = subprocess.run(
        (*command, "-CAfile", "root", "-untrusted", "issuer", "leaf"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "leaf: OK\n"), done.stderr


def test_the_policy_says_for_how_long() -> None:
    leaf = x509.load_der_x509_certificate(issued(policy="short")[0])
    begin, end = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    assert (begin, end) == (NOW, NOW + 6)


def test_every_leaf_has_a_serial_number_of_its_own_and_the_device_ids_spelling() -> None:
    leaves = [x509.load_der_x509_certificate(issued(name)[0]) for name in ("dev-1", "Dev-1")]
    assert leaves[0].serial_number != leaves[1].serial_number
    assert [chains.common_name(leaf) for leaf in leaves] == ["dev-1", "Dev-1"]


def test_the_authority_is_the_same_after_a_restart_and_another_in_another_dps() -> None:
    assert an_issuer(dict(PAPERS)).anchors == an_issuer().anchors
    assert an_issuer(new_issuer(random_bytes, NOW)).anchors != an_issuer().anchors
    assert "root" in PAPERS
    assert "PRIVATE" not in PAPERS["root"] + PAPERS["certificate"]
    assert PAPERS["key"] not in repr(an_issuer())


@pytest.mark.parametrize("spelling", ["dev-1", "DEV-1"])
def test_a_csr_with_the_registration_id_as_its_name_is_taken(spelling: str) -> None:
    csr = written(make_csr(KEY, spelling))
    assert an_issuer().check(csr, "Dev-1", VERSION, "default") == csr


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_elliptic_keys_of_both_curves_are_taken(curve: ec.EllipticCurve) -> None:
    csr = written(make_csr(ec.generate_private_key(curve), "dev-1"))
    assert an_issuer().check(csr, "dev-1", VERSION, "short") == csr


def test_an_rsa_key_of_2048_bits_is_taken_and_a_shorter_one_is_not() -> None:
    csr = written(make_csr(make_key("rsa"), "dev-1"))
    assert an_issuer().check(csr, "dev-1", VERSION, "default") == csr
    assert chains.read(issued(csr=csr)).common_name == "dev-1"
    short = written(make_csr(rsa.generate_private_key(65537, 1024), "dev-1"))
    assert "P-256" in str(refused(short))


def _broken() -> str:
    der = bytearray(base64.b64decode(CSR))
    der[-1] ^= 1
    return base64.b64encode(bytes(der)).decode()


def _named_twice() -> str:
    names = [*named("dev-1"), *named("dev-1")]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    return written(builder.sign(KEY, hashes.SHA256()))


def _by_email() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "dev-1")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return written(builder.sign(KEY, hashes.SHA256()))


def _by_country() -> str:
    """A CSR whose country is the registration id, and longer than two letters."""
    return base64.b64encode(CSR_DER.replace(COMMON_NAME, COUNTRY)).decode()


@pytest.mark.parametrize(
    ("csr", "error"),
    [
        (7, "FailedToDecodeCsr"),
        ("", "FailedToDecodeCsr"),
        ("dev-1", "FailedToDecodeCsr"),
        ("AAAA", "FailedToDecodeCsr"),
        (CSR[:-8], "FailedToDecodeCsr"),
        (CSR + "\n", "FailedToDecodeCsr"),
        (make_csr(KEY, "dev-1").public_bytes(Encoding.PEM).decode(), "FailedToDecodeCsr"),
        (_broken(), "InvalidCsrSignature"),
        (written(make_csr(KEY, "dev-2")), "InvalidCsrSubject"),
        (_named_twice(), "InvalidCsrSubject"),
        (_by_email(), "InvalidCsrSubject"),
        (_by_country(), "FailedToDecodeCsr"),  # `cryptography` warns of it, an error here
        (written(make_csr(ec.generate_private_key(ec.SECP521R1()), "dev-1")), "UnsupportedCsrKey"),
    ],
)
def test_a_csr_that_is_not_right_is_refused_with_the_reason(csr: Any, error: str) -> None:
    refusal = refused(csr)
    assert (refusal.code, refusal.info and refusal.info["credentialError"]) == (400040, error)
    answer = refusal.answer(NOW, random_bytes)
    assert answer.document["info"] == refusal.info
    assert answer.document["errorCode"] == 400040


@given(der=st.binary(max_size=200))
def test_no_bytes_are_worse_than_a_refusal(der: bytes) -> None:
    refused(base64.b64encode(der).decode())


@given(at=st.integers(0, len(CSR_DER) - 1), bits=st.integers(1, 255))
def test_a_csr_with_one_wrong_byte_is_refused(at: int, bits: int) -> None:
    der = bytearray(CSR_DER)
    # How many bits of the signature's last byte are unused is not signed, and may differ.
    assume(at != len(der) - len(x509.load_der_x509_csr(CSR_DER).signature) - 1)
    der[at] ^= bits
    refused(base64.b64encode(bytes(der)).decode())


def test_a_csr_that_is_very_long_is_not_even_read() -> None:
    assert "too long" in str(refused("A" * 20_000))


def test_nothing_is_asked_for_without_a_csr() -> None:
    for version in ("2019-03-31", VERSION, ""):
        assert an_issuer().check(None, "dev-1", version, None) is None


@pytest.mark.parametrize("version", ["", "2019-03-31", "2021-11-01-preview"])
def test_an_older_api_version_has_no_csr(version: str) -> None:
    assert an_issuer().check("?", "dev-1", version, "default") is None
    strict = an_issuer(csr_old_version="refuse")
    assert refused(CSR, strict, version).code == 400000
    for new in (VERSION, "2026-04-01", "2026-11-15-preview"):
        assert an_issuer().check(CSR, "dev-1", new, "default") == CSR


def test_an_enrollment_without_a_policy_gets_nothing_issued_unless_told() -> None:
    assert "no credential policy" in str(refused(CSR, policy=None))
    assert an_issuer(csr_without_policy="ignore").check(CSR, "dev-1", VERSION, None) is None
    lax = an_issuer(csr_without_policy="default")
    assert lax.check(CSR, "dev-1", VERSION, None) == CSR
    assert len(lax.issue(CSR, "dev-1", None, NOW)) == 3


def test_a_policy_that_is_unknown_is_told_and_one_that_went_issues_nothing() -> None:
    for rule in ("refuse", "ignore", "default"):
        assert "unknown" in str(refused(CSR, an_issuer(csr_without_policy=rule), policy="long"))
    assert an_issuer().issue(CSR, "dev-1", "long", NOW) == []
    assert an_issuer().issue(CSR, "d" * 65, "default", NOW) == []


def test_a_certificate_does_not_outlive_its_authority() -> None:
    papers = new_issuer(random_bytes, NOW - 3649 * 86_400)
    (leaf, *_) = an_issuer(papers).issue(CSR, "dev-1", "default", NOW - 1800)
    ends_at = x509.load_der_x509_certificate(base64.b64decode(leaf)).not_valid_after_utc
    assert ends_at == datetime.fromtimestamp(NOW, UTC)
    assert an_issuer(papers).issue(CSR, "dev-1", "default", NOW) == []


def test_the_hub_takes_what_was_issued_alone_if_told() -> None:
    assert an_issuer().at_hub() is None
    assert an_issuer(issued_auth="issued").at_hub() == by_authority()


@pytest.mark.parametrize(
    "rules",
    [
        {"credential_policies": {"short": 0}},
        {"credential_policies": {"long": 1e10}},
        {"credential_policies": ["default"]},
        {"credential_policies": {"default": "1 day"}},
        {"credential_policies": {"default": True}},
        {"credential_policies": {"": 60}},  # an enrollment that names none would have it
        {"csr_without_policy": "issue"},
        {"issued_auth": "none"},
    ],
)
def test_a_policy_that_cannot_be_is_told(rules: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Behaviour(**rules).check()


def test_papers_that_are_none_are_refused() -> None:
    for wrong in ({"root": "x"}, {"key": "x"}):
        with pytest.raises(ValueError, match=r".+"):
            an_issuer(PAPERS | wrong)
