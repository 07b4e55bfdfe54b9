"""A station in a process of its own: `python -m tests.record.stations WHAT URL NAME NOTES ...`.

It opens the record, says "open", waits for a line on standard input, and goes on:

    claim URL NAME NOTES WANTED CHIP...   claims WANTED for the first chip, and the next serial
                                          number's id for the others; prints each, ! if refused
    append URL NAME NOTES                 appends until it is killed; prints NUMBER:DIGEST of each
"""

import itertools
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from firstlight.errors import UsageError
from firstlight.record import record as writing

ROOT = Path(__file__).parents[2]


def main(what: str, url: str, name: str, notes: str, *rest: str) -> None:
    writing.WAITS_S = (0.05,) * 400  # short ones, for a server that is started again at once
    with writing.Record.open(url, name, notes=Path(notes)) as record:
        print("open", flush=True)
        sys.stdin.readline()
        if what == "append":
            for count in itertools.count():
                entry = record.append(stage="flash", outcome="begun", facts={"n": str(count)})
                print(f"{entry.number}:{entry.digest}", flush=True)
        for count, chip in enumerate(rest[1:]):
            try:
                print(record.claim(chip, None if count else rest[0], "lamp-{:06}".format))
            except UsageError:
                print("!")


Station = subprocess.Popen[str]


def start(*calls: Iterable[object]) -> list[Station]:
    """Start stations, each with its own words, and wait until all have opened the record."""
    stations = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.record.stations", *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for words in calls
    ]
    assert [told(station, 1) for station in stations] == [["open"]] * len(stations)
    return stations


def told(station: Station, count: int) -> list[str]:
    """The next lines that a station prints."""
    assert station.stdout is not None
    return [station.stdout.readline().strip() for _ in range(count)]


def kill(stations: list[Station]) -> list[list[str]]:
    """End stations by kill -9; return the whole lines that they had printed until then."""
    for station in stations:
        station.kill()
    return [rest(station) for station in stations]


def rest(station: Station) -> list[str]:
    """All whole lines that a station still prints until it ends."""
    assert station.stdout is not None
    with station:  # not communicate(), which knows nothing of what was read ahead
        return station.stdout.read().rpartition("\n")[0].split()


def go(stations: list[Station]) -> None:
    """Let stations that wait go on, at once."""
    for station in stations:
        assert station.stdin is not None
        station.stdin.write("\n")
        station.stdin.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
