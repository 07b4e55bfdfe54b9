"""The command line as its user sees it: words in, lines and exit codes out."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from firstlight import keys, virtual
from firstlight.cli import firstlight
from firstlight.custody import write_private
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from firstlight.repl import Repl
from tests import inprocess

G = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
FIRSTLIGHT = [sys.executable, "-c", "from firstlight.cli import main; main()"]


def call(*words: str | Path, stdin: str = "", **env: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own only where what it is given is more than words."""
    if not stdin and not env:
        return inprocess.call(*words)
    return subprocess.run(
        [*FIRSTLIGHT, *map(str, words)],
        input=stdin,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(code: int, text: str, *words: str | Path, stdin: str = "", **env: str) -> None:
    """Assert that a call ends with code and one sentence with text, and shows no traceback."""
    done = call(*words, stdin=stdin, **env)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert done.stderr.startswith("firstlight: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert G not in done.stderr


@pytest.fixture
def group_key(tmp_path: Path) -> Path:
    path = tmp_path / "group.key"
    write_private(path, G + "\n")
    return path


@pytest.fixture
def local(tmp_path: Path) -> Iterator[RunningAzure]:
    settings = Settings(mqtt_port=0, https_port=0, retry_after_s=1, folder=tmp_path / "azure")
    with running_azure(settings) as running:
        yield running


def helps(verb: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    done = CliRunner().invoke(firstlight, [*path, "--help"], terminal_width=99)
    assert done.exit_code == 0
    yield " ".join(path), done.stdout
    if isinstance(verb, click.Group):
        for name in verb.list_commands(click.Context(verb)):
            inner = verb.get_command(click.Context(verb), name)
            assert inner
            yield from helps(inner, (*path, name))


def test_help_of_every_verb_has_an_example_and_fits_the_screen() -> None:
    for path, shown in helps(firstlight):
        after = shown.partition("Usage:")[2].partition("\n")[2].partition("Options:")[0]
        assert f"firstlight {path}".rstrip() in after, path
        assert max(map(len, shown.splitlines())) <= 99, path


def test_deriving_one_key_prints_it_alone(group_key: Path) -> None:
    done = call("keys", "derive", "my-device-01", "--group-key", f"file:{group_key}")
    assert (done.stdout, done.stderr) == ("i0eNaxR9P2qCHaK3RkHpn3erozYVBcdCwAsiEzQHCM4=\n", "")


def test_deriving_a_file_of_keys_gives_csv_that_only_its_owner_reads(
    tmp_path: Path, group_key: Path
) -> None:
    ids, out = tmp_path / "ids.txt", tmp_path / "keys.csv"
    ids.write_text("my-device-01\n# a comment\nmy-device-02\n")
    sources = ["--group-key", f"file:{group_key}", "--secondary-group-key", "env:SECOND"]
    done = call("keys", "derive", "--ids", ids, *sources, "--out", out, SECOND=G)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    rows = out.read_text().splitlines()
    assert rows[0] == "registration_id,primary_key,secondary_key"
    assert rows[1] == ",".join(["my-device-01", *[keys.derive(G, "my-device-01")] * 2])
    assert len(rows) == 3
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_group_key_from_standard_input() -> None:
    done = call("keys", "derive", "my-device-01", "--group-key", "-", stdin=G + "\n")
    assert done.stdout == "i0eNaxR9P2qCHaK3RkHpn3erozYVBcdCwAsiEzQHCM4=\n"


def test_a_sas_token_as_the_article_makes_it() -> None:
    key = keys.derive(G, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
    resource = "0ne00111111/registrations/sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"
    words = ["keys", "sas", resource, "--policy", "registration", "--key", "env:DEVICE_KEY"]
    done = call(*words, "--expires-at", "1700003600", DEVICE_KEY=key)
    assert done.stdout == (
        "SharedAccessSignature sr=0ne00111111%2Fregistrations%2Fsn-007-888-abc-mac-a1-b2-c3-d4-e5"
        "-f6&sig=9afKwVqgmuHuoQ3FIsufK9YjR2ViBsB1kkUdCNoX4lo%3D&se=1700003600&skn=registration\n"
    )


def test_wrong_input_gets_one_sentence(tmp_path: Path, group_key: Path) -> None:
    source = f"file:{group_key}"
    derive = ["keys", "derive"]
    refused(2, "does not belong on a command line", *derive, "a", "--group-key", G)
    refused(2, "did you mean my-device?", *derive, "My-Device", "--group-key", source)
    refused(2, "name one registration id", *derive, "--group-key", source)
    refused(2, "is not base64", *derive, "a", "--group-key", "env:K", K=G[:-1])
    refused(2, "16 to 64 bytes", *derive, "a", "--group-key", "env:K", K="c2hvcnQ=")
    pair = ["--connection", "-", "--primary-key", source]
    refused(2, "give both keys, or none", "enroll", "group", "line-1", *pair)
    taken = tmp_path / "taken"
    taken.write_text("mine")
    refused(1, "there already", *derive, "a", "--group-key", source, "--out", taken)
    assert taken.read_text() == "mine"
    group_key.chmod(0o644)
    refused(2, "chmod 600", *derive, "a", "--group-key", source)


def test_enrolling_keeps_the_key_off_the_screen(tmp_path: Path, local: RunningAzure) -> None:
    papers = tmp_path / "azure"
    at: list[str | Path] = [
        "--connection",
        f"file:{papers / 'connection-string.txt'}",
        "--root",
        local.root_pem,
    ]
    out = tmp_path / "group.key"
    done = call("enroll", "group", "line-1", *at, "--key-out", out)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_mode & 0o777 == 0o600
    key = out.read_text().strip()
    assert key not in done.stdout + done.stderr
    shown = call("enroll", "show", "group", "line-1", *at)
    assert json.loads(shown.stdout)["enrollmentGroupId"] == "line-1"
    assert key not in shown.stdout
    refused(2, "enrolled already", "enroll", "group", "line-1", *at)
    refused(1, "there already", "enroll", "group", "line-2", *at, "--key-out", out)
    nowhere = tmp_path / "none" / "x.key"
    refused(1, "cannot be written", "enroll", "group", "line-2", *at, "--key-out", nowhere)
    again = tmp_path / "again.key"
    assert call("enroll", "key", "group", "line-1", *at, "--key-out", again).returncode == 0
    assert again.read_text() == out.read_text()
    assert again.stat().st_mode & 0o777 == 0o600
    unused = tmp_path / "unused.key"
    refused(2, "enrolled already", "enroll", "group", "line-1", *at, "--key-out", unused)
    local.enroll_device(
        "chip", {"attestation": {"type": "tpm", "tpm": {"endorsementKey": "AA=="}}}
    )
    done = call("enroll", "key", "device", "chip", *at, "--key-out", unused)
    assert "not enrolled with symmetric keys" in done.stderr
    assert (done.returncode, unused.exists()) == (4, False)
    refused(2, "no group enrolled as line-2", "enroll", "show", "group", "line-2", *at)
    refused(2, "did you mean dev-1", "enroll", "device", "Dev-1", *at)
    done = call("enroll", "device", "dev-1", *at, "--device-id", "Pump:7", "--disabled")
    assert done.returncode == 0, done.stderr
    found = json.loads(call("enroll", "show", "device", "dev-1", *at).stdout)
    assert (found["deviceId"], found["provisioningStatus"]) == ("Pump:7", "disabled")


def test_from_the_command_line_alone_a_board_reaches_its_hub(
    tmp_path: Path, local: RunningAzure
) -> None:
    papers, out = tmp_path / "azure", tmp_path / "group.key"
    at: list[str | Path] = [
        "--connection",
        f"file:{papers / 'connection-string.txt'}",
        "--root",
        local.root_pem,
    ]
    assert call("enroll", "group", "line-1", *at, "--key-out", out).returncode == 0
    board = virtual.make(tmp_path / "board", unique_id=b"\xaa\xbb", wifi={"home": "pass word"})
    words: list[str | Path] = [
        "--id-scope",
        local.id_scope,
        "--group-key",
        f"file:{out}",
        "--endpoint",
        "localhost",
    ]
    words += ["--mqtt-port", str(local.mqtt_port), "--root", str(local.root_pem)]
    words += ["--ntp", f"127.0.0.1:{local.sntp_port}", "--wifi", "home=env:WIFI"]
    words += ["--first-boot", "20"]
    with board:
        port = board.port or ""
        done = call("inject", "VIRTUAL", "--port", port, *words, WIFI="pass word")
        assert done.returncode == 0, done.stderr
        assert "virtual-aabb: injected and proven" in done.stdout
        assert "virtual-aabb: its first telemetry is in the hub" in done.stdout
        said = done.stdout + done.stderr
        assert local.wait_for_telemetry(1, "virtual-aabb", 20)
    for secret in (out.read_text().strip(), keys.derive(out.read_text().strip(), "virtual-aabb")):
        assert secret not in said
    assert "pass word" not in said


def test_a_wrong_group_key_is_told_by_the_first_boot(
    tmp_path: Path, local: RunningAzure, group_key: Path
) -> None:
    local.enroll_group("line-1")  # whose keys are others than group_key's
    board = virtual.make(tmp_path / "board", wifi={"home": ""})
    words = ["--id-scope", local.id_scope, "--group-key", f"file:{group_key}", "--wifi", "home"]
    words += ["--mqtt-port", str(local.mqtt_port), "--root", str(local.root_pem)]
    words += ["--endpoint", "localhost", "--ntp", f"127.0.0.1:{local.sntp_port}"]
    with board:
        done = call("inject", "VIRTUAL", "--port", board.port or "", *words, "--first-boot", "20")
    assert done.returncode == 4
    assert "it says: failed: 401 DPS: " in done.stderr
    assert "code 401000, tracking id " in done.stderr


def test_injecting_into_nothing_is_told(tmp_path: Path, group_key: Path) -> None:
    words: list[str | Path] = ["--id-scope", "0ne00111111", "--group-key", f"file:{group_key}"]
    refused(2, "ESP32_GENERIC", "inject", "ESP32_GENERC", "--port", "/dev/null", *words)
    refused(3, "", "inject", "VIRTUAL", "--port", tmp_path / "none", *words)
    refused(3, "", "inject", "VIRTUAL", "--port", group_key, *words)
    both: list[str | Path] = [*words, "--device-key", "env:K"]
    refused(2, "either", "inject", "VIRTUAL", "--port", "x", *both, K=G)
    refused(
        2, "--payload is not JSON", "inject", "VIRTUAL", "--port", "x", *words, "--payload", "{"
    )


def test_an_identity_that_cannot_be_leaves_the_board_as_it_was(
    tmp_path: Path, group_key: Path
) -> None:
    board = virtual.make(tmp_path / "board")
    words = ["--group-key", f"file:{group_key}", "--no-reset"]
    with board:
        at: list[str | Path] = ["inject", "VIRTUAL", "--port", board.port or ""]
        assert call(*at, "--id-scope", "0ne00111111", *words).returncode == 0
        before = call(*at, "--id-scope", "0ne00111111", *words).stdout
        assert "0 files written" in before
        for wrong in (["--id-scope", "0ne/"], ["--id-scope", "0ne1", "--endpoint", "a b"]):
            done = call(*at, *wrong, *words)
            assert done.returncode == 2
            assert "Traceback" not in done.stderr
        after = call(*at, "--id-scope", "0ne00111111", *words).stdout
        assert "0 files written" in after


def test_what_a_board_cannot_hold_leaves_it_as_it_was(tmp_path: Path, group_key: Path) -> None:
    ssid = "caf\u00e9 \U0001f600"
    board = virtual.make(tmp_path / "board", wifi={ssid: ""})
    broken = tmp_path / "app.py"
    broken.write_text("def sample(:")
    with board:
        port = board.port or ""
        words: list[str | Path] = ["--port", port, "--id-scope", "0ne00111111", "--no-reset"]
        words += ["--group-key", f"file:{group_key}", "--wifi", ssid]
        assert call("inject", "VIRTUAL", *words).returncode == 0
        for payload in ('{"a": NaN}', '{"a": 1e999}'):
            done = call("inject", "VIRTUAL", *words, "--payload", payload)
            assert done.returncode == 2
            assert "JSON on a board cannot" in done.stderr
        assert call("inject", "VIRTUAL", *words, "--app", broken).returncode == 2
        refused(2, "reports rp2", "inject", "RPI_PICO_W", *words)
        again = call("inject", "VIRTUAL", *words)
        assert "0 files written" in again.stdout, again.stdout + again.stderr
        with Repl(port) as repl:
            repl.exec("from aziot.identity import load\nraw = open('/identity.json', 'rb').read()")
            found = repl.exec("print(load(raw)['wifi'][0]['ssid'].encode())")
    assert found.strip().decode() == repr(ssid.encode())


def test_a_virtual_board_is_on_until_ctrl_c(tmp_path: Path) -> None:
    assert call("virtual", "make", tmp_path / "board").returncode == 0
    process = subprocess.Popen(
        [*FIRSTLIGHT, "virtual", "on", str(tmp_path / "board")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("on /dev/pts/"), line
    with Repl(line.split()[1].rstrip(";")) as repl:
        assert repl.implementation().name == "micropython"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert virtual.VirtualBoard(tmp_path / "board").port is None


def test_no_code_is_taken_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fcntl", "tty", "platform", "tarfile", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the folder')")
    board = virtual.make(tmp_path / "board")
    monkeypatch.chdir(tmp_path)
    with board:
        assert board.port


def test_the_emulator_says_what_a_person_needs_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    words = ["--mqtt-port", "0", "--https-port", "0", "--sntp-port", "0", "--folder", "here"]
    process = subprocess.Popen(
        [*FIRSTLIGHT, "emulate", *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(8)]
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    said = "".join(lines)
    assert process.returncode == 0
    for words_needed in ("id scope", "0ne", "root.pem", "connection-string.txt", "hubs"):
        assert words_needed in said
    assert (tmp_path / "here" / "root.pem").exists()
    for name in ("connection-string.txt", "hub-localhost.txt"):
        key = (tmp_path / "here" / name).read_text().rpartition("SharedAccessKey=")[2].strip()
        assert len(key) == 88
        assert key not in said + rest


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words: list[str | Path] = [
            "emulate",
            "--mqtt-port",
            port,
            "--https-port",
            "0",
            "--folder",
            tmp_path / "x",
        ]
        refused(1, port, *words)
    refused(2, "0ne", "emulate", "--id-scope", "mine", "--folder", tmp_path / "x")
