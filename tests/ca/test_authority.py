"""ca/authority.py: a certificate for unit after unit, and nothing kept of any."""

import shutil
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from firstlight.ca import making, revoking
from firstlight.ca.authority import Authority, open_authority, utc_now
from firstlight.ca.certificate import DeviceCertificate, device_key, public_bytes
from firstlight.ca.folder import Folder
from firstlight.errors import UsageError
from tests.ca import founded
from tests.leaks import find_secrets

DEVICE = "esp32-a1b2c3"


def leaf_of(issued: DeviceCertificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(issued.chain[0])


def extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.ExtensionType:
    return certificate.extensions.get_extension_for_class(kind).value


def files(folder: Folder) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.path.iterdir()}


def test_a_unit_gets_a_key_a_certificate_and_a_request_of_one_key(folder: Folder) -> None:
    authority: Authority = founded.opened(folder.path)
    issued = authority.issue(DEVICE)
    leaf, key = leaf_of(issued), device_key(issued.key)
    assert issued.csr is not None
    request = x509.load_der_x509_csr(issued.csr)
    whose = {public_bytes(each.public_key()) for each in (leaf, key, request)}
    assert len(whose) == 1
    assert issued.registration_id == DEVICE
    assert leaf.subject == request.subject
    assert leaf.subject.rfc4514_string() == f"CN={DEVICE}"


def test_a_leaf_says_who_a_client_is_and_no_more(folder: Folder) -> None:
    issued = founded.opened(folder.path).issue(DEVICE)
    leaf = leaf_of(issued)
    usage = extension(leaf, x509.KeyUsage)
    assert isinstance(usage, x509.KeyUsage)
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert extension(leaf, x509.BasicConstraints) == x509.BasicConstraints(False, None)
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    assert extension(leaf, x509.ExtendedKeyUsage) == purposes
    issuer = x509.load_der_x509_certificate(issued.chain[1])
    theirs = extension(issuer, x509.SubjectKeyIdentifier)
    assert isinstance(theirs, x509.SubjectKeyIdentifier)
    ours = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(theirs)
    assert extension(leaf, x509.AuthorityKeyIdentifier) == ours
    assert extension(leaf, x509.SubjectKeyIdentifier)
    assert 8 * 15 < leaf.serial_number.bit_length() < 8 * 20


def test_the_chain_leads_to_the_root_which_it_does_not_hold(folder: Folder) -> None:
    authority = founded.opened(folder.path)
    issued = authority.issue(DEVICE)
    root = x509.load_pem_x509_certificate(authority.root_pem)
    leaf, batch = map(x509.load_der_x509_certificate, issued.chain)
    leaf.verify_directly_issued_by(batch)
    batch.verify_directly_issued_by(root)
    assert issued.chain[1:] == authority.chain
    assert extension(root, x509.BasicConstraints) == x509.BasicConstraints(True, 1)
    assert extension(batch, x509.BasicConstraints) == x509.BasicConstraints(True, 0)


def test_it_is_known_by_its_roots_and_its_own_fingerprint(folder: Folder) -> None:
    authority = founded.opened(folder.path)
    ledger = folder.ledger()
    assert ledger.root.fingerprint.startswith(authority.fingerprint)
    assert len(authority.fingerprint) == 16
    assert authority.issuer == ledger.batch("batch-1").fingerprint
    assert authority.issuer == sha256(authority.chain[0]).hexdigest()
    assert authority.name == "batch-1"


