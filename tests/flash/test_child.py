"""Child processes: watched, ended in time, and given secrets that nobody else can read."""

import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firstlight.errors import ToolError
from firstlight.flash import child, handover

TELL_PID = "import os, time; print(os.getpid(), flush=True); "
FOREVER = TELL_PID + "time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FOREVER


def run(code: str, hear: Callable[[str], None], **limits: Any) -> int:
    limits = {"silence_s": 20, "limit_s": 30} | limits
    return child.run([sys.executable, "-c", code], hear, **limits)


def is_gone(pid: int) -> bool:
    """Whether there is no such process, or there is none within ten seconds."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], 10)[0])
    finally:
        os.close(watch)


def test_lines_come_one_by_one_and_then_the_exit_code() -> None:
    heard: list[str] = []
    code = "import sys; sys.stdout.write('10%\\r20%\\rdone\\n\\xe4 end'); sys.exit(7)"
    assert run(code, heard.append, env={"PYTHONUTF8": "1"}) == 7
    assert [line for line in heard if line] == ["10%", "20%", "done", "\xe4 end"]


def test_an_error_on_stderr_is_heard_too_and_standard_input_is_empty() -> None:
    heard: list[str] = []
    code = "import sys; sys.stderr.write(repr(sys.stdin.read()))"
    assert run(code, heard.append) == 0
    assert heard[-1] == "''"


def test_a_key_in_the_environment_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUP_KEY", "secret")
    heard: list[str] = []
    code = "import os; print(sorted(os.environ), os.environ['PATH'] != '')"
    assert run(code, heard.append, env={"TERM": "dumb"}) == 0
    told = "".join(heard)
    assert "GROUP_KEY" not in told
    assert "'TERM'" in told


@pytest.mark.parametrize(
    ("code", "limits", "silent"),
    [
        (FOREVER, {"silence_s": 0.3}, True),
        (STUBBORN, {"silence_s": 0.3}, True),
        (TELL_PID + "\nwhile 1: print('x' * 9999, end='')", {"limit_s": 0.5}, False),
        (TELL_PID + "os.close(1); os.close(2); time.sleep(60)", {"limit_s": 0.3}, False),
    ],
    ids=["silent", "stubborn", "endless", "closed its output"],
)
def test_a_child_that_does_not_end_is_ended(
    code: str, limits: dict[str, float], silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_END_S", 0.2)
    heard: list[str] = []
    with pytest.raises(child.Stalled) as stalled:
        run(code, heard.append, **limits)
    assert stalled.value.silent is silent
    assert is_gone(int(next(filter(None, heard))))
    assert max(map(len, heard)) <= 4096


@pytest.mark.parametrize("error", [KeyboardInterrupt, ToolError("enough")])
def test_whatever_is_raised_meanwhile_ends_the_child(error: BaseException) -> None:
    pids = []

    def hear(line: str) -> None:
        if line:
            pids.append(int(line))
        elif pids:  # it says nothing more, and is looked after all the same
            raise error

    with pytest.raises((KeyboardInterrupt, ToolError)):
        run(FOREVER, hear)
    assert is_gone(pids[0])


def test_a_program_that_is_missing_is_told() -> None:
    with pytest.raises(ToolError, match="there is no program picotool-9"):
        child.run(["picotool-9"], lambda _: None, silence_s=5, limit_s=5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a leash")
def test_a_child_does_not_outlive_a_kill_9_of_its_parent() -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\nfrom firstlight.flash import child\n"
            f"child.run([sys.executable, '-c', {FOREVER!r}], "
            "lambda line: line and print(line, flush=True), silence_s=60, limit_s=60)",
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    assert is_gone(pid)


def test_a_child_reads_what_it_was_handed_as_often_as_it_likes() -> None:
    heard: list[str] = []
    with handover.handed_over([b"first", bytes(300_000), b""]) as handed:
        code = f"print([len(open(p, 'rb').read()) for p in {handed.paths * 2!r}])"
        assert run(code, heard.append, fds=handed.fds) == 0
    assert "[5, 300000, 0, 5, 300000, 0]" in heard


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files in memory")
def test_what_is_handed_over_touches_no_disk_and_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with handover.handed_over([b"secret"]) as handed:
        assert not list(tmp_path.iterdir())
        assert stat.S_IMODE(os.stat(handed.fds[0]).st_mode) & 0o077 == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handed.fds[0])


def test_elsewhere_it_lies_in_a_private_folder_that_ctrl_c_removes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "darwin")
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        handover.handed_over([b"secret", b"x"]) as handed,
    ):
        (folder,) = tmp_path.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [Path(path).read_bytes() for path in handed.paths] == [b"secret", b"x"]
        assert {stat.S_IMODE(Path(path).stat().st_mode) for path in handed.paths} == {0o600}
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
