"""ca/revoking.py and proving.py: what is no longer good, and whose a CA is."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from firstlight.ca import revoking, telling
from firstlight.ca.authority import utc_now
from firstlight.ca.folder import Folder
from firstlight.ca.ledger import REASONS
from firstlight.ca.proving import prove
from firstlight.errors import UsageError
from tests.ca import founded

CODE = "A901A843EFF75419AC1F0EB460E85DF153092A0547AA30F5"


def lists(folder: Folder, name: str) -> tuple[x509.CertificateRevocationList, ...]:
    return (
        x509.load_pem_x509_crl((folder.path / f"{name}.crl.pem").read_bytes()),
        x509.load_der_x509_crl((folder.path / f"{name}.crl").read_bytes()),
    )


def revoke(folder: Folder, serial: int, reason: str = "unspecified") -> revoking.Done:
    target = revoking.a_serial(folder, folder.ledger(), serial, None)
    return revoking.revoke(folder, target, reason, founded.secrets(), utc_now())


def test_a_new_ca_has_empty_lists(folder: Folder) -> None:
    for name in ("root", "batch-1"):
        pem, der = lists(folder, name)
        assert pem == der
        assert len(pem) == 0


def test_a_revoked_leaf_is_in_its_batchs_list(folder: Folder) -> None:
    issued = founded.opened(folder.path).issue("esp32-a1b2c3")
    done = revoke(folder, int(issued.serial, 16), "key_compromise")
    assert (done.pem.name, done.was_known) == ("batch-1.crl.pem", False)
    for crl in lists(folder, "batch-1"):
        found = crl.get_revoked_certificate_by_serial_number(int(issued.serial, 16))
        assert found is not None
        reason = found.extensions.get_extension_for_class(x509.CRLReason).value.reason
        assert reason is x509.ReasonFlags.key_compromise
        batch = folder.certificate(folder.ledger().batch(None))
        assert crl.is_signature_valid(batch.public_key())  # type: ignore[arg-type]


def test_a_serial_alone_is_refused_where_several_batches_may_have_issued_it(
    folder: Folder,
) -> None:
    issued = founded.opened(folder.path).issue("esp32-a1b2c3")
    founded.rotated(folder)
    with pytest.raises(UsageError, match="--issuer with one of batch-1, batch-2"):
        revoke(folder, int(issued.serial, 16))
    target = revoking.a_serial(folder, folder.ledger(), int(issued.serial, 16), "batch-1")
    assert target.issuer == "batch-1"


def test_a_revoked_batch_is_in_the_roots_list(folder: Folder) -> None:
    target = revoking.a_batch(folder, folder.ledger(), "batch-1")
    revoking.revoke(folder, target, "ca_compromise", founded.secrets(), utc_now())
    (pem, _) = lists(folder, "root")
    assert [each.serial_number for each in pem] == [target.serial]


def test_each_list_has_the_next_number_and_keeps_what_was_revoked(folder: Folder) -> None:
    for number, serial in enumerate((0xA1, 0xB2, 0xA1), 2):
        was_known = revoke(folder, serial).was_known
        crl = lists(folder, "batch-1")[0]
        numbered = crl.extensions.get_extension_for_class(x509.CRLNumber).value
        assert numbered.crl_number == number
    assert was_known
    assert [each.serial_number for each in crl] == [0xA1, 0xB2]


def test_a_list_is_signed_anew_without_revoking_anything(folder: Folder) -> None:
    revoke(folder, 0xA1)
    later = utc_now() + timedelta(days=300)
    for name in ("root", "batch-1"):
        before = lists(folder, name)[0]
        revoking.renew(folder, name, founded.secrets(), later)
        after = lists(folder, name)[0]
        assert len(after) == len(before)
        assert after.next_update_utc is not None
        assert before.next_update_utc is not None
        assert after.next_update_utc - before.next_update_utc > timedelta(days=299)


def test_a_list_of_before_is_told_apart_from_the_newest(folder: Folder) -> None:
    path = folder.path / "batch-1.crl"
    before = path.read_bytes()
    revoke(folder, 0xA1)
    assert telling.described(folder, utc_now())["warnings"] == []
    path.write_bytes(before)  # as if the process had ended before it was written
    (told,) = telling.described(folder, utc_now())["warnings"]
    assert "the revocation list of batch-1 is missing, not its newest, or too old" in told


def test_a_list_that_is_too_old_is_told(folder: Folder) -> None:
    soon, late = (utc_now() + timedelta(days=days) for days in (364, 366))
    assert telling.described(folder, soon)["warnings"] == []
    told = telling.described(folder, late)["warnings"]
    assert [each.partition(":")[2].split()[-1] for each in told] == ["root", "batch-1"]
    revoking.renew(folder, "root", founded.secrets(), soon)
    assert len(telling.described(folder, late)["warnings"]) == 1


def test_a_leaf_is_found_by_its_certificate_whichever_batch_it_is_of(folder: Folder) -> None:
    issued = founded.opened(folder.path).issue("esp32-a1b2c3")
    founded.rotated(folder)
    leaf, batch = map(x509.load_der_x509_certificate, issued.chain)
    target = revoking.a_certificate(folder, folder.ledger(), leaf)
    assert (target.issuer, target.serial) == ("batch-1", leaf.serial_number)
    target = revoking.a_certificate(folder, folder.ledger(), batch)
    assert (target.issuer, target.name) == ("root", "batch-1")


def test_what_the_ca_has_not_issued_is_not_revoked(folder: Folder, tmp_path: Path) -> None:
    other = founded.found(tmp_path / "other")
    stranger = x509.load_der_x509_certificate(founded.opened(other.path).issue("a").chain[0])
    ledger = folder.ledger()
    with pytest.raises(UsageError, match="issued by none of the CA's batches"):
        revoking.a_certificate(folder, ledger, stranger)
    serial = folder.certificate(ledger.batch(None)).serial_number
    with pytest.raises(UsageError, match="serial number of batch-1 itself: use --batch"):
        revoking.a_serial(folder, ledger, serial, None)
    with pytest.raises(UsageError, match="no batch 'winter'"):
        revoking.a_serial(folder, ledger, 1, "winter")


def test_every_reason_can_be_given_and_no_other(folder: Folder) -> None:
    for serial, reason in enumerate(REASONS, 1):
        revoke(folder, serial, reason)
    assert len(lists(folder, "batch-1")[0]) == len(REASONS)
    with pytest.raises(UsageError, match="the reason is one of"):
        revoke(folder, 99, "certificate_hold")


def test_a_proof_has_the_code_as_its_name_and_the_cas_signature(folder: Folder) -> None:
    for batch in (None, "batch-1"):
        pem = prove(folder, batch, CODE, founded.secrets(), utc_now())
        proof = x509.load_pem_x509_certificate(pem)
        member = folder.ledger().batch(batch) if batch else folder.ledger().root
        proof.verify_directly_issued_by(folder.certificate(member))
        assert proof.subject.rfc4514_string() == f"CN={CODE}"
        assert pem == proof.public_bytes(Encoding.PEM)  # and no key beside it


@pytest.mark.parametrize(
    "code", ["", "1234567", "A" * 65, "code with spaces", "A901,O=x", "ä" * 9]
)
def test_what_is_no_code_is_not_signed(folder: Folder, code: str) -> None:
    with pytest.raises(UsageError, match="8 to 64 letters, digits and hyphens"):
        prove(folder, None, code, founded.secrets(), utc_now())
