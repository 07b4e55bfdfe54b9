"""The factory's CA before openssl: chains, requests, revocation lists, keys at rest."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from firstlight.ca import making, revoking, seal
from firstlight.ca.authority import BatchAuthority, utc_now
from firstlight.ca.folder import Folder
from firstlight.ca.proving import prove
from firstlight.cli.cafiles import pem_of, request_from
from firstlight.errors import UsageError
from tests.ca import founded

DEVICE = "esp32-a1b2c3"
CODE = "A901A843EFF75419AC1F0EB460E85DF153092A0547AA30F5"
OpenSSL = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def openssl(program: Callable[[str], str]) -> OpenSSL:
    found = program("openssl")

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [found, *map(str, words)], capture_output=True, text=True, check=False, timeout=30
        )

    return run


@pytest.fixture(scope="module", params=["ec", "rsa"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A CA of each kind."""
    with founded.cheaply_sealed():
        return founded.found(tmp_path_factory.mktemp("ca") / "line-ca", kind=request.param)


@pytest.fixture(scope="module")
def authority(folder: Folder) -> BatchAuthority:
    return founded.opened(folder.path)


def leaf_in(place: Path, authority: BatchAuthority, device: str = DEVICE) -> Path:
    path = place / f"{device}.pem"
    path.write_text(pem_of(authority.issue(device).chain[0]))
    return path


def test_a_chain_is_verified_as_a_tls_clients(
    openssl: OpenSSL, folder: Folder, authority: BatchAuthority, tmp_path: Path
) -> None:
    leaf = leaf_in(tmp_path, authority)
    root, batch = folder.path / "root.pem", folder.path / "batch-1.pem"
    lists = tmp_path / "lists.pem"
    lists.write_text("".join(each.read_text() for each in folder.path.glob("*.crl.pem")))
    strict = ("verify", "-x509_strict", "-purpose", "sslclient", "-crl_check_all",
              "-CRLfile", lists, "-CAfile", root)  # fmt: skip
    done = openssl(*strict, "-untrusted", batch, leaf)
    assert (done.returncode, done.stdout) == (0, f"{leaf}: OK\n")
    assert openssl(*strict, leaf).returncode != 0  # without the intermediate
    as_server = ("verify", "-purpose", "sslserver", "-CAfile", root, "-untrusted", batch)
    assert openssl(*as_server, leaf).returncode != 0


def test_a_certificate_is_read_as_it_was_meant(
    openssl: OpenSSL, authority: BatchAuthority, tmp_path: Path
) -> None:
    leaf = leaf_in(tmp_path, authority)
    text = openssl("x509", "-in", leaf, "-noout", "-text").stdout
    assert f"Subject: CN = {DEVICE}" in text or f"Subject: CN={DEVICE}" in text
    for said in ("TLS Web Client Authentication", "Digital Signature", "CA:FALSE"):
        assert said in text
    assert ("Public-Key: (256 bit)" in text) or ("Public-Key: (2048 bit)" in text)


def test_a_leaf_issues_nothing(
    openssl: OpenSSL, folder: Folder, authority: BatchAuthority, tmp_path: Path
) -> None:
    """A board that signs a certificate with its own key is not believed."""
    issued = authority.issue(DEVICE)
    (tmp_path / "leaf").write_text(pem_of(issued.chain[0]))
    (tmp_path / "key").write_bytes(issued.key)
    forged = openssl(
        "x509", "-req", "-in", request_in(tmp_path, authority), "-CA", tmp_path / "leaf",
        "-CAkey", tmp_path / "key", "-CAkeyform", "DER", "-set_serial", "1", "-days", "2",
        "-out", tmp_path / "forged.pem",
    )  # fmt: skip
    assert forged.returncode == 0, forged.stderr
    chain = tmp_path / "chain"
    chain.write_text((tmp_path / "leaf").read_text() + (folder.path / "batch-1.pem").read_text())
    root = folder.path / "root.pem"
    done = openssl("verify", "-CAfile", root, "-untrusted", chain, tmp_path / "forged.pem")
    assert "invalid CA certificate" in done.stderr


def request_in(place: Path, authority: BatchAuthority) -> Path:
    path = place / "request.pem"
    path.write_text(pem_of(authority.issue("other").csr or b"", "CERTIFICATE REQUEST"))
    return path


def test_a_request_verifies_and_names_the_device(
    openssl: OpenSSL, authority: BatchAuthority, tmp_path: Path
) -> None:
    path = request_in(tmp_path, authority)
    done = openssl("req", "-in", path, "-noout", "-verify", "-subject", "-nameopt", "RFC2253")
    assert done.returncode == 0
    assert "CN=other" in done.stdout


