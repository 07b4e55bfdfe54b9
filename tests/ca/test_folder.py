"""ca/folder.py and founding.py: a folder that is copied, damaged, changed by two, cut off."""

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from firstlight.ca import ledger, making, revoking, telling
from firstlight.ca.authority import utc_now
from firstlight.ca.folder import Folder
from firstlight.ca.ledger import sha256_of
from firstlight.ca.revoking import Target
from firstlight.errors import ToolError, UsageError
from tests.ca import founded
from tests.leaks import find_secrets

ROOT = Path(__file__).parents[2]


def test_keys_are_for_their_owner_alone_and_nothing_lies_open(folder: Folder) -> None:
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.path.iterdir()}
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    public = "ca.json root.pem root.crl root.crl.pem batch-1.pem batch-1.crl batch-1.crl.pem"
    shown = {name: mode for name, mode in modes.items() if mode & 0o077}
    assert shown == dict.fromkeys(public.split(), 0o644)
    assert {"root.key", "batch-1.key"} < set(modes)
    said = {"one": founded.PASSPHRASE, "other": founded.ROOT_PASSPHRASE}
    assert find_secrets(folder.path, said) == []
    for each in folder.path.glob("*.key"):
        assert each.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")


def test_root_and_batch_open_with_their_own_passphrases(folder: Folder) -> None:
    swapped = founded.secrets(founded.ROOT_PASSPHRASE, founded.PASSPHRASE)
    with pytest.raises(UsageError, match="the key of root does not open"):
        revoking.renew(folder, "root", swapped, utc_now())
    with pytest.raises(UsageError, match="the key of batch-1 does not open"):
        revoking.renew(folder, None, swapped, utc_now())


def test_a_new_batch_is_the_current_one_and_the_old_one_is_kept(folder: Folder) -> None:
    first = founded.opened(folder.path)
    founded.rotated(folder, "autumn")
    assert founded.opened(folder.path).name == "autumn"
    assert founded.opened(folder.path, "batch-1").issuer == first.issuer
    assert founded.opened(folder.path).fingerprint == first.fingerprint
    with pytest.raises(UsageError, match="has had a batch autumn already"):
        founded.rotated(folder, "autumn")
    founded.rotated(folder)
    assert founded.opened(folder.path).name == "batch-3"


def test_a_retired_key_is_gone_and_its_certificate_is_not(folder: Folder) -> None:
    founded.rotated(folder, retire=True)
    assert not folder.key_path("batch-1").exists()
    with pytest.raises(UsageError, match="batch-1 was destroyed: it signs nothing"):
        founded.opened(folder.path, "batch-1")
    assert folder.certificate(folder.ledger().batch("batch-1"))


def test_a_folder_with_a_ca_or_with_other_things_is_left_alone(
    folder: Folder, tmp_path: Path
) -> None:
    before = {each: each.read_bytes() for each in folder.path.iterdir()}
    with pytest.raises(UsageError, match=r"holds a CA already; name another folder"):
        founded.found(folder.path)
    assert {each: each.read_bytes() for each in folder.path.iterdir()} == before
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="holds other things; name a new or an empty folder"):
        founded.found(tmp_path)
    (folder.path / "ca.json").unlink()  # lost: what is left may be all that there is of a CA
    with pytest.raises(UsageError, match="holds other things"):
        founded.found(folder.path)
    with pytest.raises(UsageError, match="cannot be made"):
        founded.found(tmp_path / "no" / "such" / "folder")


