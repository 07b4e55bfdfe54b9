"""`firstlight emulate --state` when something is wrong: one clear sentence, and nothing lost."""

import http.client
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from . import peers
from .killing import DYING
from .processes import FIRSTLIGHT, Emulation, emulation

GROUP = {"attestation": {"type": "symmetricKey"}}


def options(folder: Path) -> list[str]:
    return ["--state", str(folder / "state.db")]


def refused(folder: Path) -> str:
    """What it says, if it does not start."""
    command = [*FIRSTLIGHT, "emulate", "--mqtt-port", "0", "--https-port", "0", "--sntp-port", "0"]
    command += ["--folder", str(folder / "papers"), *options(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1
    return done.stderr


def enroll(azure: Emulation, id: str) -> None:
    with azure.dps() as dps:
        assert (
            dps.ask("PUT", f"/enrollmentGroups/{id}", GROUP | {"enrollmentGroupId": id})[0] == 200
        )


def groups(azure: Emulation) -> list[str]:
    with azure.dps() as dps:
        _, found = dps.ask("POST", "/enrollmentGroups/query", {"query": "SELECT * FROM x"})
    return [group["enrollmentGroupId"] for group in found]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_there_at_ctrl_c_is_there_at_the_next_start(tmp_path: Path, number: int) -> None:
    with emulation(tmp_path / "papers", *options(tmp_path), "--id-scope", "0ne0000ABCD") as azure:
        enroll(azure, "kept")
        assert azure.end(number) == 0
    assert [path.name for path in tmp_path.glob("state*")] == ["state.db"]
    with emulation(tmp_path / "papers", *options(tmp_path)) as azure:
        assert azure.id_scope == "0ne0000ABCD"
        assert "kept" in groups(azure)


def test_an_id_scope_that_is_given_later_replaces_the_one_that_was_kept(tmp_path: Path) -> None:
    for words in ((), ("--id-scope", "0ne0000ABCD"), ()):
        with emulation(tmp_path / "papers", *options(tmp_path), *words) as azure:
            found = azure.id_scope
            azure.end()
    assert found == "0ne0000ABCD"


def test_a_second_emulator_is_told_that_the_file_is_in_use(tmp_path: Path) -> None:
    with emulation(tmp_path / "papers", *options(tmp_path)) as azure:
        said = refused(tmp_path)
        enroll(azure, "undisturbed")
    assert said.endswith(
        "state.db is in use by another emulator; stop that one, or name another file\n"
    )


def spoiled(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute(statement)


SPOILED = {
    "PRAGMA user_version = 2": "layout 2, and this firstlight reads layout 1",
    "UPDATE records SET document = '{}'": "a record that this firstlight cannot read (KeyError)",
    "UPDATE records SET document = 'x'": "is damaged and was left as it is",
    "DROP TABLE records": "is damaged and was left as it is",
}


def test_a_file_that_cannot_be_read_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with emulation(tmp_path / "papers", *options(tmp_path)) as azure:
        azure.end()
    whole = path.read_bytes()
    for statement, says in SPOILED.items():
        path.write_bytes(whole)
        spoiled(path, statement)
        before = path.read_bytes()
        assert says in refused(tmp_path)
        assert path.read_bytes() == before


@contextmanager
def a_full_disk(azure: Emulation) -> Iterator[None]:
    """The system refuses every write to a file of its beyond the first kilobytes."""
    unlimited = resource.RLIM_INFINITY
    resource.prlimit(azure.process.pid, resource.RLIMIT_FSIZE, (8192, unlimited))
    try:
        yield
    finally:
        resource.prlimit(azure.process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))


def asked(azure: Emulation, id: str) -> Any:
    try:
        enroll(azure, id)
    except (OSError, http.client.HTTPException) as error:
        return error
    return None


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="prlimit is Linux's")
def test_on_a_full_disk_nothing_is_acknowledged_and_nothing_is_lost(tmp_path: Path) -> None:
    with emulation(tmp_path / "papers", *options(tmp_path)) as azure:
        enroll(azure, "before")
        group_key = (azure.folder / "group.key").read_text().strip()
        with a_full_disk(azure):
            assert asked(azure, "refused"), "it acknowledged what it cannot keep"
            with pytest.raises(AssertionError):
                join_dps_with(azure, group_key)
        enroll(azure, "after")
        assert {"before", "after"} <= set(groups(azure))
        azure.end()
        assert any("not kept" in event or "cannot be kept" in event for event in azure.events)
    with emulation(tmp_path / "papers", *options(tmp_path)) as azure:
        assert {"before", "after"} <= set(groups(azure))


def join_dps_with(azure: Any, group_key: str) -> None:
    with peers.join_dps(azure, "device", peers.sign(group_key, "device")) as peer:
        peer.send(peers.publish(peers.REGISTER + "1", b"{}"))
        assert peer.read()[0], "the server closed the connection"


KILLED = f"""{DYING}
die_after(int(sys.argv.pop(1)))
from firstlight.cli import main
main()
"""


def test_a_start_that_is_killed_at_any_moment_can_be_made_again(tmp_path: Path) -> None:
    command = ["emulate", "--json", "--mqtt-port", "0", "--https-port", "0", "--sntp-port", "0"]
    command += ["--folder", str(tmp_path / "papers"), *options(tmp_path)]
    for steps in (1, 60, 250, 500):
        code = [sys.executable, "-c", KILLED, str(steps)]
        with subprocess.Popen([*code, *command], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()  # until it has started, or died
            process.kill()
    with emulation(tmp_path / "papers", *options(tmp_path)) as azure:
        first = azure.id_scope, azure.root_pem.read_text()
        azure.kill()
    with emulation(tmp_path / "papers", *options(tmp_path)) as azure:
        assert (azure.id_scope, azure.root_pem.read_text()) == first
