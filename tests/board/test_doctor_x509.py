"""`firstlight doctor` on a real virtual board with a certificate, at a local Azure.

What it asks of DPS goes through the board's own TLS, carried over its REPL.
"""

import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding

from firstlight.azurecalls import parse_connection
from firstlight.azurehub import Registry
from firstlight.cli.doctor import doctor
from firstlight.doctor import probes, relay
from firstlight.doctor.examine import Wishes, examine
from firstlight.doctor.findings import Findings
from firstlight.doctor.table import rows
from firstlight.doctor.verdict import judge
from firstlight.emulator.running import RunningAzure
from firstlight.repl import Repl
from tests.board.ward import azure
from tests.certificates import Issued, make_ca, make_csr, make_leaf, make_root
from tests.e2e.bench import NAME, WIFI, Bench

__all__ = ("azure",)  # a fixture


class Ward:
    """One board by certificate, which works, and its bed. Nothing is reset but where asked for."""

    def __init__(self, folder: Path, azure: RunningAzure) -> None:
        self.azure = azure
        self.root = make_root("Ward Root")
        self.batch = make_ca(self.root, "Ward Batch")
        self.unit = make_leaf(self.batch, NAME, days=3650)
        azure.add_ca("ward", self.root.pem)
        azure.enroll_x509_group("line-x", self.batch.pem)
        self.bench = Bench(folder, azure)
        self.bench.tune(speed=50)
        self.bench.give(self.document(self.unit))
        self.board = self.bench.board

    def document(self, issued: Issued, *chain: bytes, **more: Any) -> dict[str, Any]:
        """An identity by certificate. chain: what it shows, if not what was issued."""
        found = self.bench.document("", https_port=self.azure.https_port)
        del found["symmetric_key"]
        return found | {"x509": section(issued, *chain)} | more

    @property
    def port(self) -> str:
        return self.board.port or ""

    def look(self, **wishes: Any) -> Findings:
        usual = {"listen_s": 0, "reset": False, "ask_dps": False, "join": False}
        return examine(self.port, Wishes(**(usual | wishes)), lambda _: None)

    def clock_at(self, then: str = "") -> int:
        """What its clock shows, Unix seconds, before it does something more."""
        with Repl(self.port) as repl:
            return int(repl.exec("import board\nprint(board.unix_time())\n" + then))

    def has(self, document: dict[str, Any]) -> None:
        with Repl(self.port) as repl:
            repl.write_file("/identity.json", json.dumps(document).encode())

    def says(self, document: dict[str, Any] | None = None, **wishes: Any) -> str:
        """The verdict, with another identity for as long as it takes."""
        if document is not None:
            self.has(document)
        try:
            return judge(self.look(**wishes)).sentence
        finally:
            if document is not None:
                self.has(self.document(self.unit))


def section(issued: Issued, *chain: bytes) -> dict[str, Any]:
    return {
        "chain": [b64(der) for der in chain or issued.chain_ders],
        "key": b64(issued.key_der),
    }


def b64(raw: bytes) -> str:
    return b64encode(raw).decode()


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory, azure: RunningAzure) -> Iterator[Ward]:
    made = Ward(tmp_path_factory.mktemp("ward") / "board", azure)
    with made.board:
        azure.wait_for_telemetry(1, NAME)
        made.board.read_console_until("acknowledged", 10)
        yield made


def test_a_healthy_board_is_found_in_order_and_tells_no_secret(ward: Ward, tmp_path: Path) -> None:
    (tmp_path / "batch.pem").write_text(ward.batch.pem)
    words = ["--port", ward.port, "--listen", "0", "--ca-certificate", f"{tmp_path}/batch.pem"]
    told = CliRunner().invoke(doctor, [*words, "--no-reset"])
    assert told.exit_code == 0, told.output
    assert "everything is in order\n" in told.output
    assert f"{NAME} by Ward Batch, until 20" in told.output
    assert "200 assigned to localhost with its factory's certificate" in told.output
    as_json = CliRunner().invoke(doctor, [*words, "--json", "--no-reset"])
    found = json.loads(as_json.stdout)
    assert (found["fine"], found["in_group"]) == (True, True)
    assert found["chains"][0]["certificates"][0]["fingerprint"].upper() == ward.unit.sha256
    everything = told.output + as_json.output + ward.board.console.decode(errors="replace")
    key_der = ward.unit.key_der
    for secret in (*WIFI.values(), b64(key_der), b64(key_der)[20:60], key_der.hex()):
        assert secret not in everything


