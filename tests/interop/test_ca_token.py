"""A CA whose keys are made in SoftHSM and stay there: what we did not write signs."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pkcs11 import Attribute, ObjectClass

from firstlight.ca import founding, making, revoking, tokenkeys
from firstlight.ca.authority import BatchAuthority, open_authority, utc_now
from firstlight.ca.folder import Folder
from firstlight.ca.founding import Wishes
from firstlight.ca.proving import prove
from firstlight.ca.signers import Passphrases
from firstlight.custody import Custody
from firstlight.errors import UsageError
from tests.ca import founded
from tests.interop.softhsm import PIN, SoftHSM, loaded
from tests.leaks import find_secrets

DEVICE = "esp32-a1b2c3"


def secrets(pin: str = PIN, batch: str | None = None, root: str | None = None) -> Passphrases:
    known = {"PIN": pin, "CA": founded.PASSPHRASE, "ROOT": founded.ROOT_PASSPHRASE}
    return Passphrases(Custody(known, None), batch, root)


def found(path: Path, root: str | None, batch: str, kind: str = "ec", **more: bool) -> Folder:
    wishes = Wishes(kind=kind, root_token=root, token=batch, **more)
    where = "env:ROOT" if root is None else None
    founding.found(Folder(path), founded.NAME, "batch-1", wishes, secrets(root=where), utc_now())
    return Folder(path)


def opened(folder: Folder, pin: str = PIN, source: str | None = None) -> BatchAuthority:
    return open_authority(folder.path, None, source, Custody({"PIN": pin}, None))


def check_chain(folder: Folder, authority: BatchAuthority) -> None:
    issued = authority.issue(DEVICE)
    leaf, batch = map(x509.load_der_x509_certificate, issued.chain)
    root = x509.load_pem_x509_certificate(authority.root_pem)
    leaf.verify_directly_issued_by(batch)
    batch.verify_directly_issued_by(root)


@pytest.fixture(scope="module")
def hsm(
    program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SoftHSM]:
    made = SoftHSM(program("softhsm2-util"), tmp_path_factory.mktemp("softhsm"))
    made.add("line")
    with loaded(made), founded.cheaply_sealed():
        yield made


@pytest.fixture(scope="module")
def folder(hsm: SoftHSM, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Root and batch-1 in the token."""
    return found(tmp_path_factory.mktemp("ca") / "ca", hsm.uri("root"), hsm.uri("batch-1"))


def logged_in(hsm: SoftHSM) -> "pkcs11.Session":
    """A session of the test's own."""
    (token,) = pkcs11.lib(hsm.module).get_tokens(token_label="line")
    try:
        return token.open(rw=True, user_pin=PIN)
    except pkcs11.UserAlreadyLoggedIn:
        return token.open(rw=True)


def objects(hsm: SoftHSM, label: str) -> dict[ObjectClass, "pkcs11.Object"]:
    """What is in the token under a name."""
    session = logged_in(hsm)
    found = session.get_objects({Attribute.LABEL: label})
    return {each[Attribute.CLASS]: each for each in found}


def test_the_keys_were_made_in_the_token_and_never_come_out(hsm: SoftHSM, folder: Folder) -> None:
    for name in ("root", "batch-1"):
        key = objects(hsm, name)[ObjectClass.PRIVATE_KEY]
        assert (key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]) == (True, False)
        assert (key[Attribute.NEVER_EXTRACTABLE], key[Attribute.ALWAYS_SENSITIVE]) == (True, True)
        assert key[Attribute.LOCAL]
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]
    assert list(folder.path.glob("*.key")) == []
    assert find_secrets(folder.path, {"the PIN": PIN}) == []


def test_the_token_signs_certificates_lists_and_proofs(folder: Folder) -> None:
    check_chain(folder, opened(folder))
    for name in ("root", "batch-1"):
        done = revoking.renew(folder, name, secrets(), utc_now())
        crl = x509.load_pem_x509_crl(done.pem.read_bytes())
        ledger = folder.ledger()
        member = ledger.root if name == "root" else ledger.batch(name)
        public = folder.certificate(member).public_key()
        assert crl.is_signature_valid(public)  # type: ignore[arg-type]
    proof = x509.load_pem_x509_certificate(prove(folder, None, "A" * 40, secrets(), utc_now()))
    proof.verify_directly_issued_by(folder.certificate(folder.ledger().root))


def test_an_rsa_key_signs_in_the_token_too(
    hsm: SoftHSM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenkeys, "_BITS", 2048)  # which is made in a third of the time
    monkeypatch.setattr(making, "_CA_BITS", 2048)
    made = found(tmp_path / "ca", None, hsm.uri("rsa"), "rsa")  # the root's in a file
    check_chain(made, opened(made))
    assert made.key_path("root").exists()
    assert not made.key_path("batch-1").exists()


def test_several_threads_issue_at_once(folder: Folder) -> None:
    authority = opened(folder)
    with ThreadPoolExecutor(8) as threads:
        issued = list(threads.map(authority.issue, [f"esp32-{number}" for number in range(24)]))
    assert len({each.serial for each in issued}) == 24
    batch = x509.load_der_x509_certificate(authority.chain[0])
    for each in issued:
        x509.load_der_x509_certificate(each.chain[0]).verify_directly_issued_by(batch)


