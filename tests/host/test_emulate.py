"""`firstlight emulate` as its user sees it: what it prints, what it leaves, how it ends."""

import json
import os
import shlex
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from firstlight import keys
from tests import inprocess
from tests.emulator.peers import token

FIRSTLIGHT = [sys.executable, "-c", "from firstlight.cli import main; main()"]
FREE = ["--mqtt-port", "0", "--https-port", "0", "--sntp-port", "0"]
LAST = "END"  # of what is printed before the first event


class Emulator:
    """A running `firstlight emulate`. shown: its lines up to the last of the banner."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*FIRSTLIGHT, "emulate", *FREE, *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.shown: list[str] = []

    def read_until(self, sign: str) -> None:
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            self.shown.append(line.rstrip("\n"))
            if line.rstrip() == sign or (sign != LAST and sign in line):
                return
        pytest.fail(f"it ended: {self.process.communicate()[1]}")

    def stop(self) -> str:
        """End it as Ctrl-C does; what it said on standard error."""
        self.process.send_signal(signal.SIGINT)
        rest, errors = self.process.communicate(timeout=30)
        self.shown += rest.splitlines()
        assert self.process.returncode == 0, errors
        return errors


@contextmanager
def emulating(folder: Path, *words: str, sign: str = LAST) -> Iterator[Emulator]:
    emulator = Emulator(folder, *words)
    try:
        emulator.read_until(sign)
        yield emulator
        assert emulator.stop() == ""
    finally:
        emulator.process.kill()
        emulator.process.communicate()


def refused(folder: Path, *words: str) -> str:
    done = inprocess.call("emulate", *FREE, *words, cwd=folder)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_it_prints_what_a_person_needs(tmp_path: Path) -> None:
    with emulating(tmp_path) as emulator:
        text = "\n".join(emulator.shown)
        info = json.loads((tmp_path / "local-azure" / "info.json").read_text())
        key = (tmp_path / "local-azure" / "group.key").read_text().strip()
        for needed in (
            info["id_scope"],
            f"127.0.0.1:{info['mqtt_port']}",
            f"https://localhost:{info['https_port']}",
            "local-azure/root.pem",
            f"group fleet,       key {key}",
            "curl --cacert local-azure/root.pem",
            "mosquitto_pub -h localhost",
            "ProvisioningDeviceClient",
        ):
            assert needed in text
        for name in ("group.key", "connection-string.txt", "hub-localhost.txt"):
            secret = tmp_path / "local-azure" / name
            assert stat.S_IMODE(secret.stat().st_mode) == 0o600
            shared = secret.read_text().strip().partition("SharedAccessKey=")[2]
            assert not shared or shared not in text
        assert key not in (tmp_path / "local-azure" / "info.json").read_text()


def test_of_several_hubs_the_lines_name_the_one_that_the_device_is_assigned_to(
    tmp_path: Path,
) -> None:
    with emulating(tmp_path, "--hub", "127.0.0.1", "--hub", "localhost") as emulator:
        info = json.loads((tmp_path / "local-azure" / "info.json").read_text())
        key = (tmp_path / "local-azure" / "group.key").read_text().strip()
        place = tmp_path / "local-azure" / "root.pem", info["https_port"], info["id_scope"]
        home = assigned(*place, keys.derive(key, "dev-1"))
        lines = [line for line in emulator.shown if line.startswith("mosquitto_")]
    assert home == "localhost"  # which is not the first
    assert len(lines) == 2
    assert all(f"-u '{home}/dev-1/" in line for line in lines)


def assigned(root: Path, port: int, id_scope: str, key: str) -> str:
    """Register dev-1 over HTTPS; the hub that it is assigned to."""
    resource = f"{id_scope}/registrations/dev-1"
    headers = {"Authorization": token(resource, key), "Content-Type": "application/json"}
    context = ssl.create_default_context(cafile=str(root))

    def ask(method: str, path: str, body: bytes | None) -> dict[str, Any]:
        url = f"https://localhost:{port}/{resource}{path}?api-version=2021-06-01"
        request = urllib.request.Request(url, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return dict(json.loads(answer.read()))

    operation_id = ask("PUT", "/register", b'{"registrationId": "dev-1"}')["operationId"]
    for _ in range(3):  # the first of which says `assigning`
        found = ask("GET", f"/operations/{operation_id}", None)
        if found["status"] == "assigned":
            return str(found["registrationState"]["assignedHub"])
    pytest.fail(f"it was not assigned: {found}")


def test_the_lines_to_try_it_with_are_lines_of_a_shell(tmp_path: Path) -> None:
    with emulating(tmp_path, "--folder", "a folder's name") as emulator:
        start = next(i for i, line in enumerate(emulator.shown) if line.startswith("# "))
        script = "\n".join(emulator.shown[start:])
    shell = shutil.which("sh")
    assert shell is not None
    checked = subprocess.run(
        [shell, "-n"], input=script, capture_output=True, text=True, check=False, timeout=20
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    python = script.partition("<<'END'\n")[2].partition("\nEND")[0]
    compile(python, "printed", "exec")
    assert "a folder's name/group.key" in python


def test_in_json_there_is_one_object_a_line_and_no_key(tmp_path: Path) -> None:
    with emulating(tmp_path, "--json", sign="ready") as emulator:
        (ready,) = [json.loads(line) for line in emulator.shown]
        assert (ready["what"], ready["group"]) == ("ready", "fleet")
        key = Path(ready["group_key"]).read_text().strip()
        assert len(key) > 40
        kept = json.loads((Path(ready["folder"]) / "info.json").read_text())
        assert kept["root_pem"] == ready["root_pem"] == str(tmp_path / "local-azure" / "root.pem")
    assert key not in "\n".join(emulator.shown)


def test_without_a_group_there_is_no_key_nor_one_of_an_earlier_start(tmp_path: Path) -> None:
    with emulating(tmp_path):
        pass
    assert (tmp_path / "local-azure" / "group.key").exists()
    with emulating(tmp_path, "--no-group", sign="connection strings") as emulator:
        assert not (tmp_path / "local-azure" / "group.key").exists()
    assert "fleet" not in "\n".join(emulator.shown)


def test_with_a_state_file_the_next_start_prints_the_same(tmp_path: Path) -> None:
    lines = []
    roots = []
    for _ in range(2):
        with emulating(tmp_path, "--state", "azure.db", "--group", "line-1") as emulator:
            wanted = ("id scope", "group line-1")
            lines.append([line for line in emulator.shown if any(w in line for w in wanted)])
            roots.append((tmp_path / "local-azure" / "root.pem").read_text())
    assert len(lines[0]) == 2
    assert lines[0] == lines[1]
    assert roots[0] == roots[1]


def test_hubs_have_names_and_addresses(tmp_path: Path) -> None:
    own = f"127.{os.getpid() >> 8 & 0x3F | 0xC0}.{os.getpid() & 0xFF}.9"
    words = ("--hub", f"one.azure-devices.net={own}", "--hub", "localhost", "--json")
    with emulating(tmp_path, *words, sign="ready") as emulator:
        ready = json.loads(emulator.shown[0])
        assert ready["hubs"] == ["one.azure-devices.net", "localhost"]
        assert ready["addresses"]["one.azure-devices.net"] == own
        assert f"{own} one.azure-devices.net" in (tmp_path / "local-azure" / "hosts").read_text()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--hub", "one="), "NAME or NAME=ADDRESS"),
        (("--hub", "one=10.0.0.1"), "loopback"),
        (("--set", "nonsense=1"), "no setting"),
        (("--set", "retry_after_s"), "NAME=VALUE"),
        (("--group", "no/such"), "group"),
        (("--host", "0.0.0.0"), "loopback"),
    ],
)
def test_wrong_words_get_one_sentence(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    assert why in refused(tmp_path, *words)


def test_without_a_standard_output_nobody_is_told_and_nothing_ends() -> None:
    code = "from firstlight.cli import emulate; emulate._say('an event')"
    words = shlex.join([sys.executable, "-c", code])
    done = subprocess.run(
        ["sh", "-c", f"{words} >&-"], stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_settings_are_listed(tmp_path: Path) -> None:
    done = subprocess.run(
        [*FIRSTLIGHT, "emulate", "--settings"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "retry_after_s=3" in done.stdout.splitlines()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    emulator = Emulator(tmp_path, "--json")
    try:
        emulator.read_until("ready")
        assert emulator.process.stdout is not None
        emulator.process.stdout.close()
        port = json.loads(emulator.shown[0])["mqtt_port"]
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            peer.sendall(b"no TLS" * 10)  # which is an event, and nobody is there to read it
            code = emulator.process.wait(30)
        assert emulator.process.stderr is not None
        assert (code, emulator.process.stderr.read()) == (141, "")
    finally:
        emulator.process.kill()
        emulator.process.wait()
        if emulator.process.stderr is not None:
            emulator.process.stderr.close()
