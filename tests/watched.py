"""Runs a command and looks, while it runs, at what the system shows of it and of its children.

Anybody may read a process's arguments in /proc; its user, and children of it, the environment.
Linux only.
"""

import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_LOOK_S = 0.004
_TIMEOUT_S = 60.0


@dataclass
class Watched:
    """What was seen. arguments: of all its processes; environments: of its children alone."""

    returncode: int = -1
    stdout: bytes = b""
    stderr: bytes = b""
    arguments: set[bytes] = field(default_factory=set)
    environments: set[bytes] = field(default_factory=set)

    def shown(self) -> bytes:
        """All that others could have seen."""
        parts = [self.stdout, self.stderr, *self.arguments, *self.environments]
        return b"\n".join(parts)


def run_watched(
    words: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, stdin: str = ""
) -> Watched:
    """Run a command to its end, watching."""
    found, ended = Watched(), threading.Event()
    with subprocess.Popen(
        [str(word) for word in words],
        env=env,
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        watcher = threading.Thread(target=_watch, args=[process.pid, found, ended])
        watcher.start()
        try:
            found.stdout, found.stderr = process.communicate(stdin.encode(), _TIMEOUT_S)
        finally:
            process.kill()
            ended.set()
            watcher.join()
    found.returncode = process.returncode
    return found


def _watch(pid: int, found: Watched, ended: threading.Event) -> None:
    while not ended.wait(_LOOK_S):
        look(pid, found)


def look(pid: int, found: Watched) -> None:
    """Note what is to be seen of a process now.

    A child that is not another program yet is the process itself, seen twice.
    """
    own = _read(pid, "cmdline")
    for each in _family(pid):
        arguments = _read(each, "cmdline")
        found.arguments.add(arguments)
        if arguments != own:
            found.environments.add(_read(each, "environ"))


def _family(pid: int) -> Iterator[int]:
    """The process and all below it."""
    yield pid
    for task in _tasks(pid):
        for child in _read(pid, f"task/{task}/children").split():
            yield from _family(int(child))


def _tasks(pid: int) -> list[str]:
    try:
        return [path.name for path in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def _read(pid: int, name: str) -> bytes:
    """What /proc shows; nothing of a process that has ended, or that is guarded from this user."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
