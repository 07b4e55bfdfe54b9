"""An X.509 identity onto a virtual board: MicroPython's own TLS proves it, over the REPL."""

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firstlight import boards, inject, roots, stage, virtual
from firstlight.ca.certificate import DeviceCertificate, device_certificate
from firstlight.errors import ProofError, UsageError
from firstlight.flash.filesystem import littlefs
from firstlight.flash.nvsimage import nvs_image
from firstlight.repl import Repl
from firstlight.tlsproof import Expected, expected
from tests.certificates import Issued, make_ca, make_csr, make_leaf, make_root
from tests.leaks import find_secrets

FILES = stage.plan(True, roots.azure_roots())
NAME = "virtual-a1b2c3d4e5f6"
ROOT = make_root()
BATCH = make_ca(make_ca(ROOT, "plant"), "batch 1")
LEAF = make_leaf(BATCH, NAME)


def given(issued: Issued, with_csr: bool = False) -> DeviceCertificate:
    """What the factory hands to a board, of a leaf."""
    csr = make_csr(issued.key, NAME) if with_csr else None
    return device_certificate([one.certificate for one in issued.path], issued.key, csr)


def document(section: dict[str, Any]) -> dict[str, Any]:
    fixed = {"version": 1, "id_scope": "0ne00111111", "registration_id": NAME}
    return {**fixed, "x509": section}


def put(repl: Repl, leaf: Issued, **other: Any) -> None:
    """An identity as it is, whatever an injection would say of it."""
    raw = json.dumps(document(given(leaf).section() | other)).encode()
    repl.write_file(inject.IDENTITY_PATH, raw)


def secrets(leaf: Issued) -> dict[str, str]:
    """The key's DER as find_secrets() wants it."""
    return {"the key": b64encode(leaf.key_der).decode()}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[virtual.VirtualBoard]:
    """A board with the firmware, on, and without an identity."""
    folder = tmp_path_factory.mktemp("proof")
    with virtual.make(folder / "board", unique_id=bytes.fromhex("a1b2c3d4e5f6")) as made:
        with Repl(made.port or "", timeout_s=5) as repl:
            for file in FILES:
                repl.write_file(file.path, file.data)
        yield made


@pytest.fixture
def repl(board: virtual.VirtualBoard) -> Iterator[Repl]:
    """The board's REPL; LEAF is its identity."""
    with Repl(board.port or "", timeout_s=5) as opened:
        put(opened, LEAF)
        yield opened


def test_an_injected_board_proves_its_certificate_and_nothing_shows_its_key(
    board: virtual.VirtualBoard, repl: Repl
) -> None:
    repl.remove(inject.IDENTITY_PATH)
    lines: list[str] = []
    done = inject.inject(
        repl, document(given(LEAF, with_csr=True).section()), FILES, lines.append, ROOT.der
    )
    assert done == inject.Injected(NAME, (inject.IDENTITY_PATH,))
    assert "proof: the board shook hands over TLS with its certificate" in lines
    inject.prove(repl, expected(LEAF.chain_ders, ROOT.der))
    assert find_secrets("\n".join(lines).encode() + bytes(board.console), secrets(LEAF)) == []
    assert find_secrets(repl.exec("print(open('/identity.json').read())"), secrets(LEAF))
    assert "identity.next" not in repl.list_folder("/")


def test_what_is_known_later_is_the_fingerprint_and_the_root_alone(repl: Repl) -> None:
    inject.prove(repl, Expected(given(LEAF).fingerprint, (ROOT.der,)))


def test_an_rsa_key_proves_itself_too(repl: Repl) -> None:
    leaf = make_leaf(BATCH, NAME, key="rsa")
    put(repl, leaf)
    inject.prove(repl, expected(leaf.chain_ders, ROOT.der))


def test_a_certificate_signed_by_itself_is_its_own_anchor(repl: Repl) -> None:
    leaf = make_leaf(None, NAME)
    inject.inject(repl, document(given(leaf).section()), FILES, lambda _: None)
    inject.prove(repl, expected([leaf.der], None))


STRANGER = make_leaf(BATCH, NAME)
CHAIN = given(LEAF).section()["chain"]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"key": given(STRANGER).section()["key"]}, "does not hold its certificate's key"),
        ({"chain": CHAIN[:2]}, "does not lead to the CA"),
        ({"chain": [CHAIN[0], CHAIN[2], CHAIN[1]]}, "not in order"),
        (given(STRANGER).section(), "another certificate than it was given"),
        ({"key": b64encode(bytes(121)).decode()}, r"\(ValueError\): its TLS does not take the"),
        ({"chain": [b64encode(bytes(300)).decode()]}, "could not use its certificate"),
    ],
)
def test_a_board_that_holds_something_else_does_not_pass(
    repl: Repl, other: dict[str, Any], told: str
) -> None:
    put(repl, LEAF, **other)
    with pytest.raises(ProofError, match=told):
        inject.prove(repl, expected(LEAF.chain_ders, ROOT.der))