def test_what_is_wrong_with_a_chain_is_told_before_anybody_is_asked(ward: Ward) -> None:
    late = make_leaf(ward.batch, NAME, since_days=-9, days=-1)
    early = make_leaf(ward.batch, NAME, since_days=2, days=9)
    swapped = make_ca(ward.batch, "Ward Batch 1a")
    deep = make_leaf(swapped, NAME)
    leaf, lower, upper = deep.chain_ders
    assert "its certificate expired" in ward.says(ward.document(late))
    assert "is good only from 20" in ward.says(ward.document(early))
    disordered = ward.document(deep, leaf, upper, lower)
    assert "certificate 1 of 3 is out of order" in ward.says(disordered)
    assert ward.says() == "everything is in order, but DPS was not asked"
    other = make_root().certificate
    assert "its certificates do not lead to this CA" in ward.says(ca=other)


def test_dps_is_asked_by_the_board_and_its_refusal_is_told(ward: Ward) -> None:
    stranger = make_leaf(make_ca(make_root("Elsewhere"), "Elsewhere 1"), NAME)
    said = ward.says(ward.document(stranger), ask_dps=True)
    assert "DPS refuses its certificate (401 " in said
    ward.azure.enroll_x509_group("line-x", ward.batch.pem, provisioningStatus="disabled")
    said = ward.says(ask_dps=True)
    ward.azure.enroll_x509_group("line-x", ward.batch.pem, provisioningStatus="enabled")
    assert f"{NAME} is disabled at DPS" in said


def test_a_server_that_the_boards_roots_do_not_vouch_for_is_not_asked(
    ward: Ward, tmp_path: Path
) -> None:
    (tmp_path / "other.pem").write_text(make_root("Other").pem)
    found = ward.look(ask_dps=True, root=tmp_path / "other.pem")
    assert found.dps is not None
    assert (found.dps.status, found.dps.trusted) == (0, False)
    assert "do not vouch for DPS's certificate (TLS: ValueError The " in judge(found).sentence


def test_a_hub_that_refuses_what_dps_lets_in_is_told(ward: Ward) -> None:
    connection = parse_connection(ward.azure.hub_connection_string(), "hub")
    hub = Registry(connection, ward.azure.root_pem)
    assert hub.switch(NAME, False) is True
    with Repl(ward.port) as repl:
        repl.reset()
    ward.board.read_console_until("CONNACK refused", 20)
    said = ward.says(ask_dps=True)
    assert hub.switch(NAME, True) is True
    assert "localhost refuses its certificate (" in said
    assert "CONNACK refused, code 5), and DPS does not: it is disabled" in said


def test_a_certificate_that_dps_issued_since_is_found_in_use(ward: Ward) -> None:
    old = make_leaf(ward.batch, NAME, since_days=-0.9, days=0.1)
    csr = make_csr(old.key, NAME).public_bytes(Encoding.DER)
    document = ward.document(old)
    document["x509"]["csr"] = b64(csr)
    ward.azure.enroll_x509_group("line-x", ward.batch.pem, credentialPolicyName="default")
    assert "expires in 1 day, and it asks DPS" in ward.says(document)
    ward.has(document)
    with Repl(ward.port) as repl:
        repl.reset()
    ward.board.read_console_until("renewed", 20)
    ward.board.read_console_until("acknowledged", 20)
    found = ward.look(ask_dps=True)
    ward.has(ward.document(ward.unit))
    assert found.chains is not None
    assert [one.number for one in found.chains] == [0, 1]
    assert found.renewal is not None
    assert (found.renewal.in_use, found.renewal.good) == (1, 1)
    assert found.renewal.asked_at > 1_700_000_000
    assert judge(found).sentence == "everything is in order"
    state = dict(rows(found))["certificate 1, chain"]
    assert state == "in order, leaf first, up to firstlight issuing root; the good one"


