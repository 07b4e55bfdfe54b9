"""Runs one unit through a line, and is killed at one boundary, as by a power cut.

On standard input, JSON: {"record", "unit", "root", "labels", "document", "at"}; at: "before inject
begun", say; none: it is not killed. Prints how the unit ended.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from firstlight.line.unit import Unit
from firstlight.record.record import Record
from tests.line import stations


class Deadly:
    """A record whose process dies before or after one entry."""

    def __init__(self, record: Record, at: str | None) -> None:
        self._record, self._at = record, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)

    def append(self, *, stage: str, outcome: str, **words: Any) -> Any:
        self._come_to(f"before {stage} {outcome}")
        entry = self._record.append(stage=stage, outcome=outcome, **words)
        self._come_to(f"after {stage} {outcome}")
        return entry

    def claim(self, *words: Any) -> str:
        self._come_to("before claim done")
        name = self._record.claim(*words)
        self._come_to("after claim done")
        return name

    def _come_to(self, boundary: str) -> None:
        if boundary == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def main(asked: dict[str, Any]) -> None:
    with Record.open(asked["record"], "killed", notes=Path(asked["heads"])) as record:
        deadly: Any = Deadly(record, asked["at"])
        station = stations.station(
            deadly,
            {"VIRTUAL": [asked["unit"]]},
            stations.files_for(Path(asked["root"])),
            labels=Path(asked["labels"]),
            group_key=asked["group_key"],
            document=asked["document"],
            wanted=("flash", "inject", "prove", "boot", "unit", "label"),
            first_boot_s=60.0,
        )
        (sighting,) = station.seats.look()
        result = Unit(station, sighting).run()
    print(json.dumps([result.name, result.state, result.cause]))


main(json.loads(sys.stdin.readline()))
