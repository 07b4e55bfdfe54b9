"""`firstlight inject` and `flash` with a certificate, of a CA or made by hand; what is refused."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from firstlight import boards, virtual
from firstlight.ca import seal
from firstlight.cli import contents, firstlight
from firstlight.custody import write_private
from firstlight.errors import ProofError, UsageError
from firstlight.flash import esptool
from firstlight.flash.pieces import Piece
from firstlight.inject import checked, prove
from firstlight.repl import Repl
from firstlight.tlsproof import expected
from tests.certificates import Issued, make_ca, make_csr, make_leaf, make_root
from tests.flash.imagery import genuine_esp32

PASSPHRASE, KEY_PASSPHRASE = "of a batch, and long enough", "of a key made by hand"
FIXED = ["--id-scope", "0ne00111111"]
NAME = "virtual-0a0b0c0f"
ROOT = make_root()
BATCH = make_ca(ROOT, "batch 1")
LEAF = make_leaf(BATCH, "lamp-1")


@dataclass(frozen=True)
class Bench:
    """A board, and a folder with what its owner has."""

    port: str
    folder: Path

    def inject(self, *words: str | Path) -> Result:
        fixed = ["inject", "VIRTUAL", "--port", self.port, *FIXED, "--no-reset"]
        return CliRunner().invoke(firstlight, [*fixed, *map(str, words)])

    def by_hand(self, *more: str | Path) -> list[str | Path]:
        key = f"file:{self.folder}/lamp.key"
        return ["--certificate", self.folder / "lamp.pem", "--certificate-key", key, *more]

    def keep(self, name: str, leaf: Issued) -> list[str | Path]:
        """Files for a leaf made by hand, and the words that name them."""
        chain, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        chain.write_text(leaf.chain_pem)
        key.unlink(missing_ok=True)
        write_private(key, leaf.key_pem)
        return ["--certificate", chain, "--certificate-key", f"file:{key}"]

    def held(self) -> dict[str, Any]:
        with Repl(self.port) as repl:
            found = json.loads(repl.exec("print(open('/identity.json').read())"))
        assert isinstance(found, dict)
        return found


def pem(csr: x509.CertificateSigningRequest) -> bytes:
    return csr.public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("certificates")
    write_private(folder / "lamp.key", LEAF.key_pem)
    sealed = LEAF.key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(KEY_PASSPHRASE.encode())
    )
    write_private(folder / "sealed.key", sealed.decode())
    for name, text in (("key.pass", KEY_PASSPHRASE), ("ca.pass", PASSPHRASE)):
        write_private(folder / name, text + "\n")
    (folder / "lamp.pem").write_text(LEAF.chain_pem + ROOT.pem)
    (folder / "lamp.csr").write_bytes(pem(make_csr(LEAF.key, "lamp-1")))
    (folder / "other.csr").write_bytes(pem(make_csr(BATCH.key, "lamp-1")))
    words = ["ca", "init", str(folder / "plant"), "--name", "Plant"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(seal, "_N", 16)  # what makes a passphrase slow to guess, and tests slow
        made = CliRunner().invoke(firstlight, [*words, "--passphrase", f"file:{folder}/ca.pass"])
    assert made.exit_code == 0, made.output
    unit = virtual.make(folder / "board", unique_id=bytes.fromhex("0a0b0c0f"))
    with unit as board:
        yield Bench(board.port or "", folder)


def shows(done: Result, leaf_der: bytes) -> None:
    """The output says which certificate it is, for who may have to revoke it."""
    leaf = x509.load_der_x509_certificate(leaf_der)
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"{leaf.serial_number:x}, good until {leaf.not_valid_after_utc.date()}" in done.output
    assert f"its SHA-256 is {sha256(leaf_der).hexdigest()}" in done.output
    assert "injected and proven" in done.output


@pytest.mark.parametrize("key", ["lamp.key", "sealed.key"])
def test_a_certificate_made_by_hand_gives_the_board_its_name(bench: Bench, key: str) -> None:
    words = bench.by_hand("--csr", bench.folder / "lamp.csr")
    words[3] = f"file:{bench.folder}/{key}"
    sealed = ["--certificate-passphrase", f"file:{bench.folder}/key.pass"]
    done = bench.inject(*words, *(sealed if key == "sealed.key" else ()))
    shows(done, LEAF.der)
    found = bench.held()
    assert found["registration_id"] == "lamp-1"
    assert tuple(map(b64decode, found["x509"]["chain"])) == LEAF.chain_ders  # without the root
    assert b64decode(found["x509"]["key"]) == LEAF.key_der
    assert "csr" in found["x509"]


def test_a_ca_makes_a_certificate_for_the_chip_and_another_the_next_time(bench: Bench) -> None:
    words: list[str | Path] = [
        "--ca",
        bench.folder / "plant",
        "--ca-passphrase",
        f"file:{bench.folder}/ca.pass",
    ]
    root = x509.load_pem_x509_certificate((bench.folder / "plant" / "root.pem").read_bytes())
    leaves = []
    for name in (NAME, "lamp-2"):
        more = [] if name == NAME else ["--registration-id", name, "--batch", "batch-1"]
        done = bench.inject(*words, *more)
        found = bench.held()
        chain = [b64decode(one) for one in found["x509"]["chain"]]
        shows(done, chain[0])
        assert found["registration_id"] == name
        assert "csr" in found["x509"]
        with Repl(bench.port) as repl:
            prove(repl, expected(chain, root.public_bytes(Encoding.DER)))
        leaves.append(chain[0])
    assert leaves[0] != leaves[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name either --group-key, --device-key, --ca or --certificate"),
        (["{hand}", "--group-key", "env:K"], "name either --group-key, --device-key, --ca or"),
        (["--ca", "{}/plant", "--device-key", "env:K"], "name either"),
        (["{hand}", "--batch", "batch-1"], "--batch goes with --ca, not with --certificate"),
        (["--group-key", "env:K", "--csr", "{}/lamp.csr"], "--csr goes with --certificate, not"),
        (["--device-key", "env:K", "--certificate-key", "env:K"], "goes with --certificate"),
        (["--device-key", "env:K", "--secondary-group-key", "env:K"], "goes with --group-key"),
        (["--certificate", "{}/lamp.pem"], "a --certificate needs its --certificate-key"),
        (["--certificate", "{}/lamp.pem", "--certificate-key", "-"], "name a file that is yours"),
        (["{hand}", "--registration-id", "lamp-2"], "the certificate is of lamp-1, and DPS wants"),
        (["{hand}", "--csr", "{}/other.csr"], "is not by the key of the leaf"),
        (["{hand}", "--csr", "{}/lamp.pem"], "the signing request is not PEM"),
        (["--certificate", "{}/lamp.key", "--certificate-key", "file:{}/lamp.key"], "no certific"),
        (["--certificate", "{}/lamp.pem", "--certificate-key", "file:{}/lamp.pem"], "others than"),
        (["--certificate", "{}/lamp.pem", "--certificate-key", "file:{}/sealed.key"], "encrypted"),
        (["--ca", "{}/plant"], "passphrase"),
        (["--ca", "{}", "--ca-passphrase", "file:{}/ca.pass"], "holds no CA"),
        (["--ca", "{}/plant", "--ca-passphrase", "file:{}/key.pass"], "passphrase"),
        (["--ca", "{}/plant", "--ca-passphrase", "file:{}/ca.pass", "--batch", "b9"], "b9"),
    ],
)
def test_what_does_not_go_together_is_told_before_a_board_is_asked(
    bench: Bench, words: list[str], told: str
) -> None:
    said: list[str | Path] = []
    for word in words:
        said += bench.by_hand() if word == "{hand}" else [word.replace("{}", str(bench.folder))]
    fixed = ["inject", "VIRTUAL", "--port", "/dev/none", *FIXED]
    done = CliRunner().invoke(firstlight, [*fixed, *map(str, said)])
    assert isinstance(done.exception, UsageError), (done.output, done.exception)
    assert told in str(done.exception)


@pytest.mark.parametrize(("since_days", "days"), [(-9, -2), (2, 9)])
def test_a_certificate_out_of_its_time_is_told_before_a_board_is_asked(
    bench: Bench, since_days: int, days: int
) -> None:
    leaf = make_leaf(BATCH, "lamp-3", since_days=since_days, days=days)
    done = replace(bench, port="/dev/none").inject(*bench.keep("lamp-3", leaf))
    assert isinstance(done.exception, UsageError)
    assert "certificate 1 of the chain is good from 2" in str(done.exception)
    assert "this PC's clock says 2" in str(done.exception)


def test_of_an_injection_that_fails_the_certificate_is_told_and_no_key_stays(bench: Bench) -> None:
    leaf = make_leaf(BATCH, "lamp-3", extended=[ExtendedKeyUsageOID.SERVER_AUTH])
    done = bench.inject(*bench.keep("lamp-3", leaf))
    assert isinstance(done.exception, ProofError)
    assert "is not one of a client" in str(done.exception)
    assert f"certificate {leaf.certificate.serial_number:x}, good until" in done.output
    with Repl(bench.port) as repl:
        held = repl.hashes(["/identity.next", "/identity.next.new"])
        assert list(held.values()) == ["", ""]
        assert b"lamp-3" not in repl.exec(
            "try: print(open('/identity.json').read())\nexcept OSError: pass"
        )


def test_an_identity_that_is_too_long_is_told_its_length_and_what_to_leave_out() -> None:
    pair = {"primary": b64encode(bytes(32)).decode()}
    whole = {"version": 1, "id_scope": "0ne", "registration_id": "lamp-1", "symmetric_key": pair}
    room = 8192 - len(checked(whole | {"payload": {"a": ""}}))
    assert len(checked(whole | {"payload": {"a": "x" * room}})) == 8192
    with pytest.raises(UsageError, match="has 8193 bytes, and a board takes 8192: leave networks"):
        checked(whole | {"payload": {"a": "x" * (room + 1)}})


def test_an_esp32_is_flashed_with_its_certificate(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Piece] = []
    monkeypatch.setattr(esptool, "chip", lambda *_: esptool.Chip(bytes(6), 4 << 20))
    monkeypatch.setattr(esptool, "write", lambda _, port, pieces, **__: written.extend(pieces))
    monkeypatch.setattr(contents, "version", lambda *_: None)
    words = ["--port", "x", "--image", str(genuine_esp32()), "--bare", "--erase", "--nvs", *FIXED]
    verb = ["flash", boards.load("ESP32_GENERIC").id, *words]
    done = CliRunner().invoke(firstlight, [*verb, *map(str, bench.by_hand())])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "lamp-1: its identity goes into NVS, and is not proven" in done.output
    assert f"{LEAF.certificate.serial_number:x}, good until" in done.output
    nvs = b"".join(piece.data for piece in written)
    assert nvs.count(b'"registration_id": "lamp-1"') == 1
    rsa = _too_long(bench)
    done = CliRunner().invoke(firstlight, [*verb, *rsa])
    assert isinstance(done.exception, UsageError)
    assert "at most 4000 can be flashed with the image" in str(done.exception)
    assert "a CSR out" in str(done.exception)


def _too_long(bench: Bench) -> list[str]:
    """An RSA leaf below two CAs: more than an NVS blob takes."""
    leaf: Issued = make_leaf(make_ca(BATCH, "line 1", key="rsa"), "lamp-4", key="rsa")
    (bench.folder / "rsa.csr").write_bytes(pem(make_csr(leaf.key, "lamp-4")))
    return [*map(str, bench.keep("rsa", leaf)), "--csr", f"{bench.folder}/rsa.csr"]