def test_nothing_is_kept_of_a_unit(
    folder: Folder, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    before = files(folder)
    authority = founded.opened(folder.path)
    issued = authority.issue(DEVICE)
    numbers = device_key(issued.key).private_numbers()
    assert isinstance(numbers, ec.EllipticCurvePrivateNumbers)
    scalar = b64encode(numbers.private_value.to_bytes(32)).decode()  # the rest is no secret
    secret = {"the unit's key": scalar, "the passphrase": founded.PASSPHRASE}
    assert files(folder) == before
    assert find_secrets(folder.path, secret) == []
    told = capfd.readouterr()
    for said in (told.out, told.err, caplog.text, repr(authority), repr(vars(authority))):
        assert find_secrets(said.encode(), secret) == []
    (folder.path / "left").write_bytes(issued.key)  # so that the lines above can fail
    assert find_secrets(folder.path, secret) != []


def test_no_two_units_share_anything(folder: Folder) -> None:
    authority = founded.opened(folder.path)
    devices = [f"esp32-{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        issued = list(threads.map(authority.issue, devices))
    assert [each.registration_id for each in issued] == devices
    for values in zip(*((each.key, each.serial, each.csr) for each in issued), strict=True):
        assert len(set(values)) == len(devices)


def test_a_station_needs_neither_the_roots_key_nor_to_write(
    folder: Folder, tmp_path: Path
) -> None:
    copy = tmp_path / "station"
    shutil.copytree(folder.path, copy, ignore=shutil.ignore_patterns("root.key", ".lock"))
    copy.chmod(0o500)
    assert founded.opened(copy).issue(DEVICE).registration_id == DEVICE
    copy.chmod(0o700)
    with pytest.raises(UsageError, match=r"the key of root is not in .*where the CA was made"):
        founded.rotated(Folder(copy))


def test_a_certificate_begins_a_day_early_for_clocks_that_are_behind(tmp_path: Path) -> None:
    folder = founded.found(tmp_path / "ca", utc_now() - timedelta(days=30))
    leaf = leaf_of(founded.opened(folder.path).issue(DEVICE))
    early = utc_now() - leaf.not_valid_before_utc
    assert timedelta(days=1) <= early < timedelta(days=1, minutes=5)


def test_a_leaf_does_not_begin_before_its_issuer_on_a_station_that_is_behind(
    folder: Folder,
) -> None:
    behind = founded.opened(folder.path, after=timedelta(hours=-1))
    leaf, batch = map(x509.load_der_x509_certificate, behind.issue(DEVICE).chain)
    assert leaf.not_valid_before_utc >= batch.not_valid_before_utc


def test_a_leaf_lives_its_days_and_never_longer_than_its_batch(tmp_path: Path) -> None:
    folder = founded.found(tmp_path / "ca", root_days=400, batch_days=200, leaf_days=100)
    batch = folder.certificate(folder.ledger().batch(None))
    young, old = (
        leaf_of(founded.opened(folder.path, after=timedelta(days=days)).issue(DEVICE))
        for days in (0, 150)
    )
    life = young.not_valid_after_utc - utc_now()
    assert timedelta(days=99) < life <= timedelta(days=100)
    assert old.not_valid_after_utc == batch.not_valid_after_utc


@pytest.mark.parametrize("days", [-2, 201])
def test_a_batch_that_is_not_good_now_issues_nothing(tmp_path: Path, days: int) -> None:
    folder = founded.found(tmp_path / "ca", root_days=400, batch_days=200, leaf_days=100)
    with pytest.raises(UsageError, match="not that now by this computer's clock: set the clock"):
        founded.opened(folder.path, after=timedelta(days=days))


def test_an_id_that_is_none_is_refused_before_a_key_is_made(folder: Folder) -> None:
    authority = founded.opened(folder.path)
    for device, text in (("ESP32-A", "did you mean esp32-a"), ("a" * 65, "has 65 characters")):
        with pytest.raises(UsageError, match=text):
            authority.issue(device)


def test_a_revoked_batch_issues_nothing_and_the_next_one_does(folder: Folder) -> None:
    target = revoking.a_batch(folder, folder.ledger(), "batch-1")
    revoking.revoke(folder, target, "key_compromise", founded.secrets(), utc_now())
    with pytest.raises(UsageError, match=r"batch-1 was revoked on .* firstlight ca rotate"):
        founded.opened(folder.path)
    founded.rotated(folder)
    assert founded.opened(folder.path).name == "batch-2"
    with pytest.raises(UsageError, match="batch-1 was revoked"):
        founded.opened(folder.path, "batch-1")


def test_the_passphrase_is_needed_and_must_be_the_right_one(folder: Folder) -> None:
    with pytest.raises(UsageError, match="the key of batch-1 does not open: the passphrase"):
        open_authority(folder.path, None, "env:CA", founded.custody("not this one at all"))
    with pytest.raises(UsageError, match=r"batch-1 has a passphrase: say where .*--passphrase"):
        open_authority(folder.path, None, None, founded.custody())


def test_a_request_that_somebody_brings_is_signed_for_the_same_key(folder: Folder) -> None:
    authority = founded.opened(folder.path)
    issued = authority.issue(DEVICE)
    assert issued.csr is not None
    request = x509.load_der_x509_csr(issued.csr)
    chain = authority.certify(request, DEVICE)
    renewed = x509.load_der_x509_certificate(chain[0])
    assert chain[1:] == issued.chain[1:]
    assert public_bytes(renewed.public_key()) == public_bytes(leaf_of(issued).public_key())
    assert renewed.serial_number != leaf_of(issued).serial_number
    with pytest.raises(UsageError, match="common name is not esp32-other"):
        authority.certify(request, "esp32-other")


def test_a_request_of_a_key_that_boards_do_not_take_is_refused(folder: Folder) -> None:
    request = making.request(ec.generate_private_key(ec.SECP384R1()), DEVICE)
    with pytest.raises(UsageError, match="request's key is neither EC P-256"):
        founded.opened(folder.path).certify(request, DEVICE)


def test_a_request_with_a_broken_signature_is_refused(folder: Folder) -> None:
    authority = founded.opened(folder.path)
    csr = bytearray(authority.issue(DEVICE).csr or b"")
    csr[-1] ^= 1
    with pytest.raises(UsageError, match="not signed by its own key"):
        authority.certify(x509.load_der_x509_csr(bytes(csr)), DEVICE)
