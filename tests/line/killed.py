"""Takes one unit through a line again and again, killed at one boundary, as by a power cut.

Each line of standard input is JSON: {"record", "unit", "root", "labels", "document", "at"}; at:
"before inject begun", say; none: it is not killed. Prints for each how its process ended, and how
the unit did. The processes are forked, so that one import serves them all.
"""

import json
import os
import signal
import sys
import traceback
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


def unit(asked: dict[str, Any]) -> list[str]:
    with Record.open(asked["record"], "killed", notes=Path(asked["heads"])) as record:
        deadly: Any = Deadly(record, asked["at"])
        station = stations.station(
            deadly,
            {"VIRTUAL": [asked["unit"]]},
            stations.files_for(Path(asked["root"])),
            labels=Path(asked["labels"]),
            credentials=stations.group_keys(asked["group_key"]),
            document=asked["document"],
            wanted=("flash", "inject", "prove", "boot", "unit", "label"),
            first_boot_s=60.0,
        )
        (sighting,) = station.seats.look()
        result = Unit(station, sighting).run()
    return [result.name, result.state, result.cause]


def apart(asked: dict[str, Any]) -> tuple[int, list[str]]:
    """Take it through in a process of its own: how that ended, and what it said."""
    end, said = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(said, json.dumps(unit(asked)).encode())
            os._exit(0)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(said)
    with os.fdopen(end) as heard:
        text = heard.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), json.loads(text or "[]")


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(apart(json.loads(line))), flush=True)
