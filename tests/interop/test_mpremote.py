"""mpremote's own command line, unchanged, against a virtual board."""

import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from firstlight import virtual

_LIMIT_S = 30


@pytest.fixture
def board(tmp_path: Path) -> Iterator[virtual.VirtualBoard]:
    with virtual.make(tmp_path / "board") as made:
        made.read_console_until(">>> ", 10)
        yield made


def mpremote(board: virtual.VirtualBoard, *words: str) -> str:
    command = [sys.executable, "-m", "mpremote", "connect", board.port or "", *words]
    done = subprocess.run(command, capture_output=True, timeout=_LIMIT_S, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout.decode()


def test_exec_prints_what_the_board_prints(board: virtual.VirtualBoard) -> None:
    assert mpremote(board, "exec", "print(6 * 7)").strip() == "42"
    assert mpremote(board, "eval", "6 * 7").strip() == "42"


def test_files_go_there_and_back(board: virtual.VirtualBoard, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20
    (tmp_path / "there").write_bytes(data)
    mpremote(board, "fs", "mkdir", ":folder")
    mpremote(board, "fs", "cp", str(tmp_path / "there"), ":folder/data")
    assert "data" in mpremote(board, "fs", "ls", ":folder")
    assert sha256(data).hexdigest() in mpremote(board, "fs", "sha256sum", ":folder/data")
    mpremote(board, "fs", "cp", ":folder/data", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data
    mpremote(board, "fs", "rm", ":folder/data")
    assert "data" not in mpremote(board, "fs", "ls", ":folder")


def test_a_soft_reset_runs_boot_and_not_main(board: virtual.VirtualBoard, tmp_path: Path) -> None:
    (tmp_path / "boot.py").write_text("booted = True\n")
    (tmp_path / "main.py").write_text("ran = True\n")
    mpremote(board, "fs", "cp", str(tmp_path / "boot.py"), str(tmp_path / "main.py"), ":")
    mpremote(board, "exec", "left = 1")
    code = "print([n in dir() for n in ('booted', 'ran', 'left')])"
    assert mpremote(board, "soft-reset", "exec", code).strip() == "[True, False, False]"
    assert mpremote(board, "resume", "exec", "left = 1") == ""
    assert mpremote(board, "resume", "exec", code).strip() == "[True, False, True]"


def test_a_reset_runs_main(board: virtual.VirtualBoard, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import machine\nprint('cause', machine.reset_cause())\n")
    mpremote(board, "fs", "cp", str(tmp_path / "main.py"), ":main.py", "+", "reset")
    board.read_console_until("cause 2", 10)


def test_run_and_df(board: virtual.VirtualBoard, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import os\nprint(sorted(os.listdir('/')))\n")
    assert mpremote(board, "run", str(tmp_path / "script.py")).strip() == "[]"
    assert "/" in mpremote(board, "df")


def test_mount_lets_the_board_import_from_the_pc(
    board: virtual.VirtualBoard, tmp_path: Path
) -> None:
    (tmp_path / "pc").mkdir()
    (tmp_path / "pc" / "from_pc.py").write_text("value = 'from the PC'\n")
    code = "import from_pc; print(from_pc.value)"
    assert mpremote(board, "mount", str(tmp_path / "pc"), "exec", code).endswith("from the PC\n")
