"""The file of the state: its owner's alone, one emulator's at a time; what is not ours stays."""

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from firstlight.emulator import state
from firstlight.emulator.state import SqliteJournal
from firstlight.errors import UsageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def reopened(path: Path) -> list[str]:
    with closing(SqliteJournal(path)) as journal:
        return [key for key, _ in journal.load("device")]


def test_the_files_are_their_owners_alone_whatever_the_umask_is(path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(SqliteJournal(path)) as journal:
            journal.put("device", "a", {})
            journal.commit()
            found = list(path.parent.iterdir())
            assert path in found
            assert [stat.S_IMODE(one.stat().st_mode) for one in found] == [0o600] * len(found)
    finally:
        os.umask(before)


def test_a_file_that_others_may_read_is_refused(path: Path) -> None:
    path.touch(mode=0o644)
    path.chmod(0o644)
    with pytest.raises(UsageError, match=r"chmod 600 .*state\.db"):
        SqliteJournal(path)


def test_each_commit_is_synced_and_no_key_goes_to_a_temporary_file(path: Path) -> None:
    """SQLite's own numbers: synchronous FULL is 2, temp_store MEMORY is 2."""
    with closing(SqliteJournal(path)) as journal:
        assert [journal._number(name) for name in ("synchronous", "temp_store")] == [2, 2]


def test_nothing_of_the_content_is_in_a_repr(path: Path) -> None:
    with closing(SqliteJournal(path)) as journal:
        journal.put("azure", "key", {"primary": "c2VjcmV0"})
        assert "c2VjcmV0" not in repr(journal) + repr(vars(journal).keys())


def test_a_second_one_in_the_same_process_is_told_so(path: Path) -> None:
    with closing(SqliteJournal(path)) as first:
        first.put("device", "a", {})
        for _ in range(2):  # a refusal must not free the file for the next
            with pytest.raises(UsageError, match="in use by another emulator"):
                SqliteJournal(path)
        first.commit()
    assert reopened(path) == ["a"]


def test_a_second_one_in_another_process_is_told_so(path: Path) -> None:
    with closing(SqliteJournal(path)):
        code = (
            "import sys; from firstlight.emulator.state import *; SqliteJournal(Path(sys.argv[1]))"
        )
        done = python(code, str(path))
    assert "in use by another emulator; stop that one, or name another file" in done.stderr


def python(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def an_sqlite_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE theirs (x)")
        file.execute("INSERT INTO theirs VALUES (1)")
        file.commit()
    path.chmod(0o600)


def a_text(path: Path) -> None:
    path.write_text("dear diary\n" * 500)
    path.chmod(0o600)


def a_newer_one(path: Path) -> None:
    SqliteJournal(path).close()
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 2")


def a_damaged_one(path: Path) -> None:
    with closing(SqliteJournal(path)) as journal:
        for number in range(2000):
            journal.put("device", str(number), {"x": "x" * 100})
        journal.commit()
    raw = bytearray(path.read_bytes())
    raw[8192:] = os.urandom(len(raw) - 8192)
    path.write_bytes(raw)


def half_a_one(path: Path) -> None:
    with closing(SqliteJournal(path)) as journal:
        for number in range(2000):
            journal.put("device", str(number), {"x": "x" * 100})
        journal.commit()
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (an_sqlite_file, "is not a state file of firstlight; name another file"),
        (a_text, "is not a state file of firstlight; name another file"),
        (a_newer_one, "has layout 2, and this firstlight reads layout 1"),
        (a_damaged_one, "is damaged and was left as it is"),
        (half_a_one, "is damaged and was left as it is"),
    ],
)
def test_a_file_that_is_not_ours_or_not_well_is_left_as_it_is(
    path: Path, make: Callable[[Path], None], says: str
) -> None:
    make(path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=says):
        SqliteJournal(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_record_that_is_not_an_object_is_damage(path: Path) -> None:
    SqliteJournal(path).close()
    for text in ("[1]", "{", "x" * 10, "[" * 100_000):
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("DELETE FROM records")
            file.execute("INSERT INTO records VALUES (1, 'device', 'a', ?)", (text,))
        with pytest.raises(UsageError, match="damaged"):
            reopened(path)


@pytest.mark.parametrize("place", [".", "missing/state.db", "null"])
def test_a_place_where_no_file_can_be_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    with pytest.raises(UsageError, match=r"is not a file|cannot be used: No such"):
        SqliteJournal(tmp_path / place)


@contextmanager
def an_ordinary_user() -> Iterator[Path]:
    """A folder of nobody's, and be nobody if we are root: root may write everywhere."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        am_root = os.geteuid() == 0
        if am_root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        try:
            yield folder
        finally:
            folder.chmod(0o700)
            if am_root:
                os.seteuid(0)


def test_a_file_or_a_folder_that_is_read_only_is_named() -> None:
    with an_ordinary_user() as folder:
        path = folder / "state.db"
        with closing(SqliteJournal(path)) as journal:
            journal.put("device", "a", {})
            journal.commit()
        path.chmod(0o400)
        with pytest.raises(UsageError, match="cannot be written by you"):
            SqliteJournal(path)
        path.chmod(0o600)
        folder.chmod(0o500)
        with pytest.raises(UsageError, match=r"you must be allowed to write into its folder too"):
            SqliteJournal(path)
        with pytest.raises(UsageError, match="cannot be used: Permission denied"):
            SqliteJournal(folder / "new.db")
        folder.chmod(0o700)
        assert reopened(path) == ["a"]


def test_a_full_disk_refuses_the_commit_and_loses_nothing(path: Path) -> None:
    with closing(SqliteJournal(path)) as journal:
        journal.put("device", "before", {})
        journal.commit()
        pages = journal._number("page_count")
        journal._file.execute(f"PRAGMA max_page_count = {pages + 2}")
        journal.put("device", "large", {"x": "x" * 50_000})
        for _ in range(3):
            with pytest.raises(OSError, match="No space left") as full:
                journal.commit()
            assert full.value.filename == str(path)
        journal.put("device", "after", {})
        journal._file.execute(f"PRAGMA max_page_count = {pages + 100}")  # there is room again
        journal.commit()
        journal.close()
    assert reopened(path) == ["before", "large", "after"]


def test_what_waits_for_a_full_disk_is_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MAX_WAITING", 10)
    journal = SqliteJournal(path)
    journal.put("device", "before", {})
    journal.commit()
    journal._file.execute("PRAGMA max_page_count = 1")
    for number in range(50):
        journal.put("device", str(number), {"x": "x" * 50_000})
        with pytest.raises(OSError, match=r"No space|start again"):
            journal.commit()
    assert len(journal._waiting) <= 11
    journal._file.execute("PRAGMA max_page_count = 100000")
    with pytest.raises(OSError, match="start again"):  # some of it is gone: never again
        journal.commit()
    journal.close()
    assert reopened(path) == ["before"]


FULL = """
import resource, sys
from firstlight.emulator.state import *
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
journal = SqliteJournal(Path(sys.argv[1]))
count = 0
try:
    while True:
        journal.put("device", str(count), {"x": "x" * 1000})
        journal.commit()
        count += 1
except OSError as error:
    print(count, type(error).__name__, error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
journal.commit()
journal.close()
"""


def test_a_write_that_the_system_refuses_is_tried_again(path: Path) -> None:
    done = python(FULL, str(path))
    count, kind, *why = done.stdout.split()
    assert (kind, " ".join(why), done.stderr) == ("OSError", "Input/output error", "")
    assert len(reopened(path)) == int(count) + 1 > 10