def test_a_request_that_openssl_made_is_signed(
    openssl: OpenSSL, folder: Folder, authority: BatchAuthority, tmp_path: Path
) -> None:
    request, made = tmp_path / "made.der", ("-newkey", "ec", "-pkeyopt")
    openssl(
        "req", "-new", *made, "ec_paramgen_curve:P-256", "-nodes", "-keyout", tmp_path / "k",
        "-subj", f"/CN={DEVICE}", "-outform", "DER", "-out", request,
    )  # fmt: skip
    leaf = tmp_path / "leaf.pem"
    leaf.write_text(pem_of(authority.certify(request_from(request), DEVICE)[0]))
    root, batch = folder.path / "root.pem", folder.path / "batch-1.pem"
    assert openssl("verify", "-CAfile", root, "-untrusted", batch, leaf).returncode == 0


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (("ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"),
         "is not written as boards read it"),
        (("ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha1"), "not signed by its own key"),
        (("ec", "-pkeyopt", "ec_paramgen_curve:secp112r1"), "neither EC P-256"),
        (("ed448",), "neither EC P-256"),
        (("rsa:1024",), "neither EC P-256"),
    ],
)  # fmt: skip
def test_a_request_that_boards_could_not_use_is_refused(
    openssl: OpenSSL, authority: BatchAuthority, tmp_path: Path, key: tuple[str, ...], text: str
) -> None:
    request = tmp_path / "made.pem"
    made = openssl("req", "-new", "-newkey", *key, "-nodes", "-keyout", tmp_path / "k",
                   "-subj", f"/CN={DEVICE}", "-out", request)  # fmt: skip
    assert made.returncode == 0, made.stderr
    with pytest.raises(UsageError, match=text):
        authority.certify(request_from(request), DEVICE)


def test_what_is_revoked_is_refused_by_its_list(
    openssl: OpenSSL, folder: Folder, authority: BatchAuthority, tmp_path: Path
) -> None:
    good, bad = (leaf_in(tmp_path, authority, device) for device in ("good", "bad"))
    serial = openssl("x509", "-in", bad, "-noout", "-serial").stdout.partition("=")[2].strip()
    target = revoking.a_serial(folder, folder.ledger(), int(serial, 16), None)
    done = revoking.revoke(folder, target, "key_compromise", founded.secrets(), utc_now())
    root, batch = folder.path / "root.pem", folder.path / "batch-1.pem"
    words = ("verify", "-crl_check", "-CRLfile", done.pem, "-CAfile", root, "-untrusted", batch)
    assert openssl(*words, good).returncode == 0
    assert "certificate revoked" in openssl(*words, bad).stderr
    text = openssl("crl", "-inform", "DER", "-in", done.der, "-noout", "-text").stdout
    assert f"Serial Number: {serial}" in text
    assert "Key Compromise" in text
    by = openssl("crl", "-in", done.pem, "-noout", "-CAfile", batch)
    assert "verify OK" in by.stdout + by.stderr


def test_a_revoked_batch_takes_its_leaves_with_it(
    openssl: OpenSSL, authority: BatchAuthority, folder: Folder, tmp_path: Path
) -> None:
    leaf = leaf_in(tmp_path, authority)
    lists = tmp_path / "lists.pem"
    words = (
        "verify", "-crl_check_all", "-CAfile", folder.path / "root.pem",
        "-untrusted", folder.path / "batch-1.pem", "-CRLfile", lists, leaf,
    )  # fmt: skip

    def gather() -> None:
        lists.write_text("".join(each.read_text() for each in folder.path.glob("*.crl.pem")))

    gather()
    assert openssl(*words).returncode == 0
    target = revoking.a_batch(folder, folder.ledger(), "batch-1")
    revoking.revoke(folder, target, "ca_compromise", founded.secrets(), utc_now())
    gather()
    assert "certificate revoked" in openssl(*words).stderr


def test_a_proof_of_possession_is_verified_by_the_root(
    openssl: OpenSSL, folder: Folder, tmp_path: Path
) -> None:
    proof = tmp_path / "proof.pem"
    proof.write_bytes(prove(folder, None, CODE, founded.secrets(), utc_now()))
    assert openssl("verify", "-CAfile", folder.path / "root.pem", proof).returncode == 0
    assert CODE in openssl("x509", "-in", proof, "-noout", "-subject").stdout


def test_openssl_opens_a_sealed_key_and_we_open_its(openssl: OpenSSL, tmp_path: Path) -> None:
    """Once at its real price, which openssl pays, too."""
    key, sealed = making.new_ca_key("ec"), tmp_path / "ca.key"
    right = f"pass:{founded.PASSPHRASE}"
    sealed.write_bytes(seal.sealed(key, founded.PASSPHRASE))
    opened = openssl("pkey", "-in", sealed, "-passin", right, "-pubout")
    ours = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert opened.stdout == ours.decode()
    said = openssl("asn1parse", "-in", sealed).stdout
    for each in ("scrypt", "INTEGER           :4000", "INTEGER           :05", "aes-256-cbc"):
        assert each in said
    with founded.cheaply_sealed():
        sealed.write_bytes(seal.sealed(key, founded.PASSPHRASE))
    assert openssl("pkey", "-in", sealed, "-passin", "pass:another one", "-noout").returncode != 0
    theirs = tmp_path / "theirs.key"
    openssl("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", sealed, "-passin", right,
            "-passout", right, "-out", theirs)  # fmt: skip
    again = seal.unsealed(theirs.read_bytes(), founded.PASSPHRASE, "the key")
    assert again.public_key() == key.public_key()