def test_an_identity_that_was_flashed_is_examined_as_well(ward: Ward) -> None:
    raw = json.dumps(ward.document(ward.unit)).encode()
    with Repl(ward.port) as repl:
        repl.remove("/identity.json")
        repl.exec("import esp32\n_n = esp32.NVS('firstlight')")
        repl.exec(f"_n.set_blob('identity', {raw!r})\n_n.commit()")
    assert ward.says(ask_dps=True) == "everything is in order"
    with Repl(ward.port) as repl:
        repl.exec("_n.erase_key('identity')")
    ward.has(ward.document(ward.unit))


def test_a_board_whose_clock_is_not_set_judges_the_server_by_this_pcs(
    ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To it no certificate is good yet. Its clock is put back, for it is none of ours."""
    (tmp_path / "other.pem").write_text(make_root("Other").pem)
    with Repl(ward.port) as repl:
        repl.exec("import board\nboard.set_unix_time(946684800)")
    stranger = ward.look(ask_dps=True, root=tmp_path / "other.pem")
    assert stranger.dps is not None
    assert (stranger.dps.status, stranger.dps.trusted) == (0, False)
    assert 0 <= ward.clock_at() - 946684800 < 3600
    back = probes.RELAY_END
    monkeypatch.setattr(probes, "RELAY_END", "")
    found = ward.look(ask_dps=True)
    assert abs(ward.clock_at() - time.time()) < 3600
    ward.clock_at(back)
    assert 0 <= ward.clock_at(f"board.set_unix_time({int(time.time())})") - 946684800 < 3600
    assert found.dps is not None
    assert (found.dps.status, found.dps.state) == (200, "assigned")


def test_a_key_that_is_not_its_certificates_is_told_whoever_is_asked(ward: Ward) -> None:
    foreign = ward.document(ward.unit)
    foreign["x509"]["key"] = b64(make_leaf(ward.batch, NAME).key_der)
    said = ward.says(foreign)
    assert "it cannot prove its certificate (the board does not hold its certificate's " in said
    foreign["x509"]["key"] = b64(b"\x30\x03no!")
    assert "it cannot prove its certificate (" in ward.says(foreign, ask_dps=True)


def test_the_smallest_heap_has_room_for_the_questions_too(tmp_path: Path, ward: Ward) -> None:
    bench = Bench(tmp_path / "small", ward.azure)
    bench.give(ward.document(make_leaf(make_ca(ward.batch, "Ward Batch 1b"), NAME)))
    bench.tune(speed=50, heap_bytes=48 * 1024)
    with bench.board:
        bench.board.read_console_until("acknowledged", 20)
        found = examine(bench.board.port or "", Wishes(listen_s=0, reset=False), lambda _: None)
    assert judge(found).sentence == "everything is in order"


@pytest.mark.parametrize(
    ("answer", "why"),
    [(b"", "hung up"), (b"SSH-2.0-x\r\n" * 9, "TLS: "), (b"\x16\x03\x03\x00\x02", "hung up")],
)
def test_a_server_that_does_not_speak_tls_is_told_and_the_board_is_free_again(
    ward: Ward, answer: bytes, why: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            with listener.accept()[0] as sock:
                sock.recv(4096)
                sock.sendall(answer)

        server = threading.Thread(target=talk)
        server.start()
        errand = relay.Errand("localhost", listener.getsockname()[1], 0, (), b"GET / HTTP/1.1")
        with Repl(ward.port) as repl:
            with pytest.raises(relay.Unanswered, match=why):
                relay.ask(repl, errand)
            assert repl.exec("print(_step)").strip() == b"None"
        server.join(10)


def test_a_board_without_its_key_says_so_and_nobody_waits(ward: Ward) -> None:
    nobody = relay.Errand("localhost", ward.azure.https_port, 7, (), b"GET / HTTP/1.1")
    with Repl(ward.port) as repl, pytest.raises(relay.Unanswered, match="could not use its cert"):
        relay.ask(repl, nobody)
