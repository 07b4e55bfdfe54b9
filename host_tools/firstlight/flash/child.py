"""A child process that is watched: its lines as they come, an end to every wait, nothing left.

Never runs a shell, and keeps nothing of what the child says. However this process ends, the child
does too (on Linux, even after a kill -9; elsewhere it ends at its next word).
"""

import codecs
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from ..errors import ToolError

_LOOK_MS = 250
_END_S = 2.0  # from a polite request to a kill
_CHUNK = 65536
_LONGEST = 4096  # characters of a line
_LINE = re.compile("[\r\n]")
_NEEDED = {"HOME", "LANG", "PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR", "USER", "VIRTUAL_ENV"}
_NEEDED_PREFIXES = ("ESPTOOL_", "LC_", "LD_", "XDG_")
# The kernel kills the child when the thread that started it is gone (prctl 1: PR_SET_PDEATHSIG).
# It may have gone before that was asked for, hence the second look.
_LEASH = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, %d)\n"
    "if os.getppid() == int(sys.argv[1]): os.execvp(sys.argv[2], sys.argv[2:])"
)


class Stalled(ToolError):
    """The child was ended. silent: because it said nothing for too long; else it took too long."""

    def __init__(self, silent: bool, seconds: float) -> None:
        super().__init__(
            f"a program that was started {'said nothing for' if silent else 'took more than'} "
            f"{seconds:g} s"
        )
        self.silent = silent


def run(
    argv: Sequence[str],
    hear: Callable[[str], None],
    *,
    silence_s: float,
    limit_s: float,
    fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a program until it ends; return its exit code, -n if signal n ended it.

    hear: is called with each line, ended by \\n or by \\r, and with "" every 0.25 s in between;
    what it raises ends the child. fds: what the child may use of ours. env: more for its
    environment, which has no more of ours than a program needs. Raises Stalled after silence_s
    seconds without a byte or limit_s seconds in all, and ToolError if it cannot be started.
    """
    if shutil.which(argv[0]) is None:
        raise ToolError(f"there is no program {argv[0]} here")
    words = _leashed(argv)
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; we end it
            pass_fds=tuple(fds),
            env={**_environment(), **(env or {})},
        )
    except OSError as error:
        raise ToolError(f"{argv[0]} does not start: {error.strerror}") from None
    try:
        return _follow(process, hear, silence_s, limit_s)
    finally:
        _end(process)


def _follow(
    process: subprocess.Popen[bytes],
    hear: Callable[[str], None],
    silence_s: float,
    limit_s: float,
) -> int:
    assert process.stdout is not None  # noqa: S101  it was opened as a pipe
    lines, decoder = "", codecs.getincrementaldecoder("utf-8")("replace")
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    start = heard = time.monotonic()
    while True:
        ready = poll.poll(_LOOK_MS)
        now = time.monotonic()
        data = os.read(process.stdout.fileno(), _CHUNK) if ready else b""
        if ready and not data:
            break
        heard = now if data else heard
        *whole, lines = _LINE.split(lines + decoder.decode(data))
        for line in whole or [""]:
            hear(line[:_LONGEST])
        lines = lines[:_LONGEST]
        if now - start > limit_s or now - heard > silence_s:
            is_silent = now - heard > silence_s
            raise Stalled(is_silent, silence_s if is_silent else limit_s)
    hear(lines)
    return _reaped(process, max(_END_S, start + limit_s - time.monotonic()))


def _reaped(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait for the end of a child that has closed its output."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise Stalled(False, seconds) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have it gone, whatever happens meanwhile."""
    try:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _environment() -> dict[str, str]:
    """What of our environment a child needs: not all, for a key may be kept there (custody.py)."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _NEEDED or name.startswith(_NEEDED_PREFIXES)
    }


def _leashed(argv: Sequence[str]) -> list[str]:
    if sys.platform != "linux":
        return list(argv)
    leash = _LEASH % signal.SIGKILL
    return [sys.executable, "-I", "-S", "-c", leash, str(os.getpid()), *argv]
