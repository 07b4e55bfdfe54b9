"""`firstlight roots` and `inject --roots-key`, as their user sees them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from firstlight import rootbundle
from firstlight.cli import identity, inject
from tests import inprocess

FIRSTLIGHT = [sys.executable, "-c", "from firstlight.cli import main; main()"]


def call(*words: Any, **env: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own only where it is given more than words."""
    if not env:
        return inprocess.call("roots", *words)
    return subprocess.run(
        [*FIRSTLIGHT, "roots", *map(str, words)],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(code: int, text: str, *words: Any, **env: str) -> None:
    done = call(*words, **env)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert text in done.stderr
    assert done.stderr.startswith("firstlight: ")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "roots.key"
    path.touch(0o600)
    path.write_text(rootbundle.make_key())
    (tmp_path / "roots.key.pub").write_text(
        rootbundle.public_pem(rootbundle.public_key(path.read_text()))
    )
    return path


def test_a_new_key_is_its_owners_alone_and_is_not_printed(tmp_path: Path) -> None:
    path = tmp_path / "roots.key"
    done = call("key", "--out", path)
    assert done.returncode == 0, done.stderr
    pem, public = path.read_text(), (tmp_path / "roots.key.pub").read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert rootbundle.public_key(public) == rootbundle.private_key(pem).public_key()
    assert rootbundle.modulus_b64(rootbundle.public_key(pem)) in done.stdout
    assert rootbundle.fingerprint(rootbundle.public_key(pem)) in done.stdout
    assert not any(line in done.stdout + done.stderr for line in pem.split("\n")[1:-2])


def test_a_key_that_is_there_is_not_written_over(key: Path, tmp_path: Path) -> None:
    before = key.read_text()
    refused(1, "roots.key.pub is there already", "key", "--out", key)
    (tmp_path / "roots.key.pub").unlink()
    refused(1, "roots.key is there already", "key", "--out", key)
    assert key.read_text() == before
    assert not (tmp_path / "roots.key.pub").exists()


def test_a_bundle_is_signed_shown_and_checked(key: Path, tmp_path: Path) -> None:
    own, new = tmp_path / "own.pem", tmp_path / "new.json"
    trustme.CA().cert_pem.write_to_path(own)
    words = ["sign", "--key", f"file:{key}", "--version", 7, "--azure", "--root", own]
    done = call(*words, "--out", new)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(json.loads(new.read_text())["roots"]) == 3
    for half in (key, f"{key}.pub"):
        shown = call("show", new, "--roots-key", half)
        assert shown.returncode == 0, shown.stderr
        lines = shown.stdout.splitlines()
        assert lines[0].startswith("version 7, signed by ")
        assert "cb3ccbb76031e5e0" in lines[1]
        assert "CN=DigiCert Global Root G2" in lines[1]
        assert "until 2042-07-18" in lines[2]
        assert len(lines) == 4
    refused(1, "there already", *words, "--out", new)


def test_a_bundle_for_a_twin_goes_to_the_screen(key: Path) -> None:
    words = ["sign", "--key", "env:K", "--version", 1, "--azure", "--twin"]
    done = call(*words, K=key.read_text())
    assert done.returncode == 0, done.stderr
    section = json.loads(done.stdout)["firstlight"]
    assert section["__t"] == "c"
    assert rootbundle.parse(section["roots"]).version == 1


def test_a_bundle_of_another_key_or_changed_is_told(key: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.json"
    call("sign", "--key", f"file:{key}", "--version", 1, "--azure", "--out", new)
    other = tmp_path / "other.pem"
    other.write_text(rootbundle.make_key())
    refused(2, "is not signed by the key", "show", new, "--roots-key", other)
    new.write_text(new.read_text().replace('"version": 1', '"version": 2'))
    refused(2, "is not signed by the key", "show", new, "--roots-key", key)
    for text, why in (("{", "is not JSON"), ("{}", "JSON object with"), ("é", "not text")):
        new.write_text(text, encoding="utf-8")
        refused(2, why, "show", new, "--roots-key", key)
    new.write_text("[" * 60000)
    refused(2, "is not JSON", "show", new, "--roots-key", key)
    new.write_text(" " * 70000)
    refused(2, "too long to be a bundle", "show", new, "--roots-key", key)


def test_wrong_input_gets_one_sentence(key: Path, tmp_path: Path) -> None:
    sign = ["sign", "--version", 1]
    refused(2, "name the roots", *sign, "--key", f"file:{key}")
    refused(2, "does not belong on a command line", *sign, "--azure", "--key", key)
    refused(2, "No such file", *sign, "--azure", "--key", f"file:{key}.none")
    refused(2, "not a private key as PEM", *sign, "--azure", "--key", "env:K", K="a key?")
    leaf = tmp_path / "leaf.pem"
    trustme.CA().issue_cert("localhost").cert_chain_pems[0].write_to_path(leaf)
    refused(2, "is not a CA's", *sign, "--key", f"file:{key}", "--root", leaf)
    key.chmod(0o644)
    refused(2, "chmod 600", *sign, "--azure", "--key", f"file:{key}")


def wishes(**given: Any) -> dict[str, Any]:
    names = {param.name for param in inject.inject.params}
    return dict.fromkeys(names) | {"id_scope": "0ne1", "wifi": (), "ntp": ()} | given


def test_the_identity_holds_the_public_half_and_only_if_it_is_asked_for(key: Path) -> None:
    held = identity.document_from(wishes(roots_key=key))["roots_key"]
    assert held == rootbundle.modulus_b64(rootbundle.public_key(key.read_text()))
    assert identity.document_from(wishes(roots_key=Path(f"{key}.pub")))["roots_key"] == held
    assert "roots_key" not in identity.document_from(wishes())