def test_a_folder_without_a_ca_is_not_touched(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no CA"):
        founded.rotated(Folder(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_looked_into_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, text in (("file/ca", "Not a directory"), ("x" * 300, "File name too long")):
        with pytest.raises(UsageError, match=f"{place} cannot be read: {text}"):
            Folder(tmp_path / place).ledger()


def test_what_is_missing_or_damaged_is_named(folder: Folder, tmp_path: Path) -> None:
    another = founded.found(tmp_path / "another").path
    for name, content, text in (
        ("ca.json", None, "holds no CA .no ca.json.; make one: firstlight ca init"),
        ("ca.json", b"{", r"ca.json is damaged: .*; put it back from a copy"),
        ("ca.json", b"\xff" * 99, r"ca.json is damaged"),
        ("root.pem", None, "root.pem is missing; put it back"),
        ("root.pem", b"nothing", "root.pem is no certificate"),
        ("root.pem", (another / "root.pem").read_bytes(), "another certificate than ca.json says"),
        ("batch-1.pem", (folder.path / "root.pem").read_bytes(), "another certificate than"),
        ("batch-1.key", None, "the key of batch-1 is not in"),
        ("batch-1.key", b"", "does not open"),
        ("batch-1.key", b"x" * 99999, "does not open"),
        ("batch-1.key", (another / "batch-1.key").read_bytes(), "not that of its certificate"),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(folder.path, copy)
        (copy / name).unlink()
        if content is not None:
            (copy / name).write_bytes(content)
            (copy / name).chmod(0o600)
        with pytest.raises(UsageError, match=text):
            founded.opened(copy)
        shutil.rmtree(copy)


def test_a_batch_of_another_root_is_refused_even_if_the_ledger_says_so(
    folder: Folder, tmp_path: Path
) -> None:
    another = founded.found(tmp_path / "another")
    for name in ("batch-1.pem", "batch-1.key"):
        shutil.copy(another.path / name, folder.path / name)
    text = json.loads((folder.path / "ca.json").read_text())
    text["members"]["batch-1"] = json.loads((another.path / "ca.json").read_text())["members"][
        "batch-1"
    ]
    (folder.path / "ca.json").write_text(json.dumps(text))
    with pytest.raises(UsageError, match="is no CA that the root has issued"):
        founded.opened(folder.path)


def test_a_leaf_is_no_root_and_no_batch(folder: Folder) -> None:
    key = making.new_ca_key("ec")
    leaf = making.leaf(
        making.Issuer(making.root(key, "x", utc_now(), founded.NOW.replace(year=2040)), key),
        key.public_key(), "x", utc_now(), founded.NOW.replace(year=2040),
    )  # fmt: skip
    text = json.loads((folder.path / "ca.json").read_text())
    text["members"]["root"]["fingerprint"] = sha256_of(leaf)
    (folder.path / "ca.json").write_text(json.dumps(text))
    (folder.path / "root.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    with pytest.raises(UsageError, match="is no root: not a CA"):
        founded.opened(folder.path)


def test_what_others_may_read_or_write_is_refused(folder: Folder) -> None:
    folder.key_path("batch-1").chmod(0o640)
    with pytest.raises(UsageError, match=r"holds a CA's key, but others .* chmod 600"):
        founded.opened(folder.path)
    folder.key_path("batch-1").chmod(0o600)
    folder.path.chmod(0o770)
    with pytest.raises(UsageError, match=r"may write into .* chmod -R go-w"):
        founded.opened(folder.path)
    folder.path.chmod(0o755)  # may look at what is public
    assert founded.opened(folder.path)
    (folder.path / "ca.json").chmod(0o666)
    with pytest.raises(UsageError, match=r"may write into .* chmod -R go-w"):
        founded.opened(folder.path)


@pytest.mark.parametrize("name", ["", "ca.json"])
def test_what_another_user_could_change_is_not_read(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The ledger names the library that a token's key is used by: this would run theirs."""
    if os.geteuid() == 0:
        os.chown(folder.path / name, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UsageError, match="belongs to another user, who may change what this CA"):
        founded.opened(folder.path)


def test_no_ca_is_made_in_another_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UsageError, match="belongs to another user"):
        founded.found(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["ca.json", "root.pem", "batch-1.pem", "batch-1.key"])
def test_a_pipe_in_a_files_place_is_not_waited_for(folder: Folder, name: str) -> None:
    (folder.path / name).unlink()
    os.mkfifo(folder.path / name, 0o600)
    with pytest.raises(UsageError, match=f"{name} is not a file"):
        founded.opened(folder.path)


def test_a_lock_that_leads_elsewhere_makes_no_file_there(folder: Folder, tmp_path: Path) -> None:
    (folder.path / ".lock").unlink()
    (folder.path / ".lock").symlink_to(tmp_path / "planted")
    with pytest.raises(UsageError, match="cannot be written into"):
        founded.rotated(folder)
    assert not (tmp_path / "planted").exists()


def test_a_ca_that_is_full_says_so_and_stays_readable(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_MOST_REVOKED", 2)
    for serial in (1, 2):
        revoking.revoke(folder, Target("batch-1", serial, ""), "superseded",
                        founded.secrets(), utc_now())  # fmt: skip
    with pytest.raises(UsageError, match=r"no room for this: batch-1.revoked has more than 2"):
        revoking.revoke(folder, Target("batch-1", 3, ""), "superseded",
                        founded.secrets(), utc_now())  # fmt: skip
    assert len(folder.ledger().batch(None).revoked) == 2


def test_a_name_that_would_write_over_the_screen_is_not_shown(folder: Folder) -> None:
    key = making.new_ca_key("ec")
    odd = making.root(key, "x\x1b[2J", utc_now(), founded.NOW.replace(year=2040))
    text = json.loads((folder.path / "ca.json").read_text())
    text["members"]["root"]["fingerprint"] = sha256_of(odd)
    (folder.path / "ca.json").write_text(json.dumps(text))
    (folder.path / "root.pem").write_bytes(odd.public_bytes(Encoding.PEM))
    with pytest.raises(UsageError, match=r"root.pem has a name with characters that cannot be"):
        telling.described(folder, utc_now())


def test_two_that_change_a_folder_at_once_do_not_undo_each_other(folder: Folder) -> None:
    lock = os.open(folder.path / ".lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ToolError, match="another process is changing the CA") as caught:
            founded.rotated(folder)
        assert caught.value.exit_code == 1
        assert founded.opened(folder.path).issue("esp32-a1b2c3")  # which changes nothing
    finally:
        os.close(lock)
    founded.rotated(folder)


def test_an_interrupted_init_says_so_and_is_done_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "ca")
    folder.begin()
    with folder.changing(is_new=True):
        folder.mark_begun()
        folder.put_key("root", b"half of something")
    with pytest.raises(UsageError, match="was interrupted before it was one; do it again"):
        folder.ledger()
    assert founded.opened(founded.found(folder.path).path)
    assert not (folder.path / ".init").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and kills at system calls")
def test_a_process_that_is_killed_at_any_point_leaves_a_ca_that_works(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.ca.killed", str(tmp_path)]
    paths = os.pathsep.join(str(ROOT / each) for each in ("", "host_tools", "firmware"))
    done = subprocess.run(
        words, cwd=ROOT, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each for each in told if each["wrong"]] == []
    for verb in ("init", "rotate", "revoke"):
        ends = [each["end"] for each in told if each["verb"] == verb]
        assert ends == [-signal.SIGKILL] * (len(ends) - 1) + [0]
        assert len(ends) > 10
