"""What a line's time goes into: units side by side beside one after another, and one injection
beside the same files copied by the plain mpremote command line.

The units are virtual boards with an erased flash, on this machine's own processors: on real ones,
which the PC mostly waits for, side by side gains more.
"""

import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstlight.inject import checked
from firstlight.line.run import Line
from firstlight.record.record import Record
from firstlight.roots import azure_roots
from firstlight.stage import StagedFile, plan
from firstlight.virtual import VirtualBoard, make
from tests.bench import servers
from tests.bench.figures import Size, Target, ratios, row, table
from tests.bench.processes import BenchError
from tests.line import stations

_UNITS = 8
_ROUNDS = 3
_KEY = b64encode(b"k" * 32).decode()
_NAME = "virtual-a1b2c3d4e5f6"
_IDENTITY = {"id_scope": "0ne00111111", "wifi": [{"ssid": "home"}]}
_COMMAND_S = 120


class _Nobody:
    """Nobody looks at the line."""

    def show(self, rows: Sequence[Any]) -> None:
        """Show nothing."""


def makings(size: Size, folder: Path, _program: str | None) -> list[Target]:
    """A line with one unit at a time and with all at once; inject and mpremote."""
    units, rounds = (2, 1) if size.is_quick else (_UNITS, min(size.rounds, _ROUNDS))
    files = plan(True, azure_roots())
    one, all_at_once, ours, plain = "one after another", "side by side", "inject", "mpremote cp"
    found: dict[str, list[float]] = {name: [] for name in (one, all_at_once, ours, plain)}
    for i in range(rounds):
        found[one].append(_line_s(folder / f"one-{i}", units, 1, files))
        found[all_at_once].append(_line_s(folder / f"all-{i}", units, units, files))
        found[ours].append(_inject_s(folder / f"inject-{i}"))
        found[plain].append(_mpremote_s(folder / f"mpremote-{i}", files))
    print(table(f"{units} units, or one; seconds", found, lambda seconds: seconds, 2))
    gained = ratios(found[one], found[all_at_once])
    slower = ratios(found[ours], found[plain])
    print(row(f"{one} / {all_at_once}", gained.columns(2)))
    print(row(f"{ours} / {plain}", slower.columns(2)) + "\n")
    judged = not size.is_quick
    return [
        Target(
            "units side by side take less time than one after another",
            f"{gained.middle:.2f} times as fast",
            gained.middle > 1 if judged else None,
        ),
        Target(
            "inject, with its proof, is no slower than mpremote's bare copy",
            f"{slower.middle:.2f} of its time",
            slower.middle < 1 if judged else None,
        ),
    ]


def _line_s(folder: Path, units: int, jobs: int, files: list[StagedFile]) -> float:
    with ExitStack() as stack:
        for n in range(units):
            stack.enter_context(_board(folder / f"unit-{n}", bytes([n + 1] * 6)))
        record = stack.enter_context(
            Record.open(folder / "line.db", "bench", notes=folder / "heads")
        )
        station = stations.station(record, {"VIRTUAL": [f"{folder}/unit-*"]}, files)
        station = replace(station, wanted=("inject", "prove", "unit"), flashing=None)
        nobody: Any = _Nobody()
        line = Line(station, nobody, jobs)
        began = time.monotonic()
        line.run(units)
        took_s = time.monotonic() - began
    if {result.state for result in line.results} != {"passed"}:
        raise BenchError(f"units failed: {[result.cause for result in line.results]}")
    return took_s


def _inject_s(folder: Path) -> float:
    with _board(folder / "unit", bytes.fromhex("a1b2c3d4e5f6")) as board:
        words = ["inject", "VIRTUAL", "--port", str(board.port), "--id-scope", "0ne00111111"]
        words += ["--device-key", "env:KEY", "--wifi", "home", "--no-reset"]
        return _command_s([servers.FIRSTLIGHT, *words], folder)


def _mpremote_s(folder: Path, files: list[StagedFile]) -> float:
    staged = folder / "files"
    document = {"version": 1, **_IDENTITY, "registration_id": _NAME}
    raw = checked(document | {"symmetric_key": {"primary": _KEY}})
    for path, data in [(f.path, f.data) for f in files] + [("/identity.json", raw)]:
        place = staged / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    names = sorted(path.name for path in staged.iterdir())
    with _board(folder / "unit", bytes.fromhex("a1b2c3d4e5f6")) as board:
        words = ["connect", str(board.port), "fs", "cp", "-r", *names, ":"]
        return _command_s([sys.executable, "-m", "mpremote", *words], staged)


def _command_s(command: list[str], folder: Path) -> float:
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"KEY": _KEY},
        capture_output=True,
        text=True,
        timeout=_COMMAND_S,
        check=False,
    )
    took_s = time.monotonic() - began
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command[:4])} failed: {(done.stderr or done.stdout)[-200:]}")
    return took_s


@contextmanager
def _board(folder: Path, unique_id: bytes) -> Iterator[VirtualBoard]:
    with make(folder, unique_id=unique_id) as board:
        board.read_console_until(">>> ", 20)
        yield board
