"""Days of a board's life in minutes: telemetry each minute, renewals, random faults, little heap.

The firmware is the real one, on a virtual board whose waits are short (boards/VIRTUAL/_fast.py),
and whose TLS sessions take 16 KB and 4 KB of MicroPython's heap, in a piece each, as on a Pico W.
What is judged are counts and bytes, never times.
"""

import json
import random
import re
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

from firstlight.boardlog import LogReader
from firstlight.emulator.hub.telemetry import Message
from firstlight.emulator.running import running_azure
from firstlight.emulator.settings import Settings
from tests.bench.figures import Size, Target, row
from tests.bench.processes import BenchError
from tests.chaos.field import Field, make_site
from tests.chaos.proxy import Proxy
from tests.e2e.bench import NAME
from tests.size import HEAP_KB

_SPEED = 20_000
_SEED = 4
_REAL_S, _QUICK_S = 300.0, 12.0
_PER_DAY = 1440
_TLS_BYTES = 16384 + 4096
# What tests/size.py grants a first boot; beside it an outbox that an hour's outage has filled (60
# messages, 20 KB where a word has 64 bits), and room between the pieces for 16 KB in one.
_HEAP_KB = HEAP_KB + 32
_GROWTH_BYTES = 512  # within which the heap's own granules and caches come and go
_BLOCK_BYTES = 32  # of MicroPython's heap, where a word has 64 bits
_STALL_S = 60.0
_NO_MEMORY = "ENOMEM"
_APP = """\
import gc
import micropython
import os

INTERVAL_S = {interval_s}
OUTBOX = {outbox}
KEEP = {keep}
boot = os.urandom(4).hex()
count = 0


def sample():
    global count
    count += 1
    gc.collect()
    if count % 8 == 0:
        micropython.mem_info()
    return {{"boot": boot, "count": count}}
"""
_USED = re.compile(r"GC: total: \d+, used: (\d+)")  # as micropython.mem_info() prints
_DROPPED = re.compile(r'"dropped": (\d+)')  # in the status line
_PIECE = re.compile(r"max free sz: (\d+)")
_FAULTS: tuple[tuple[str, Callable[[Field], object]], ...] = (
    ("telemetry-puback drop times=1", lambda _: None),
    ("telemetry close end=reset times=1", lambda _: None),
    ("telemetry ignore times=1", lambda _: None),
    ("connack drop part=hub times=1", Field.kick),
    ("connect refuse code=3 part=hub times=2", Field.kick),
    ("hello cut bytes=100 end=hold times=1", Field.kick),
    ("hello certificate kind=expired times=2", Field.kick),
    ("packet-out split size=1 times=40", Field.kick),
    ("accept close times=3", Field.kick),
    ("register refuse status=429 retry_after=5 times=1", Field.reprovision),
    ("register refuse status=500 times=2", Field.reprovision),
    ("poll-answer body text=<html> times=1", Field.reprovision),
    ("poll close end=reset times=1", Field.reprovision),
    ("connect refuse code=5 part=hub times=1", Field.kick),
    ("", lambda field: field.proxy.cut("hole")),
    ("", lambda field: field.proxy.cut("reset")),
)


