"""`firstlight ca`: what it prints, what it writes, and how it says no."""

import json
import os
import pty
import re
import select
import shlex
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from firstlight.ca.certificate import load_device_certificate
from firstlight.cli.ca import ca as ca_verb
from firstlight.cli.caoptions import authority
from firstlight.custody import write_private
from firstlight.errors import UsageError
from tests.ca import founded
from tests.inprocess import call
from tests.leaks import find_secrets

DEVICE = "esp32-a1b2c3"
_MAIN = "from firstlight.cli import main; main()"
CODE = "A901A843EFF75419AC1F0EB460E85DF153092A0547AA30F5"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a CA, line-ca, and the passphrases of its batch and its root."""
    for name, text in (("ca.pass", founded.PASSPHRASE), ("root.pass", founded.ROOT_PASSPHRASE)):
        write_private(tmp_path / name, text + "\n")
    founded.found(tmp_path / "line-ca")
    return tmp_path


def said(place: Path, *words: str, code: int = 0) -> str:
    """What `firstlight ca WORDS` prints, which holds no passphrase; code: how it must end."""
    done = call("ca", *words, cwd=place)
    assert done.returncode == code, done.stderr
    secrets = {"one": founded.PASSPHRASE, "other": founded.ROOT_PASSPHRASE}
    assert find_secrets((done.stdout + done.stderr).encode(), secrets) == []
    return done.stdout if code == 0 else done.stderr


BATCH = ("--passphrase", "file:ca.pass")
ROOT = ("--root-passphrase", "file:root.pass")


def test_a_ca_is_made_shown_and_rotated(place: Path) -> None:
    made = said(place, "init", "new-ca", "--name", "Contoso line CA", *BATCH)
    assert "the current batch is batch-1" in made
    assert "upload new-ca/root.pem, or new-ca/batch-1.pem" in made
    rotated = said(place, "rotate", "new-ca", "--batch", "autumn", "--retire-key", *BATCH)
    assert "the current batch is autumn" in rotated
    shown = said(place, "show", "new-ca")
    assert "autumn (current): CN=Contoso line CA autumn" in shown
    assert re.search(r"batch-1: CN=Contoso line CA batch-1\n(  .*\n)+  key +destroyed", shown)
    assert "warning" not in shown


def test_show_needs_no_key_and_tells_programs_the_same(place: Path) -> None:
    for key in (place / "line-ca").glob("*.key"):
        key.unlink()
    told = json.loads(said(place, "show", "line-ca", "--json"))
    root = x509.load_pem_x509_certificate(said(place, "show", "line-ca", "--pem", "root").encode())
    assert told["root"]["sha256"] == root.fingerprint(hashes.SHA256()).hex()
    assert told["root"]["sha1"] == root.fingerprint(hashes.SHA1()).hex().upper()
    assert int(told["root"]["serial"], 16) == root.serial_number
    assert (told["current"], told["batches"][0]["name"]) == ("batch-1", "batch-1")
    assert told["root"]["key"].startswith("not here; rotate, prove and revoke --batch need it")
    assert told["batches"][0]["key"] == "not here; issuing needs it"
    assert "--pem names one of root, batch-1" in said(
        place, "show", "line-ca", "--pem", "winter", code=2
    )


def test_a_device_is_issued_by_hand(place: Path) -> None:
    told = said(place, "issue", "line-ca", DEVICE, *BATCH, "--out-dir", ".")
    key, chain, csr = (place / f"{DEVICE}.{each}" for each in ("key", "chain.pem", "csr.pem"))
    assert key.stat().st_mode & 0o777 == 0o600
    found = load_device_certificate(chain.read_bytes(), key.read_bytes(), csr_pem=csr.read_bytes())
    assert found.serial in told
    assert found.fingerprint in told
    assert "PRIVATE KEY" not in told
    again = said(place, "issue", "line-ca", DEVICE, *BATCH, "--out-dir", ".", code=1)
    assert "is there already; move it away" in again


def test_a_request_is_signed_for_the_key_that_a_device_has(place: Path) -> None:
    said(place, "issue", "line-ca", DEVICE, *BATCH, "--out-dir", ".")
    words = ("issue", "line-ca", DEVICE, *BATCH, "--csr", f"{DEVICE}.csr.pem")
    said(place, *words, "--chain-out", "renewed.pem")
    key = (place / f"{DEVICE}.key").read_bytes()
    old, new = (
        load_device_certificate((place / name).read_bytes(), key)
        for name in (f"{DEVICE}.chain.pem", "renewed.pem")
    )
    assert (new.registration_id, new.serial != old.serial) == (DEVICE, True)
    assert "there is no key to write" in said(place, *words, "--key-out", "k", code=2)
    other = (*words[:2], "esp32-other", *words[3:], "--chain-out", "x.pem")
    assert "common name is not esp32-other" in said(place, *other, code=2)
    (place / "junk").write_bytes(b"junk")
    junk = (*words[:-1], "junk", "--chain-out", "x.pem")
    assert "junk is no signing request" in said(place, *junk, code=2)
    assert not (place / "x.pem").exists()


def test_a_request_that_comes_with_a_private_key_is_not_taken(place: Path) -> None:
    said(place, "issue", "line-ca", DEVICE, *BATCH, "--out-dir", ".")
    both = [(place / f"{DEVICE}.{each}").read_text() for each in ("key", "csr.pem")]
    (place / "both").write_text("".join(both))
    words = ("issue", "line-ca", DEVICE, *BATCH, "--csr", "both", "--chain-out", "x.pem")
    assert "both holds a private key, which stays with its device" in said(place, *words, code=2)


def test_of_what_is_issued_everything_is_written_or_nothing(place: Path) -> None:
    words = ("issue", "line-ca", DEVICE, *BATCH, "--out-dir", ".", "--csr-out", "no/csr.pem")
    assert "no/csr.pem cannot be written" in said(place, *words, code=1)
    assert list(place.glob(f"{DEVICE}*")) == []
    (place / "no").mkdir()
    said(place, *words)
    assert (place / "no" / "csr.pem").stat().st_mode & 0o777 == 0o644


def test_a_line_is_told_of_its_own_flag(place: Path) -> None:
    with pytest.raises(UsageError, match=r"say where that is kept \(--ca-passphrase\)"):
        authority(place / "line-ca", None, None)


def test_a_leaf_that_ends_with_its_batch_says_so(place: Path) -> None:
    days = ("--batch-days", "40", "--leaf-days", "30")
    said(place, "init", "short", "--name", "Short", *days, *BATCH)
    told = said(place, "issue", "short", DEVICE, *BATCH, "--out-dir", ".")
    assert "when its batch ends" not in told
    ledger = place / "short" / "ca.json"
    ledger.write_text(ledger.read_text().replace('"leaf_days": 30', '"leaf_days": 60'))
    assert "when its batch ends" in said(place, "issue", "short", "c", *BATCH, "--out-dir", ".")
    assert re.search("warning: leaves of batch-1 end with it, .* firstlight ca rotate short",
                     said(place, "show", "short"))  # fmt: skip


def test_revoking_says_what_really_shuts_a_device_out(place: Path) -> None:
    said(place, "issue", "line-ca", DEVICE, *BATCH, "--out-dir", ".")
    leaf = f"{DEVICE}.chain.pem"
    told = said(place, "revoke", "line-ca", "--certificate", leaf, *BATCH)
    assert f"CN={DEVICE} is revoked: line-ca/batch-1.crl.pem" in told
    assert "firstlight enroll revoke REGISTRATION_ID" in told
    told = said(place, "revoke", "line-ca", "--batch", "batch-1", *ROOT)
    assert "batch-1 is revoked: line-ca/root.crl.pem" in told
    assert "firstlight enroll disable group" in told
    again = said(place, "revoke", "line-ca", "--batch", "batch-1", *ROOT)
    assert "was revoked already; its list is new" in again
    shown = said(place, "show", "line-ca")
    assert re.search("batch-1 .current.: .* REVOKED on .*, unspecified", shown)
    assert "warning: batch-1 is revoked, and issues nothing: firstlight ca rotate" in shown
    assert "was revoked" in said(place, "issue", "line-ca", "b", *BATCH, "--out-dir", ".", code=2)


def test_a_missing_list_is_missed_and_signed_anew(place: Path) -> None:
    (place / "line-ca" / "root.crl").unlink()
    warned = said(place, "show", "line-ca")
    command = "firstlight ca revoke line-ca --renew --issuer root"
    assert command in warned
    told = said(place, *command.split()[2:], *ROOT)
    assert "line-ca/root.crl.pem: signed anew" in told
    assert "warning" not in said(place, "show", "line-ca")


def test_a_proof_is_written_with_the_lines_to_run(place: Path) -> None:
    told = said(place, "prove", "line-ca", "--code", CODE, "--out", "proof.pem", *ROOT)
    proof = x509.load_pem_x509_certificate((place / "proof.pem").read_bytes())
    assert proof.subject.rfc4514_string() == f"CN={CODE}"
    for line in ("az iot dps certificate verify", "az iot hub certificate verify"):
        assert line in told


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("init line-ca --name x --passphrase file:ca.pass", 2, "holds a CA already"),
        ("init new --name x --passphrase file:no", 2, "cannot be read from no"),
        ("init new --name x --passphrase file:short", 2, "fewer than 8 characters"),
        ("init new --name x --passphrase hunter2", 2, "must be named by where it is kept"),
        ("init new --name x", 2, "say where that is kept (--passphrase, or --root-"),
        ("init new --name x --batch A/B --passphrase file:ca.pass", 2, "is not called 'A/B'"),
        ("init new --name=" + "x" * 60 + " --passphrase file:ca.pass", 2, "1 to 56 characters"),
        ("init new --name x --leaf-days 9999 --passphrase file:ca.pass", 2, "a batch as a leaf"),
        ("init new --name x --token file:x --passphrase file:ca.pass", 2, "named by a URI"),
        ("init new --name x --root-token pkcs11:object=a;type=cert", 2, "type=private"),
        ("init new --name x --passphrase file:two-lines", 2, "has a line break"),
        ("rotate line-ca --passphrase file:ca.pass", 2, "root does not open: the passphrase is"),
        ("rotate line-ca --passphrase file:ca.pass", 2, "say where that is kept: --root-pass"),
        ("issue line-ca a --csr ca.pass --chain-out p --passphrase file:ca.pass", 2, "no signing"),
        ("issue line-ca a --chain-out p --key-out ./p", 2, "needs a name of its own"),
        ("show .", 2, "holds no CA"),
        ("show nowhere", 2, "holds no CA"),
        ("revoke line-ca", 2, "name one of --batch, --serial"),
        ("revoke line-ca --batch batch-1 --renew", 2, "name one of --batch, --serial"),
        ("revoke line-ca --serial x --passphrase file:ca.pass", 2, "is no serial number"),
        ("revoke line-ca --certificate ca.pass", 2, "is no certificate as PEM or DER"),
        ("issue line-ca a --passphrase file:root.pass --out-dir .", 2, "does not open"),
        ("issue line-ca a --passphrase file:ca.pass", 2, "say where to write"),
        ("issue line-ca A --passphrase file:ca.pass --out-dir .", 2, "did you mean a"),
        ("issue line-ca " + "a" * 65 + " --out-dir .", 2, "65 characters"),
        ("prove line-ca --code x --out p --root-passphrase file:root.pass", 2, "8 to 64 letters"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(place: Path, words: str, code: int, text: str) -> None:
    write_private(place / "short", "1234567\n")
    write_private(place / "two-lines", "1234567\n1234567\n")
    told = said(place, *words.split(" "), code=code)
    assert text in told
    assert told.count("\n") == 1
    assert not (place / "p").exists()


@pytest.mark.parametrize(
    ("second", "text"),
    [(founded.PASSPHRASE, "current batch is batch-1"), ("something else", "are not the same")],
)
def test_a_passphrase_that_is_typed_is_asked_for_twice(
    tmp_path: Path, second: str, text: str
) -> None:
    words = ["ca", "init", str(tmp_path / "ca"), "--name", "x", "--passphrase", "-"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", _MAIN, *words])
    seen, typed = b"", [founded.PASSPHRASE, second]
    while select.select([terminal], [], [], 20)[0]:
        try:
            seen += os.read(terminal, 4096)
        except OSError:  # how Linux tells the end
            break
        if typed and seen.endswith(b": "):
            os.write(terminal, typed.pop(0).encode() + b"\n")
    os.waitpid(pid, 0)
    os.close(terminal)
    assert seen.count(b"the passphrase of the batch's key") == 2
    assert text.encode() in seen
    assert (tmp_path / "ca" / "ca.json").exists() == (second == founded.PASSPHRASE)
    assert find_secrets(seen, {"what was typed": founded.PASSPHRASE}) == []


def examples(name: str) -> list[str]:
    """The lines of a verb's help that call firstlight ca, each whole."""
    whole = (ca_verb.commands[name].help or "").replace("\\\n", " ")
    return [
        line for line in map(str.strip, whole.splitlines()) if line.startswith("firstlight ca")
    ]


def test_every_verbs_examples_work_as_they_are_printed(tmp_path: Path) -> None:
    write_private(tmp_path / "ca.pass", founded.PASSPHRASE + "\n")
    order = ["init", "issue", "show", "prove", "rotate", "revoke"]
    assert set(order) == set(ca_verb.commands)
    for name in order:
        ran = 0
        for line in examples(name):
            if "--token" in line:
                continue  # wants one
            words = shlex.split(line.partition(" > ")[0].replace("CODE", CODE))
            words = ["file:ca.pass" if each == "keyring:ca/root" else each for each in words]
            said(tmp_path, *words[2:])
            ran += 1
        assert ran, name
