"""The command line as a program of its own would run it, in this process: without its start.

For words alone; standard input and the environment are read by a program that starts.
"""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from firstlight import cli


def call(*words: str | Path, cwd: Path | None = None) -> "CompletedProcess[str]":
    """Run `firstlight WORDS`: its exit code, and what it prints."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(cli, "guard", lambda: None)  # what it does is for a process's whole life
        patch.setattr(sys, "argv", ["firstlight", *map(str, words)])
        if cwd is not None:
            patch.chdir(cwd)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    code = ended.value.code
    assert isinstance(code, int)
    return CompletedProcess(sys.argv, code, out.getvalue(), err.getvalue())
