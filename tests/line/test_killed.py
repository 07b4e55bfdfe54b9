"""kill -9 at every stage boundary: the unit goes on, and is in the record once."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from firstlight import keys
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from firstlight.inject import prove
from firstlight.record.record import Record
from firstlight.repl import Repl
from firstlight.virtual import VirtualBoard, make
from tests.line import stations

ROOT = Path(__file__).parents[2]
ONCE = ("claim", "unit", "label")
STAGES = ("flash", "claim", "inject", "prove", "boot", "unit", "label")
BOUNDARIES = [
    f"{when} {stage} {outcome}"
    for stage in STAGES
    for outcome in (("done",) if stage in ONCE else ("begun", "done"))
    for when in ("before", "after")
]
NAME = "virtual-0a0b0c0d"


@pytest.fixture
def local(tmp_path: Path) -> Iterator[RunningAzure]:
    settings = Settings(
        mqtt_port=0, https_port=0, folder=tmp_path / "azure", polls_before_assigned=0
    )
    with running_azure(settings, lambda _: None) as running:
        yield running


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[VirtualBoard]:
    made = make(tmp_path / "unit", unique_id=b"\x0a\x0b\x0c\x0d", wifi=stations.WIFI, join_ms=10)
    settings = made.folder / "virtual.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"speed": 5}))
    with VirtualBoard(made.folder) as board:
        yield board


def test_a_unit_that_is_cut_off_at_every_boundary_is_done_once(
    tmp_path: Path, local: RunningAzure, unit: VirtualBoard
) -> None:
    group = local.enroll_group("line-1")
    asked: dict[str, Any] = {
        "record": str(tmp_path / "line.db"),
        "heads": str(tmp_path / "heads"),
        "unit": str(unit.folder),
        "root": str(local.root_pem),
        "labels": str(tmp_path / "labels"),
        "group_key": group.keys.primary_b64,
        "document": stations.document(
            id_scope=local.id_scope,
            endpoint="localhost",
            port=local.mqtt_port,
            ntp=f"{local.host}:{local.sntp_port}",
        ),
    }
    with _line() as line:
        for at in BOUNDARIES:
            ended, said = _run(line, asked | {"at": at})
            assert ended == -signal.SIGKILL, (at, said)
            _check_cut(tmp_path, at)
        assert _run(line, asked | {"at": None}) == [0, [NAME, "skipped", ""]]
    _check_end(tmp_path, unit, keys.derive(group.keys.primary_b64, NAME))
    assert local.telemetry(NAME)


@contextmanager
def _line() -> Iterator["subprocess.Popen[str]"]:
    """A process that starts a line for each that is asked of it."""
    words = [sys.executable, "-m", "tests.line.killed"]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as line:
        try:
            yield line
        finally:
            line.kill()


def _run(line: "subprocess.Popen[str]", asked: dict[str, Any]) -> Any:
    """How the process ended, and what it said of the unit."""
    assert line.stdin
    assert line.stdout
    line.stdin.write(json.dumps(asked) + "\n")
    line.stdin.flush()
    return json.loads(line.stdout.readline())


def _check_cut(folder: Path, at: str) -> None:
    """The record holds together, and says how far the unit came."""
    with Record.open(folder / "line.db", "looker", notes=folder / "looker") as record:
        record.verify()
        entries = [(entry.stage, entry.outcome) for entry in record.entries()]
    when, stage, outcome = at.split()
    assert entries.count(("unit", "done")) <= 1
    assert (entries[-1:] == [(stage, outcome)]) == (when == "after"), (at, entries)


def _check_end(folder: Path, unit: VirtualBoard, device_key: str) -> None:
    with Record.open(folder / "line.db", "looker", notes=folder / "looker") as record:
        entries = [(entry.stage, entry.outcome) for entry in record.entries()]
        assert entries.count(("unit", "done")) == 1
        assert entries.count(("claim", "done")) == 1
        assert record.history("0a0b0c0d")[-1].stage == "label"
    assert [path.suffix for path in (folder / "labels").iterdir()] == [".zpl"]
    with Repl(unit.port or "") as repl:
        prove(repl, device_key)