@dataclass
class Life:
    """What was seen of a board so far. used, free: bytes of its heap, and of the largest piece.

    failures: that it told; without_memory: those for want of it; dropped: messages that its
    outbox could not hold, as it told; boots, faults: its own.
    """

    counts: dict[str, set[int]] = field(default_factory=dict)
    messages: int = 0
    strikes: int = 0
    used: list[int] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    renewals: int = 0
    failures: int = 0
    without_memory: int = 0
    dropped: int = 0
    boots: int = 0
    faults: int = 0
    _is_planned: bool = False
    _rest: str = ""

    @property
    def given(self) -> int:
        """Messages, each once."""
        return sum(map(len, self.counts.values()))

    @property
    def lost(self) -> int:
        """Messages that are missing though a later one came."""
        return sum(max(found) - len(found) for found in self.counts.values())

    def hear(self, text: str) -> None:
        """Take what the console said."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._hear(line)

    def _hear(self, line: str) -> None:
        self.boots += "ms  id " in line
        self.faults += "ms  fault " in line
        if "failed: " in line:
            self.failures += 1
            self.without_memory += _NO_MEMORY in line
            self._is_planned = False
        elif " connected to " in line:
            self.renewals += self._is_planned
            self._is_planned = True
        self.dropped = max([self.dropped, *map(int, _DROPPED.findall(line))])
        self.used += [int(used) for used in _USED.findall(line)]
        self.free += [int(blocks) * _BLOCK_BYTES for blocks in _PIECE.findall(line)]


def soaks(size: Size, folder: Path, program: str | None) -> list[Target]:
    """Let a board live, print what became of it, and judge."""
    settings = Settings(
        mqtt_port=0,
        https_port=0,
        retry_after_s=1,
        folder=folder / "azure",
        polls_per_10_s=None,
        registrations_per_minute=None,
        operations_per_minute=None,
    )
    with running_azure(settings) as azure, Proxy(azure.mqtt_port) as proxy:
        site = make_site(folder, azure, proxy)
        heap = _HEAP_KB * 1024 + _TLS_BYTES
        told: dict[str, Any] = {"speed": _SPEED, "heap_bytes": heap, "tls_in_heap": True}
        # What the board said is for tests that fail.
        with redirect_stdout(StringIO()), Field(folder / "board", site, app=_APP, **told) as board:
            life = _live(board, _QUICK_S if size.is_quick else _REAL_S)
    _print(life)
    return judged(life, size.is_quick)


def _live(board: Field, real_s: float) -> Life:
    life, dice = Life(), random.Random(_SEED)
    log = LogReader(board.board.folder)
    last = board.azure.call(lambda azure: azure.messages.received)
    began_s = moved_s = time.monotonic()
    due = dice.randint(20, 60)
    while time.monotonic() - began_s < real_s:
        time.sleep(0.1)
        life.hear(log.read().decode(errors="replace"))
        for message in _since(board, last):
            last, moved_s = message.sequence, time.monotonic()
            body = json.loads(message.body)
            life.counts.setdefault(body["boot"], set()).add(body["count"])
            life.messages += 1
        if life.given >= due:
            words, provoke = dice.choice(_FAULTS)
            board.peace()
            if words:
                board.azure.add_fault(words)
            provoke(board)
            life.strikes += 1
            due = life.given + dice.randint(20, 240)
        if time.monotonic() - moved_s > _STALL_S:
            raise BenchError(f"the board sends no more: {board.said()[-300:]!r}")
    log.close()
    return life


def _since(board: Field, sequence: int) -> list[Message]:
    return board.azure.call(lambda azure: azure.messages.select(None, NAME, sequence))


def _print(life: Life) -> None:
    first, end = _fifths(life.used)
    figures = (
        ("heap for all but TLS, in KB", str(_HEAP_KB)),
        ("days of a message a minute", f"{life.given / _PER_DAY:.1f}"),
        ("messages", str(life.given)),
        ("came twice", str(life.messages - life.given)),
        ("lost", str(life.lost)),
        ("dropped, as the board told", str(life.dropped)),
        ("tokens renewed", str(life.renewals)),
        ("faults", str(life.strikes)),
        ("failures that the board told", str(life.failures)),
        ("heap in use, first fifth", str(first)),  # the stand-ins' part included
        ("heap in use, last fifth", str(end)),
        ("largest free piece beside TLS", str(min(life.free, default=0))),
    )
    print(row("a board's life", ["", ""]))
    print("\n".join(row(name, [value]) for name, value in figures) + "\n")


def judged(life: Life, is_quick: bool) -> list[Target]:
    """What must hold; is_quick: too little was seen to say."""
    first, end = _fifths(life.used)
    without, resets = life.without_memory, life.boots - 1
    verdicts = (
        (
            "a soak loses no message but what a full outbox drops, and tells",
            f"{life.lost} lost, {life.dropped} told",
            life.lost <= life.dropped,
        ),
        ("its heap does not grow", f"{first} to {end} bytes", end <= first + _GROWTH_BYTES),
        ("each TLS session found 16 KB and 4 KB", f"{without} did not", without == 0),
        ("the board was never reset", f"{resets} times", resets + life.faults == 0),
        ("it renewed its tokens", f"{life.renewals} times", life.renewals > 0),
    )
    return [Target(what, found, None if is_quick else met) for what, found, met in verdicts]


def _fifths(values: list[int]) -> tuple[int, int]:
    """The medians of the first and of the last fifth; zeros for too few."""
    count = len(values) // 5
    if not count:
        return 0, 0
    return int(median(values[:count])), int(median(values[-count:]))
