"""The child processes of a bench, from outside: what they cost, as Linux accounts for it.

A child is ended by the handle that started it, and never by a name.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.bench.fleet import Job

ROOT = Path(__file__).parents[2]
_END_S = 20.0
_QUIET_S = 0.05
_IDLE_S = 0.001  # what a server with nothing to do may still take in that time


class BenchError(Exception):
    """A child did not do what it was started for; why, in one sentence."""


@dataclass(frozen=True)
class Reading:
    """What a number of devices took: how many a second, and microseconds of processor for each."""

    rate: float
    server_us: float
    client_us: float


@dataclass(frozen=True)
class Server:
    """A child that serves; job: what a fleet needs to know of it."""

    process: subprocess.Popen[bytes]
    job: Job

    def cpu_s(self) -> float:
        """Seconds of processor time so far, of all its threads."""
        # clock_getcpuclockid(3): a process's own clock, which knows less than a tick.
        try:
            return time.clock_gettime(~self.process.pid << 3 | 2)
        except OSError:
            raise _gone() from None

    def resident_bytes(self) -> int:
        """Its resident memory."""
        lines = dict(line.split(":", 1) for line in _proc(self.process.pid, "status").splitlines())
        return int(lines["VmRSS"].split()[0]) * 1024

    def settled_cpu_s(self) -> float:
        """cpu_s once it rests, for closing is work too; raise BenchError if it never does."""
        deadline_s = time.monotonic() + _END_S
        last, now = -1.0, self.cpu_s()
        while now - last > _IDLE_S:
            if time.monotonic() > deadline_s:
                raise BenchError("a server does not come to rest")
            time.sleep(_QUIET_S)
            last, now = now, self.cpu_s()
        return now


def _proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        raise _gone() from None


def _gone() -> BenchError:
    return BenchError("a server has ended before its time")


@contextmanager
def child(command: list[str], out: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program and end it; all it prints goes to a file, or nowhere."""
    with ExitStack() as stack:
        sink = stack.enter_context(out.open("wb")) if out else subprocess.DEVNULL
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Crew:
    """Some processes that share the devices of a job."""

    def __init__(self, server: Server, job: Job, processes: int) -> None:
        self._server = server
        self._count = job.count
        self._each = job.each
        self._fleets: list[_Fleet] = []
        try:
            for part in _parts(job, processes):
                self._fleets.append(_Fleet(part))
            for fleet in self._fleets:
                fleet.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for fleet in self._fleets:
            fleet.end()

    def act(self) -> Reading:
        """Let every device act once. Raise BenchError if one fails."""
        return self._measure("act", self._count)

    def send(self) -> Reading:
        """Let every connected device send its telemetry; figures are of one message."""
        return self._measure("send", self._count * self._each)

    def _measure(self, what: str, count: int) -> Reading:
        before_s = self._server.settled_cpu_s()
        for fleet in self._fleets:
            fleet.tell(what)
        results = [fleet.result() for fleet in self._fleets]
        for failure in [text for result in results for text in result["failures"]]:
            raise BenchError(f"a device failed: {failure}")
        server_s = self._server.settled_cpu_s() - before_s
        span_s = max(r["ended"] for r in results) - min(r["began"] for r in results)
        client_s = sum(r["cpu_s"] for r in results)
        return Reading(count / span_s, server_s / count * 1e6, client_s / count * 1e6)


class _Fleet:
    """One process of tests/bench/fleet.py."""

    def __init__(self, job: Job) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.fleet"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.tell(json.dumps(asdict(job)))

    def wait_until_ready(self) -> None:
        if self._line() != "ready":
            raise BenchError("a fleet did not start")

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        line = self._line()
        if not line:
            raise BenchError("a fleet ended before its time")
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        """Close its stdin, upon which it ends."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _line(self) -> str:
        # Every wait of a fleet is bounded by its own sockets' time-out.
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _parts(job: Job, processes: int) -> list[Job]:
    """The job in parts, one for each process."""
    bounds = [job.count * i // processes for i in range(processes + 1)]
    return [
        replace(job, first=job.first + start, count=end - start)
        for start, end in pairwise(bounds)
        if end > start
    ]
