"""`firstlight doctor` on a real virtual board at a local Azure: what is wrong, in one sentence."""

import functools
import json
import os
import pty
import threading
import tty
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from firstlight import virtual
from firstlight.cli.doctor import doctor
from firstlight.custody import write_private
from firstlight.doctor import examine as examination
from firstlight.doctor.examine import Wishes, examine
from firstlight.doctor.findings import Findings, Life
from firstlight.doctor.listening import listen
from firstlight.doctor.verdict import judge
from firstlight.emulator.running import RunningAzure
from firstlight.errors import BoardError
from firstlight.groupkey import MemoryKey
from firstlight.repl import Repl
from tests.board.ward import azure
from tests.e2e.bench import NAME, WIFI, Bench
from tests.e2e.flashed import flash

__all__ = ("azure",)  # a fixture
FILL = """\
n = 0
while True:
    with open('/log%d' % n, 'wb') as f:
        f.write(bytes(4096))
    n += 1
"""
OTHER_B64 = b64encode(b"another key, which is not enrolled").decode()


class Ward:
    """One board that works, and its bed. Nothing is reset but where a test asks for it."""

    def __init__(self, folder: Path, azure: RunningAzure) -> None:
        self.azure = azure
        self.bench = Bench(folder, azure)
        self.bench.tune(speed=50)
        self.group, self.key_b64 = self.bench.group_key()
        self.good = self.bench.document(self.key_b64, https_port=azure.https_port)
        self.bench.give(self.good)
        self.board = self.bench.board

    @property
    def port(self) -> str:
        return self.board.port or ""

    def look(self, **wishes: object) -> Findings:
        usual: dict[str, object] = {"listen_s": 0, "reset": False, "ask_dps": False}
        return examine(self.port, Wishes(**(usual | wishes)), lambda _: None)  # type: ignore[arg-type]

    def says(self, **wishes: object) -> str:
        return judge(self.look(**wishes)).sentence

    def write(self, path: str, data: bytes) -> bytes:
        """Put a file onto the board; what was there."""
        with Repl(self.port) as repl:
            code = "from binascii import hexlify\nprint(hexlify(open(%r, 'rb').read()).decode())"
            before = bytes.fromhex(repl.exec(code % path).decode())
            repl.write_file(path, data)
        return before


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory, azure: RunningAzure) -> Iterator[Ward]:
    made = Ward(tmp_path_factory.mktemp("ward") / "board", azure)
    with made.board:
        azure.wait_for_telemetry(1, NAME)
        made.board.read_console_until("acknowledged", 10)
        yield made


def test_a_healthy_board_is_found_in_order_and_tells_no_secret(ward: Ward, tmp_path: Path) -> None:
    assert ward.group.keys is not None
    group_b64 = ward.group.keys.primary_b64
    write_private(tmp_path / "group.key", group_b64)
    words = ["--port", ward.port, "--listen", "0.05", "--group-key", f"file:{tmp_path}/group.key"]
    told = CliRunner().invoke(doctor, words)
    assert told.exit_code == 0, told.output
    assert f"{ward.port}: everything is in order\n" in told.output
    assert "200 assigned to localhost" in told.output
    ward.board.read_console_until("acknowledged", 10)  # it was reset, and works again
    as_json = CliRunner().invoke(doctor, [*words, "--json", "--no-reset"])
    assert as_json.exit_code == 0, as_json.output
    found = json.loads(as_json.stdout)
    assert (found["fine"], found["in_group"]) == (True, True)
    assert found["identity"]["fingerprints"] == {"primary": fingerprint(ward.key_b64)}
    whose = f"localhost/{ward.azure.id_scope}/{NAME}"
    assert found["assignment"] == {"hub": "localhost", "device_id": NAME, "whose": whose}
    assert found["life"]["reset"] == "hard reset"
    everything = told.output + as_json.output + ward.board.console.decode(errors="replace")
    for secret in (*WIFI.values(), ward.key_b64, group_b64, "SharedAccessSignature"):
        assert secret not in everything


def fingerprint(key_b64: str) -> str:
    return MemoryKey(key_b64, "a key").fingerprint


def test_an_examination_changes_nothing_on_the_board(ward: Ward) -> None:
    ward.look()
    files = [path for path in ward.board.folder.iterdir() if path.name[:3] in ("fla", "nvs")]
    before = {path: path.read_bytes() for path in files}
    ward.look(ask_dps=True)
    assert {path: path.read_bytes() for path in files} == before
    assert len(before) >= 2


def test_the_key_of_another_group_is_told(ward: Ward) -> None:
    assert "not the one of this group" in ward.says(group=MemoryKey(OTHER_B64, "the group key"))


def test_a_disabled_enrollment_is_told(ward: Ward) -> None:
    ward.azure.enroll_group("line-1", {"provisioningStatus": "disabled"})
    said = ward.says(ask_dps=True)
    ward.azure.enroll_group("line-1", {"provisioningStatus": "enabled"})
    assert f"{NAME} is disabled at DPS" in said
    assert ward.says(ask_dps=True) == "everything is in order"


def test_a_network_that_is_gone_and_a_wrong_password_are_told(ward: Ward) -> None:
    ward.board.set_air(wifi={"elsewhere": ""})
    assert "its network (bench) is not in the air here" in ward.says()
    ward.board.set_air(wifi={"bench": "changed since"})
    assert "its Wi-Fi password is refused (bench)" in ward.says()
    ward.board.set_air(wifi={"elsewhere": ""})
    ward.board.set_air(wifi=WIFI, hidden=["bench"])  # no scan shows it; the board joins it
    found = ward.look()
    ward.board.set_air()
    assert found.air is not None
    assert (found.air.signals, bool(found.air.address)) == ({}, True)
    assert judge(found).fine
    assert "everything is in order" in ward.says()


