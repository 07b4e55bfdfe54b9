"""Keeps the keys that this process holds out of what outlives it: core dumps and tracebacks.

Called once, as the process starts, before it holds any. Knows nothing of keys: it lets nothing
of the process's memory and no value of any variable go where others could find it.
"""

import ctypes
import sys
import threading
import traceback
from types import TracebackType

_PR_SET_DUMPABLE = 4  # prctl(2)
_CAUSES = 8  # of an exception are told at most


def guard() -> None:
    """Do both, for the rest of the process's life."""
    forbid_cores()
    hide_values()


def forbid_cores() -> None:
    """Let no crash leave a core dump; on Linux, let no process of the same user read this one.

    Child processes inherit the limit, for they are given keys, too; not the rest, once they are
    another program. Windows has neither.
    """
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # A pipe in core_pattern is given a core whatever the limit says (core(5)).
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def hide_values() -> None:
    """From now on show an exception that nobody foresaw without its text: a key may be in it."""
    sys.excepthook = lambda _, error, __: _show(error)
    threading.excepthook = lambda found: _show(found.exc_value)
    sys.unraisablehook = lambda found: _show(found.exc_value)


def report(error: BaseException) -> str:
    """Return where an exception went through the code, its causes first, without any value."""
    lines: list[str] = []
    for each in _causes(error):
        lines += [f"{type(each).__name__}, at\n", *_places(each.__traceback__)]
    return (
        "".join(lines) + "firstlight: this is a bug: please report the lines above; "
        "they show places in the code, and no values\n"
    )


def _show(error: BaseException | None) -> None:
    # In a thread, SystemExit is no failure.
    if not isinstance(error, SystemExit | None) and sys.stderr is not None:
        sys.stderr.write(report(error))


def _places(trace: TracebackType | None) -> list[str]:
    return traceback.format_list(traceback.extract_tb(trace))


def _causes(error: BaseException) -> list[BaseException]:
    """The exception and what led to it, the first cause first."""
    found: list[BaseException] = [error]
    while len(found) < _CAUSES:
        last = found[-1]
        cause = last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if cause is None or cause in found:
            break
        found.append(cause)
    return found[::-1]
