"""`make bench`: the local Azure beside servers that do less, on this machine, in this run.

Prints rates, processor time and memory; only their ratios mean anything on another machine. Then
a line's units side by side, keys derived, and days of a board's life in some minutes. Ends with 1
when a target is missed. --quick proves that the bench itself works, and judges nothing.
Needs Linux, whose /proc tells what a process costs.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench import deriving, making, memory, rates, servers, soak, starting
from tests.bench.figures import QUICK, Size, Target, exit_code
from tests.bench.processes import BenchError

_PARTS = {
    "start": starting.starts,
    "register": rates.registrations,
    "telemetry": rates.telemetry,
    "memory": memory.residents,
    "derive": deriving.derivations,
    "line": making.makings,
    "soak": soak.soaks,
}


def main(arguments: list[str]) -> int:
    """Measure, print, judge; the exit code: 1 for a target that was missed, 2 for no result."""
    size, parts = _options(arguments)
    if not Path("/proc/self/stat").exists():
        print(
            "the bench needs Linux, whose /proc tells what a server costs",
            file=sys.stderr,
        )
        return 2
    program = servers.mosquitto_program()
    if program is None:
        print("mosquitto is missing (make system): its rows are left out\n")
    targets: list[Target] = []
    with tempfile.TemporaryDirectory(prefix="firstlight-bench-") as name:
        try:
            for part in parts:
                folder = Path(name) / part
                folder.mkdir()
                targets += _PARTS[part](size, folder, program)
        except BenchError as error:
            print(f"the bench failed: {error}", file=sys.stderr)
            return 2
    print("\n".join(target.text() for target in targets))
    return exit_code(targets)


def _options(arguments: list[str]) -> tuple[Size, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="The local Azure beside servers that do less. 1: a target was missed.",
    )
    parser.add_argument("--quick", action="store_true", help="very little of everything")
    parser.add_argument("--rounds", type=int, help="measurements of each rate")
    parser.add_argument("--devices", type=int, help="devices connected at a time")
    parser.add_argument("--only", choices=_PARTS, help="one part alone")
    chosen = parser.parse_args(arguments)
    size = QUICK if chosen.quick else Size()
    rounds, devices = chosen.rounds or size.rounds, chosen.devices or size.devices
    if min(rounds, devices) < 1:
        parser.error("there must be at least one")
    parts = [chosen.only] if chosen.only else list(_PARTS)
    return replace(size, rounds=rounds, devices=devices), parts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