def test_a_token_key_refuses_what_would_need_the_key_itself(hsm: SoftHSM, folder: Folder) -> None:
    authority = opened(folder)
    key = authority._batch.key
    with pytest.raises(UsageError, match="in the token 'line' does not come out"):
        key.private_numbers()
    with pytest.raises(UsageError, match="does not come out"):
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert repr(key) == "<a CA's key in the token 'line'>"


def test_a_pair_that_is_there_is_not_written_over_but_adopted(
    hsm: SoftHSM, folder: Folder, tmp_path: Path
) -> None:
    tokens = (hsm.uri("root"), hsm.uri("batch-1"))
    with pytest.raises(UsageError, match="label 'root' already, which is never written over"):
        found(tmp_path / "ca", *tokens)
    again = found(tmp_path / "ca", *tokens, adopt=True)  # as after an init that was interrupted
    check_chain(again, opened(again))
    theirs = folder.certificate(folder.ledger().root).public_key()
    assert again.certificate(again.ledger().root).public_key() == theirs


def test_a_key_is_that_of_one_ca_certificate_alone(
    hsm: SoftHSM, folder: Folder, tmp_path: Path
) -> None:
    """To retire one batch would destroy the other's key, and to revoke one would revoke none."""
    with pytest.raises(UsageError, match="this is the key of root: a batch has one of its own"):
        found(tmp_path / "ca", hsm.uri("root"), hsm.uri("root"), adopt=True)
    for name in ("root", "batch-1"):
        wishes = Wishes(token=hsm.uri(name), adopt=True)
        with pytest.raises(UsageError, match=f"this is the key of {name}: a batch has one of"):
            founding.rotate(folder, None, wishes, secrets(), utc_now(), retire=False)


@pytest.mark.parametrize("curve", ["06052b81040006", "06052b8104000a"])  # secp112r1, secp256k1
def test_a_pair_of_another_curve_is_not_adopted(hsm: SoftHSM, folder: Folder, curve: str) -> None:
    session = logged_in(hsm)
    parameters = {Attribute.EC_PARAMS: bytes.fromhex(curve)}
    hidden = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
    session.create_domain_parameters(pkcs11.KeyType.EC, parameters, local=True).generate_keypair(
        store=True, label=curve, private_template=hidden
    )
    wishes = Wishes(token=hsm.uri(curve), adopt=True)
    with pytest.raises(UsageError, match="has this key as something else than EC P-256 or RSA"):
        founding.rotate(folder, None, wishes, secrets(), utc_now(), retire=False)


def test_a_wrong_pin_is_not_taken_because_the_token_is_open_already(
    hsm: SoftHSM, folder: Folder
) -> None:
    """It would be found out on the line, where each try counts."""
    pins = Custody({"PIN": PIN, "WRONG": "111111"}, None)
    wishes = Wishes(token=hsm.uri("late", pin_source="env:WRONG"))
    with pytest.raises(UsageError, match="'line' is open with another PIN") as caught:
        founding.rotate(folder, None, wishes, Passphrases(pins), utc_now(), retire=False)
    assert "111111" not in str(caught.value)
    assert objects(hsm, "late") == {}


def test_a_pair_that_is_not_there_is_missed(hsm: SoftHSM, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no private key with label 'none'"):
        found(tmp_path / "ca", hsm.uri("none"), hsm.uri("none-2"), adopt=True)


def test_a_retired_key_is_destroyed_in_the_token(hsm: SoftHSM, tmp_path: Path) -> None:
    made = found(tmp_path / "ca", hsm.uri("root-r"), hsm.uri("old"))
    wishes = Wishes(token=hsm.uri("new"))
    founding.rotate(made, None, wishes, secrets(), utc_now(), retire=True)
    assert objects(hsm, "old") == {}
    assert made.ledger().batch("batch-1").key is None
    assert opened(made).name == "batch-2"


def test_a_pin_comes_from_the_uri_or_is_asked_for(hsm: SoftHSM, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'line' asks for a PIN"):
        found(tmp_path / "none", None, hsm.uri("silent", pin_source=None))
    wishes = Wishes(token=hsm.uri("asked", pin_source=None))
    made = Folder(tmp_path / "ca")
    founding.found(
        made, founded.NAME, "batch-1", wishes, secrets(batch="env:PIN", root="env:ROOT"), utc_now()
    )
    check_chain(made, opened(made, source="env:PIN"))


def test_the_token_of_another_ca_is_told_apart(
    hsm: SoftHSM, folder: Folder, tmp_path: Path
) -> None:
    made = found(tmp_path / "ca", hsm.uri("root-x"), hsm.uri("batch-x"))
    ledger = (made.path / "ca.json").read_text().replace("object=batch-x", "object=batch-1")
    (made.path / "ca.json").write_text(ledger)
    with pytest.raises(UsageError, match="the key of batch-1 is not that of its certificate"):
        opened(made)
