"""guard.py: what a process with a key leaves behind when it crashes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from firstlight import guard
from tests.leaks import find_secrets

G = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="prctl and /proc are Linux's")

# Allows itself a core, as `ulimit -c unlimited` does, reads a key, and meets a signal.
_CRASHES = """
import os, resource, sys
limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
if sys.argv[1] == "guarded":
    from firstlight.guard import guard
    guard()
key = sys.stdin.readline()
os.kill(os.getpid(), int(sys.argv[2]))
"""
_TELLS = """
import ctypes, resource
from firstlight.guard import guard
guard()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def crash(how: str, number: int, folder: Path) -> list[Path]:
    """The files that a process with a key leaves in its folder when a signal ends it."""
    words = [sys.executable, "-c", _CRASHES, how, str(number)]
    done = subprocess.run(words, cwd=folder, input=f"{G}\n", text=True, check=False)
    assert done.returncode == -number
    return list(folder.iterdir())


@LINUX
@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_crash_leaves_no_core(number: int, tmp_path: Path) -> None:
    assert crash("guarded", number, tmp_path) == []


@LINUX
def test_without_the_guard_the_key_is_in_the_core(tmp_path: Path) -> None:
    cores = crash("bare", signal.SIGABRT, tmp_path)
    if not cores:
        pytest.skip("this system puts its core dumps elsewhere, or makes none")
    assert any(G.encode() in core.read_bytes() for core in cores)


@LINUX
def test_no_core_and_no_reader_are_allowed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TELLS], capture_output=True, text=True, check=True
    )
    assert done.stdout == "(0, 0) 0\n"


@LINUX
def test_the_command_line_is_guarded_before_it_reads_a_key(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "from firstlight.cli import main; main()"]
    # Refused before a key is read, after the guard; and what may be a key is not repeated.
    words += ["keys", "derive", "a", G, "--group-key", "file:none"]
    code = (
        "import atexit, resource; "
        "atexit.register(lambda: print(resource.getrlimit(resource.RLIMIT_CORE))); "
    )
    words[2] = code + words[2]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "(0, 0)\n")
    assert "unexpected extra argument (***)" in done.stderr


_NAMES: dict[str, str] = {}


def fails(key: str) -> None:
    """Fail as code does that nobody foresaw: with the key in the exception's text."""
    try:
        int(key)
    except ValueError:
        _NAMES[key]


def test_a_traceback_shows_places_and_no_values() -> None:
    with pytest.raises(KeyError) as caught:
        fails(G)
    text = guard.report(caught.value)
    assert G[:16] not in text
    assert "ValueError, at" in text
    assert text.index("ValueError") < text.index("KeyError, at")
    assert "in fails\n    int(key)\n" in text
    assert text.endswith(
        "firstlight: this is a bug: please report the lines above; "
        "they show places in the code, and no values\n"
    )


def test_causes_that_go_in_a_circle_end() -> None:
    first, second = ValueError(G), KeyError(G)
    first.__context__, second.__context__ = second, first
    assert guard.report(first).count("Error, at") == 2


_BUGS = {
    "the main thread": "raise KeyError(key)",
    "another thread": """
import threading
def work(key): raise KeyError(key)
thread = threading.Thread(target=work, args=[key]); thread.start(); thread.join()
""",
    "a finalizer": """
class Held:
    def __del__(self): raise KeyError(key)
Held()
""",
}


@pytest.mark.parametrize("where", _BUGS)
def test_a_bug_shows_no_key_wherever_it_is(where: str, tmp_path: Path) -> None:
    start = "import sys\nfrom firstlight.guard import guard\nguard()\nkey = sys.stdin.readline()\n"
    done = subprocess.run(
        [sys.executable, "-c", start + _BUGS[where]],
        input=G,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "KeyError, at" in done.stderr
    assert "this is a bug" in done.stderr
    assert find_secrets((done.stdout + done.stderr).encode(), {"the key": G}) == []


def test_a_thread_that_ends_itself_is_no_bug() -> None:
    code = (
        "import threading\nfrom firstlight.guard import guard\nguard()\n"
        "thread = threading.Thread(target=exit); thread.start(); thread.join()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@LINUX
def test_a_child_program_reads_what_a_guarded_process_hands_it_in_memory() -> None:
    """As NVS images are handed to esptool: on a descriptor, by its name, and not as a file."""
    code = (
        "import contextlib, ctypes, os, subprocess\nfrom firstlight.guard import guard\n"
        # Root may read anything: be another, once what must be imported is.
        "with contextlib.suppress(PermissionError):\n"
        "    os.setgroups([]), os.setgid(65534), os.setuid(65534)\n"
        "guard()\nheld = os.memfd_create('identity')\nos.write(held, b'in memory, ')\n"
        "assert open(f'/proc/self/fd/{held}').read() == 'in memory, '\n"
        "subprocess.run(['cat', f'/dev/fd/{held}'], pass_fds=[held], check=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("in memory, ", "")
