"""Starting and stopping a local Azure: settings, ports, files, the command's body."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from firstlight.emulator import events
from firstlight.emulator.files import Paper, write_all
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.serve import serve
from firstlight.emulator.settings import Settings
from firstlight.errors import ToolError, UsageError

FREE: dict[str, Any] = {"mqtt_port": 0, "https_port": 0}
SERVE = """
import asyncio, pathlib, sys
from firstlight.emulator.serve import serve
from firstlight.emulator.settings import Settings
settings = Settings(mqtt_port=0, https_port=0, folder=pathlib.Path(sys.argv[1]))
asyncio.run(serve(settings, lambda text: print(text, flush=True), sys.argv[2] == "json"))
"""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"id_scope": "0neXYZ"}, "id scope"),
        ({"mqtt_port": 70000}, "mqtt port"),
        ({"hubs": ()}, "hubs"),
        ({"hubs": ("a", "a")}, "hubs"),
        ({"hubs": ("My-Hub",)}, "host name"),
        ({"host": "::1"}, "loopback"),
        ({"host": "0.0.0.0"}, "loopback"),
        ({"host": "128.0.0.1"}, "loopback"),
        ({"host": "127.0.0.256"}, "loopback"),
        ({"hubs": ("a..b",)}, "host name"),
        ({"hubs": ("a.-b",)}, "host name"),
        ({"hubs": ("a" * 64,)}, "host name"),
        ({"hubs": ("xn--a",)}, "certificate"),
        ({"auth_at": "never"}, "credentials"),
        ({"polls_before_assigned": -1}, "polls"),
        ({"retry_after_s": -1}, "retry-after"),
        ({"max_connections": 0}, "bounds"),
        ({"latencies_ms": {"elsewhere": 5}}, "'elsewhere', which is not a hub"),
        ({"device_latencies_ms": {"dev-1": {"elsewhere": 5}}}, "'elsewhere', which is not a hub"),
        ({"device_latencies_ms": {"Dev-1": {}}}, "lower case"),
        ({"webhook_roots": Path("not-there.pem")}, "not-there.pem, cannot be used: No such file"),
        ({"webhook_roots": Path(__file__)}, "cannot be used: it has no certificate"),
    ],
)
def test_a_setting_that_cannot_be_is_told_in_one_sentence(
    changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(UsageError, match=why), running_azure(Settings(**(FREE | changes))):
        pass


@pytest.mark.parametrize(("port", "what"), [("mqtt_port", "MQTT"), ("https_port", "HTTPS")])
def test_a_port_in_use_is_told_in_one_sentence(port: str, what: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        wanted = Settings(**(FREE | {port: number}))
        with (
            pytest.raises(ToolError, match=f"{what} on 127.0.0.1:{number}"),
            running_azure(wanted),
        ):
            pass


def test_the_root_is_public_and_the_connection_string_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with running_azure(Settings(**FREE, folder=folder)) as azure:
        secret = folder / "connection-string.txt"
        assert secret.read_text() == azure.connection_string + "\n"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert azure.root_pem == folder / "root.pem"
        assert sorted(p.name for p in folder.iterdir()) == [
            "connection-string.txt",
            "hosts",
            "hub-localhost.txt",
            "info.json",
            "root.pem",
        ]
        assert "PRIVATE" not in azure.root_pem.read_text()
        public = [folder / name for name in ("hosts", "info.json", "root.pem")]
        assert all("SharedAccessKey" not in path.read_text() for path in public)
        assert stat.S_IMODE((folder / "hub-localhost.txt").stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_is_told_and_nothing_stays_open(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with (
        pytest.raises(ToolError, match="folder"),
        running_azure(Settings(**FREE, folder=blocked / "in")),
    ):
        pass


def test_a_temporary_folder_goes_when_it_stops() -> None:
    with running_azure(Settings(**FREE)) as azure:
        folder = azure.root_pem.parent
        assert folder.is_dir()
    assert not folder.exists()


def test_waiting_for_telemetry_that_never_comes_ends(azure: RunningAzure) -> None:
    with pytest.raises(TimeoutError, match="0 of 1"):
        azure.wait_for_telemetry(1, timeout_s=0.05)


def test_an_event_is_one_line_whatever_a_device_calls_itself() -> None:
    shown = events.event(1_795_000_000.0, "mqtt", "evil\n\x1b[31m" + "a" * 999, "closed: \r\nx")
    assert "\n" not in events.line(shown) + events.json_line(shown)
    assert "\x1b" not in events.line(shown)
    assert len(events.line(shown)) < 500
    assert json.loads(events.json_line(shown)) == shown


@pytest.mark.parametrize("name", ["root.pem", "connection-string.txt"])
def test_a_failed_start_names_the_file_and_leaves_no_secret_behind(
    tmp_path: Path, name: str
) -> None:
    secret = tmp_path / "connection-string.txt"
    secret.write_text("older")
    if name == secret.name:
        secret.unlink()
    (tmp_path / name).mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    with (
        pytest.raises(ToolError, match=name),
        running_azure(Settings(**FREE, folder=tmp_path)),
    ):
        pass
    left = {path.name for path in tmp_path.iterdir()} - {"hosts", "info.json", "root.pem"}
    assert left == set(before) - {"root.pem"}
    assert name == secret.name or secret.read_text() == "older"


def test_a_file_that_an_earlier_process_left_beside_is_replaced_and_never_followed(
    tmp_path: Path,
) -> None:
    elsewhere = tmp_path / "elsewhere"
    paper = Paper(tmp_path / "secret", "new", 0o600)
    paper.beside.symlink_to(elsewhere)
    write_all(paper)
    assert paper.path.read_text() == "new"
    assert not elsewhere.exists()


def test_a_file_that_appears_beside_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    paper = Paper(tmp_path / "secret", "new", 0o600)
    paper.beside.symlink_to(elsewhere)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with pytest.raises(OSError, match="secret"):
        write_all(paper)
    assert not elsewhere.exists()


def test_a_reader_that_goes_away_ends_the_service_in_good_order() -> None:
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        asyncio.run(serve(Settings(**FREE), say))
    assert len(said) == 1


@pytest.mark.parametrize(("form", "number"), [("text", signal.SIGINT), ("json", signal.SIGTERM)])
def test_the_command_serves_until_a_signal_and_ends_with_0(
    tmp_path: Path, form: str, number: int
) -> None:
    command = [sys.executable, "-c", SERVE, str(tmp_path), form]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        shown = [process.stdout.readline()]
        assert time.monotonic() - began < 20
        while form == "text" and "connection strings" not in shown[-1]:
            shown.append(process.stdout.readline())
        os.kill(process.pid, number)
        shown.append(process.stdout.read())
    assert process.returncode == 0
    if form == "json":
        assert json.loads(shown[0])["what"] == "ready"
    else:
        assert str(tmp_path / "root.pem") in "".join(shown)
    assert "SharedAccessKey=" not in "".join(shown)