def test_a_board_of_another_root_or_of_a_key_or_of_nothing_does_not_pass(repl: Repl) -> None:
    with pytest.raises(ProofError, match="does not lead to the CA"):
        inject.prove(repl, expected(LEAF.chain_ders, make_root("Another").der))
    fixed = {key: value for key, value in document({}).items() if key != "x509"}
    pair = {"primary": b64encode(bytes(32)).decode()}
    keyed = json.dumps(fixed | {"symmetric_key": pair}).encode()
    repl.write_file(inject.IDENTITY_PATH, keyed)
    with pytest.raises(ProofError, match="could not use its certificate"):
        inject.prove(repl, expected(LEAF.chain_ders, ROOT.der))
    repl.remove(inject.IDENTITY_PATH)
    with pytest.raises(ProofError, match=r"could not use its certificate \(OSError\)"):
        inject.prove(repl, expected(LEAF.chain_ders, ROOT.der))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("print('MTIz' * 99)", "is not a handshake"),
        ("print('?')", "is not a handshake"),
        ("raise SystemExit", "does not finish the handshake"),
        ("context.verify_mode = 0", "does not hold its certificate's key"),  # none is shown
        ("bytearray(1 << 40)", "MemoryError.: there is not enough memory; take a shorter chain"),
        ("import nothing", "ImportError.: its firmware or its MicroPython lacks something"),
    ],
)
def test_firmware_that_does_something_else_does_not_pass(repl: Repl, code: str, told: str) -> None:
    repl.write_file("/certificate.py", f"def load(context, x509): {code}\n".encode())
    try:
        with pytest.raises(ProofError, match=told):
            inject.prove(repl, expected(LEAF.chain_ders, ROOT.der))
    finally:
        repl.remove("/certificate.py")
    inject.prove(repl, expected(LEAF.chain_ders, ROOT.der))


def test_a_proof_that_fails_leaves_the_identity_and_what_was_issued_to_it(repl: Repl) -> None:
    repl.exec("import board, os\nboard.save('cert', b'1')\nos.mkdir('/cert7')")
    section = given(STRANGER).section()
    with pytest.raises(ProofError):
        inject.inject(repl, document(section), FILES, lambda _: None, make_root("Another").der)
    assert repl.exec("print(board.load('cert'))").strip() == b"b'1'"
    inject.prove(repl, expected(LEAF.chain_ders, ROOT.der))
    inject.inject(repl, document(section), FILES, lambda _: None, ROOT.der)
    assert repl.exec("print(board.load('cert'))").strip() == b"None"
    assert "cert7" not in repl.list_folder("/")
    inject.prove(repl, expected(STRANGER.chain_ders, ROOT.der))


BELOW_ANOTHER = make_leaf(BATCH, "another-name")


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (given(BELOW_ANOTHER).section(), "is of another-name, and DPS wants its common name"),
        ({"key": given(STRANGER).section()["key"]}, "the key is not that of the leaf"),
        ({"chain": [CHAIN[0], CHAIN[2]]}, "certificate 1 of the chain is not issued by"),
        ({"chain": []}, "x509.chain must be a list"),
        ({"chain": [b64encode(b"no DER").decode()]}, "what is no certificate"),
        ({"key": b64encode(b"no DER").decode()}, "not a private key as DER"),
        ({"csr": b64encode(b"no DER").decode()}, "or no signing request"),
        ({"csr": given(STRANGER, with_csr=True).section()["csr"]}, "not by the key of the leaf"),
        ({"csr": "x"}, "x509.csr is not base64"),
    ],
)
def test_what_does_not_belong_together_is_refused_before_a_board_is_asked(
    section: dict[str, Any], told: str
) -> None:
    nobody: Any = None
    with pytest.raises(UsageError, match=told):
        inject.inject(
            nobody, document(given(LEAF).section() | section), FILES, lambda _: None, ROOT.der
        )


def test_an_identity_in_nvs_proves_itself_there(tmp_path: Path) -> None:
    leaf = make_leaf(BATCH, NAME)
    raw = inject.checked(document(given(leaf, with_csr=True).section()))
    assert 1500 < len(raw) < 4000
    board = virtual.make(tmp_path / "board")
    (board.folder / "nvs.img").write_bytes(nvs_image(raw, 0x6000))
    flash = board.folder / "flash.img"
    flash.write_bytes(littlefs(boards.load("VIRTUAL"), FILES, flash.stat().st_size))
    with board, Repl(board.port or "") as repl:
        inject.prove(repl, expected(leaf.chain_ders, ROOT.der), inject.IN_NVS)
        with pytest.raises(ProofError):
            inject.prove(repl, expected(LEAF.chain_ders, ROOT.der), inject.IN_NVS)
