"""Faults by HTTP, by the command line and from the start: what a user types, and is told."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firstlight.cli.fault import fault as command
from firstlight.emulator.faults.faults import Faults
from firstlight.emulator.faults.points import POINTS
from firstlight.emulator.http.fault_calls import FaultCalls
from firstlight.emulator.rest import Call
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from firstlight.errors import UsageError
from firstlight.localcalls import LocalCalls
from tests.emulator.broken import at_dps
from tests.emulator.peers import packet

PING = packet(0xC0, b"")
FIRSTLIGHT = [sys.executable, "-c", "from firstlight.cli import main; main()"]


@pytest.fixture
def calls() -> FaultCalls:
    return FaultCalls(Faults(lambda _: None, lambda: 0.0, os.urandom), os.urandom)


def ask(calls: FaultCalls, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    answer = calls.handle(Call(method, f"/emulator/faults{path}", {}, {}, raw), 1795000000.0)
    return answer.status, answer.document


def test_a_fault_is_set_read_and_cleared(calls: FaultCalls) -> None:
    wanted = {"at": "poll", "do": "refuse", "times": 2, "device": "dev-1"}
    shown = {"id": "f1"} | wanted | {"matches": 0, "hits": 0, "left": 2}
    assert ask(calls, "POST", body=wanted) == (201, shown)
    assert ask(calls, "GET") == (200, [shown])
    assert ask(calls, "GET", "/f1") == (200, shown)
    assert ask(calls, "DELETE", "/f1") == (204, None)
    assert ask(calls, "GET") == (200, [])
    ask(calls, "POST", body=wanted)
    assert ask(calls, "DELETE") == (204, None)
    assert ask(calls, "GET") == (200, [])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "why"),
    [
        ("POST", "", {"at": "poll", "do": "cut"}, 400, "cannot be done at poll"),
        ("POST", "", {}, 400, "needs at and do"),
        ("POST", "", [], 400, "not a JSON object"),
        ("POST", "", b"{", 400, "not JSON"),
        ("GET", "/f9", None, 404, "No fault 'f9'"),
        ("DELETE", "/f9", None, 404, "No fault 'f9'"),
        ("DELETE", "/table", None, 404, "No fault"),
        ("PUT", "", {}, 405, "GET, POST and DELETE"),
        ("POST", "/f1", {}, 405, "GET and DELETE"),
    ],
)
def test_what_cannot_be_is_refused_in_azures_form(
    calls: FaultCalls, method: str, path: str, body: Any, status: int, why: str
) -> None:
    found, document = ask(calls, method, path, body)
    assert found == status
    assert document["errorCode"] // 1000 == status
    assert why in document["message"]


def test_the_table_is_there_for_programs(calls: FaultCalls) -> None:
    status, table = ask(calls, "GET", "/table")
    assert status == 200
    assert [point["name"] for point in table["points"]] == list(POINTS)
    assert json.dumps(table)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "azure"


@pytest.fixture
def local(folder: Path) -> Any:
    settings = Settings(
        mqtt_port=0, https_port=0, folder=folder, faults=("pingresp drop times=1",)
    )
    with running_azure(settings) as running:
        yield running


def firstlight(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*FIRSTLIGHT, "fault", *words, "--folder", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_line_sets_lists_and_clears(local: RunningAzure, folder: Path) -> None:
    done = firstlight(folder, "add", "pingresp", "duplicate", "count=2", "after=1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "f2\n", "")
    with at_dps(local) as peer:
        peer.send(PING * 2)
        assert [peer.read()[0] for _ in range(3)] == [0xD0] * 3
    listed = firstlight(folder, "list").stdout.splitlines()
    assert [" ".join(line.split()) for line in listed] == [
        "f1 1 of 1 0 left pingresp drop times=1",
        "f2 1 of 2 always pingresp duplicate count=2 after=1",
    ]
    done = firstlight(folder, "clear", "f9", "f1")
    assert (done.returncode, "No fault 'f9'" in done.stderr) == (4, True)
    assert [fault["id"] for fault in local.faults()] == ["f2"]
    assert json.loads(firstlight(folder, "list", "--json").stdout)[0]["hits"] == 1
    assert firstlight(folder, "clear").returncode == 0
    assert local.faults() == []


def test_the_command_line_says_what_is_wrong_in_one_sentence(
    local: RunningAzure, folder: Path, tmp_path: Path
) -> None:
    for words, code, why in (
        (("add", "poll", "cut"), 2, "'cut' cannot be done at poll"),
        (("add", "poll"), 2, "a fault is a point, an action"),
        (("clear", "f9"), 4, "404 No fault 'f9' is set"),
        (("clear", "../info"), 2, "a fault's id is"),
    ):
        done = firstlight(folder, *words)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith("firstlight: ")
        assert done.stderr.count("\n") == 1
        assert why in done.stderr
    done = firstlight(tmp_path, "list")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is not the folder of a local Azure" in done.stderr


def test_help_and_the_list_of_points_need_no_service(tmp_path: Path) -> None:
    assert "register-answer" in firstlight(tmp_path, "list", "--points").stdout
    assert set(command.commands) == {"add", "list", "clear"}


def test_a_service_that_is_gone_is_told(folder: Path) -> None:
    with running_azure(Settings(mqtt_port=0, https_port=0, folder=folder)):
        calls = LocalCalls(folder)
        assert calls.call("GET", "/emulator/faults") == []
    done = firstlight(folder, "list")
    assert (done.returncode, "did not answer" in done.stderr) == (4, True)


def test_a_fault_of_the_settings_is_checked_before_anything_starts() -> None:
    with pytest.raises(UsageError, match="the fault 'poll cut': 'cut' cannot be done at poll"):
        Settings(faults=("poll cut",)).check()


def test_python_sets_and_clears_faults(local: RunningAzure) -> None:
    added = local.add_fault(at="connack", do="delay", seconds=0.1, times=1)
    assert added["left"] == 1
    with pytest.raises(ValueError, match="is no point"):
        local.add_fault("nowhere drop")
    assert [fault["at"] for fault in local.faults()] == ["pingresp", "connack"]
    assert local.clear_faults()
    assert local.faults() == []
