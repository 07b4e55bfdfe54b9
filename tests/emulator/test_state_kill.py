"""kill -9 on the journal at any moment: what was committed is there, and never half of it."""

import os
import random
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from firstlight.emulator.state import SqliteJournal

from .killing import DYING

# Writes batches as fast as it can, and says each one's number once it is committed.
WRITER = """
import os, sys
from firstlight.emulator.state import *
journal = SqliteJournal(Path(sys.argv[1]))
number = int(sys.argv[2])
while True:
    for part in "abcde":
        journal.put("batch", f"{number}{part}", {"body": part * 500 * (number % 7)})
        journal.delete("batch", f"{number - 20}{part}")
    journal.put("last", "number", {"number": number})
    journal.commit()
    os.write(1, b"%d\\n" % number)
    number += 1
"""

# Forks; each child does the same work and kills itself after one more step of SQLite's machine.
STEPPER = f"""{DYING}
from firstlight.emulator.state import *
path = Path(sys.argv[1])

def work():
    journal = SqliteJournal(path)
    before = set(key for key, _ in journal.load("batch"))
    journal.put("batch", str(len(before)), dict())
    for part in "ab":
        journal.put("pair", part, dict(number=len(before)))
    journal.commit()
    journal.close()

steps, kills, ended = 0, 0, False
while not ended:
    steps += 1
    if steps % 2:
        for name in os.listdir(path.parent):
            os.unlink(path.parent / name)
    pid = os.fork()
    if pid == 0:
        die_after(steps)
        work()
        os._exit(0)
    ended = os.waitpid(pid, 0)[1] == 0
    kills += not ended
    # Whoever comes next finds a file that is whole, and can go on.
    journal = SqliteJournal(path)
    pair = [document["number"] for _, document in journal.load("pair")]
    count = len(list(journal.load("batch")))
    assert pair in ([], [count - 1] * 2), (pair, count)
    journal.close()
    assert [one.name for one in path.parent.iterdir()] == [path.name]
print(kills)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def test_a_process_that_is_killed_in_any_step_leaves_a_whole_file(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEPPER, str(path)], check=False, capture_output=True, timeout=100
    )
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout) > 50


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_committed_survives_kill_9_and_nothing_is_torn(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    first = 0
    for _ in range(5):
        said = last_said(path, first, acknowledgements=chance.choice([1, 2, 30, 200]))
        with closing(SqliteJournal(path)) as journal:
            [(_, last)] = journal.load("last")
            keys = [key for key, _ in journal.load("batch")]
            assert all(d["body"][:1] in ("", key[-1]) for key, d in journal.load("batch"))
        number = last["number"]
        assert number in (said, said + 1)
        expected = range(max(0, number - 19), number + 1)
        assert keys == [f"{n}{part}" for n in expected for part in "abcde"]
        first = number + 1


def last_said(path: Path, first: int, acknowledgements: int) -> int:
    """Run the writer, kill it right after so many acknowledgements, give the last one's number."""
    command = [sys.executable, "-c", WRITER, str(path), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(acknowledgements)]
        os.kill(writer.pid, signal.SIGKILL)
        lines += writer.stdout.readlines()
    return int(lines[-1])