def test_a_file_of_another_release_is_told(ward: Ward) -> None:
    before = ward.write("/led.mpy", b"older")
    found = ward.look()
    assert found.files is not None
    assert found.files.differing == ("/led.mpy",)
    assert "another release's (/led.mpy differ)" in judge(found).sentence
    with Repl(ward.port) as repl:
        repl.remove("/led.mpy")
    assert "not whole, /led.mpy missing" in ward.says()
    with Repl(ward.port) as repl:
        repl.write_file("/led.mpy", before)


def test_a_key_that_is_not_enrolled_is_told(ward: Ward) -> None:
    foreign = ward.good | {"symmetric_key": {"primary": OTHER_B64}}
    before = ward.write("/identity.json", json.dumps(foreign).encode())
    assert "DPS refuses its key (401)" in ward.says(ask_dps=True)
    both = ward.good | {"symmetric_key": {"primary": OTHER_B64, "secondary": ward.key_b64}}
    ward.write("/identity.json", json.dumps(both).encode())
    found = ward.look(ask_dps=True)
    assert found.dps is not None
    assert (found.dps.state, found.dps.key) == ("assigned", "secondary")
    ward.write("/identity.json", before)


def test_roots_that_do_not_vouch_for_dps_are_told(ward: Ward, azure: RunningAzure) -> None:
    from firstlight.roots import azure_roots  # noqa: PLC0415

    name, der = next(iter(azure_roots().items()))
    before = ward.write("/roots/root-1.der", der)
    found = ward.look(ask_dps=True)
    assert "do not vouch for DPS's certificate" in judge(found).sentence
    assert found.roots is not None
    assert "DigiCert" in found.roots[0].subject, name
    assert ward.look(ask_dps=True, root=azure.root_pem).dps is not None
    ward.write("/roots/root-1.der", b"not a certificate")
    assert "no trust root that can be read" in ward.says()
    ward.write("/roots/root-1.der", before)


def test_a_torn_identity_and_none_are_told(ward: Ward) -> None:
    before = ward.write("/identity.json", json.dumps(ward.good).encode()[:100])
    said = ward.says(ask_dps=True)
    assert "its identity cannot be used (identity is not a JSON object (torn" in said
    with Repl(ward.port) as repl:
        repl.remove("/identity.json")
    assert "it has no identity" in ward.says()
    with Repl(ward.port) as repl:
        repl.exec(f"import board\nboard.save('identity', {json.dumps(ward.good).encode()!r})")
    assert "everything is in order" in ward.says()  # as one that was flashed with the rest
    with Repl(ward.port) as repl:
        repl.exec("import board\nboard.erase('identity')")
    with Repl(ward.port) as repl:
        repl.write_file("/identity.json", before)


def test_the_console_is_heard_before_the_board_is_interrupted() -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    failure = "joined none of bench: wrong password"
    said = f"     12 ms  wifi   failed: OSError {failure}; next in 8 s\r\n"
    said += '@firstlight {"up_s": 61, "step": "network", "queued": 3}\r\n'
    done = threading.Event()

    def talk() -> None:
        while not done.wait(0.01):  # what came before the port was opened is dropped
            os.write(ours, said.encode())

    board = threading.Thread(target=talk)
    board.start()
    heard = listen(os.ttyname(theirs), 10)
    done.set()
    board.join(10)
    assert heard.heard == f"OSError {failure}"
    assert (heard.phase, heard.up_s, heard.waiting, heard.noisy) == ("network", 61, 3, True)
    os.close(ours)
    os.close(theirs)


def test_a_full_flash_is_told(tmp_path: Path, ward: Ward) -> None:
    size = 256 * 1024
    chip = b"\x0a\x0b\x0c"
    board = virtual.make(tmp_path / "small", unique_id=chip, flash_bytes=size, wifi=WIFI)
    flash(board.folder / "flash.img", ward.good, b"INTERVAL_S = 9\n", ward.azure.root_pem)
    with board:
        with Repl(board.port or "") as repl, pytest.raises(BoardError, match="full"):
            repl.exec(FILL, timeout_s=20)
        found = examine(board.port or "", Wishes(listen_s=0, ask_dps=False), lambda _: None)
    assert "its flash is full" in judge(found).sentence


def test_a_bare_board_is_told_from_one_without_micropython(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes = Wishes(listen_s=0)
    with virtual.make(tmp_path / "bare") as bare:
        found = examine(bare.port or "", wishes, lambda _: None)
    assert "MicroPython is there, but no firmware" in judge(found).sentence
    monkeypatch.setattr(examination, "Repl", functools.partial(Repl, patience_s=0.1))
    ours, theirs = pty.openpty()
    found = examine(os.ttyname(theirs), wishes, lambda _: None)
    assert "answers as MicroPython" in judge(found).sentence
    os.close(ours)
    os.close(theirs)
    with pytest.raises(BoardError, match="there is no port"):
        examine(str(tmp_path / "none"), wishes, lambda _: None)


def test_a_port_that_goes_away_is_no_silent_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "listen", lambda *_: Life("hub"))
    with pytest.raises(BoardError, match="there is no port"):
        examine(str(tmp_path / "gone"), Wishes(listen_s=0), lambda _: None)
