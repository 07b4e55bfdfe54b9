"""A factory line on one machine: eight mixed virtual units, one failing, one pulled out at work.

Every part is the real one: esptool writes through a boot loader, a UF2 goes onto a drive,
mpremote's transport injects, MicroPython boots over verified TLS into a local Azure, the record is
SQLite's. Prints nothing; raises ToolError if the record is not right in the end.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from . import azure, boards
from .demo import APP, WIFI
from .emulator.running import RunningAzure, running_azure
from .emulator.settings import Settings
from .errors import ToolError
from .flash.whole import pieces
from .groupkey import MemoryKey
from .line.credentials import GroupKeys
from .line.rows import Row
from .line.run import Line
from .line.screen import Screen
from .line.seats import Seats, Wanted
from .line.station import Flashing, Labelling, Station
from .line.unit import Result
from .record.record import Record
from .roots import roots_from
from .stage import StagedFile, plan
from .tray import Tray
from .tray import make as make_tray

_GROUP = "demo-line"
_FIRST_BOOT_S = 90.0
_LIMIT_S = 240.0  # for a line that does not come to its end
_WANTED = ("flash", "inject", "prove", "boot", "unit", "label")
WORN, PULLED = "unit-6", "unit-2"  # ESP32s both


@dataclass(frozen=True)
class Story:
    """What the demo showed. record: its file; heard: ids that the hub has telemetry of."""

    results: list[Result]
    seconds: list[float]
    record: Path
    heard: set[str]


@dataclass
class _Hand:
    """The operator's: pulls one unit out while it is flashed, and plugs it in again."""

    tray: Tray
    screen: Screen
    tell: Callable[[str], None]
    done: list[str] = field(default_factory=list)

    def show(self, rows: Sequence[Row]) -> None:
        """Look at the screen, and act."""
        self.screen.show(rows)
        there = {row.seat: row for row in rows}
        row = there.get(PULLED)
        if not self.done and row is not None and _is_busy(row):
            self.tray.pull(PULLED)
            self._note(f"{PULLED} is pulled out while it is at work")
        elif len(self.done) == 1 and row is None:
            self.tray.put_back(PULLED)
            self._note(f"{PULLED} is plugged in again")

    def _note(self, text: str) -> None:
        self.done.append(text)
        self.tell(text)


def _is_busy(row: Row) -> bool:
    """Whether its flash is half written, or it is further than that."""
    is_flashed = row.stage in ("inject", "prove", "boot")
    return is_flashed or (row.stage == "flash" and (row.progress or 0) > 0.2)


def play(folder: Path, screen: Screen, tell: Callable[[str], None], jobs: int = 8) -> Story:
    """Play it in folder, which must be empty, with so many jobs, units at a time.

    Raise ToolError if anything is not as it must be.
    """
    settings = Settings(mqtt_port=0, https_port=0, retry_after_s=1, folder=folder / "azure")
    with ExitStack() as stack:
        local = stack.enter_context(running_azure(settings, lambda _: None))
        tray = make_tray(folder / "tray", dict([WIFI]))
        tray.wear(WORN)
        stack.enter_context(tray)
        tell(f"DPS and a hub are up; a tray of {len(tray.units)} bare units is plugged in")
        record = stack.enter_context(
            Record.open(folder / "line.db", "demo", notes=folder / "heads")
        )
        station = _station(folder, local, tray, record)
        hand: Any = _Hand(tray, screen, tell)
        line = Line(station, hand, jobs)
        guard = threading.Timer(_LIMIT_S, line.draining.set)
        guard.start()
        line.run(count=len(tray.units) + 1)  # the one that is pulled out comes twice
        guard.cancel()
        heard = {name for name in _passed(line.results) if local.telemetry(name)}
        _check(line.results, record, heard, hand.done)
    return Story(line.results, line.seconds, folder / "line.db", heard)


def _station(folder: Path, local: RunningAzure, tray: Tray, record: Record) -> Station:
    files = [_fast(file) for file in plan(True, roots_from(local.root_pem))]
    kinds = {name: boards.load(name) for name in sorted({unit.kind for unit in tray.units})}
    parts = {name: pieces(board, None, files) for name, board in kinds.items()}
    made = {
        name: Flashing(part, sha256(b"".join(piece.data for piece in part)).hexdigest())
        for name, part in parts.items()
    }
    wanted = [
        Wanted(board, tuple(str(unit.folder) for unit in tray.units if unit.kind == name))
        for name, board in kinds.items()
    ]
    return Station(
        record=record,
        seats=Seats(wanted),
        wanted=_WANTED,
        document=_document(local),
        credentials=GroupKeys(MemoryKey(_enrolled(local), "the group key")),
        files=lambda _: files,
        flashing=lambda board: made[board.id],
        first_boot_s=_FIRST_BOOT_S,
        labelling=Labelling(folder / "labels", ("qr.png", "zpl")),
    )


def _enrolled(local: RunningAzure) -> str:
    service = azure.Service(azure.parse_connection(local.connection_string), local.root_pem)
    document = {"enrollmentGroupId": _GROUP, "attestation": {"type": "symmetricKey"}}
    service.create("enrollmentGroups", _GROUP, document)
    return service.key_pair("enrollmentGroups", _GROUP)[0]


def _document(local: RunningAzure) -> dict[str, Any]:
    return {
        "version": 1,
        "id_scope": local.id_scope,
        "endpoint": "localhost",
        "port": local.mqtt_port,
        "ntp": f"{local.host}:{local.sntp_port}",
        "wifi": [{"ssid": WIFI[0], "password": WIFI[1]}],
    }


def _fast(file: StagedFile) -> StagedFile:
    """The example's app sends once a minute; nobody waits that long for a demo."""
    return replace(file, data=APP.encode(), keep=False) if file.path == "/app.py" else file


def _passed(results: Sequence[Result]) -> set[str]:
    return {result.name for result in results if result.state == "passed"}


def _check(results: Sequence[Result], record: Record, heard: set[str], done: list[str]) -> None:
    """The record must say what happened: nothing more, nothing less."""
    record.verify()
    entries = list(record.entries())
    units = [entry.registration_id for entry in entries if entry.stage == "unit"]
    failed = [entry for entry in entries if entry.outcome == "failed"]
    _require(len(done) == 2, "the unit was not pulled out and plugged in again")
    why = "; ".join(f"{Path(one.seat).name}: {one.cause}" for one in results if one.cause)
    _require(len(units) == len(set(units)) == 7, f"{len(units)} units are recorded, not 7: {why}")
    _require(set(units) == _passed(results) == heard, "the hub and the record do not agree")
    _require(
        [entry.stage for entry in failed if entry.seat == WORN] == ["flash"],
        "the unit whose flash is worn out is not recorded as failed when it was flashed",
    )
    _require(
        {entry.seat for entry in failed} <= {WORN, PULLED},
        "a unit failed that should not have",
    )


def _require(held: bool, reason: str) -> None:
    if not held:
        raise ToolError(f"the demo failed: {reason}")
