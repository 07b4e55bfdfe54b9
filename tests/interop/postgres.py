"""A PostgreSQL as Debian packages it: in a folder of its own, on a Unix socket alone."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

PASSWORD = "pw-Zx81-spectrum-never-told"  # of the user "closed"; everybody else needs none
_USER = "postgres"  # the server refuses to run as root
_AS_USER: dict[str, Any] = (
    {"user": _USER, "group": _USER, "extra_groups": []} if os.geteuid() == 0 else {}
)
_QUICK = ("shared_buffers=16MB", "max_connections=60")
_PATIENCE_S = 30.0
# A folder in memory, where there is one: a killed server finds its files there, too.
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Server:
    """A cluster and its server. programs: the folder of initdb and postgres."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="firstlight-pg-", dir=_MEMORY))
        self._data = self.folder / "data"
        more = (*_QUICK, "listen_addresses=", f"unix_socket_directories={self.folder}")
        self._options = [f"--{setting}" for setting in more]
        self._databases = 0
        if os.geteuid() == 0:
            shutil.chown(self.folder, _USER)
        self._run(
            "initdb", "-D", self._data, "-U", _USER, "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-sync", "--no-instructions",
        )  # fmt: skip
        (self._data / "pg_hba.conf").write_text(
            "local all closed scram-sha-256\nlocal all all trust\n"
        )
        self.start()
        self.sql(f"CREATE ROLE closed LOGIN SUPERUSER PASSWORD '{PASSWORD}'")

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with open(self.folder / "log", "ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *self._options],
                stdout=log, stderr=log, cwd="/", **_AS_USER,
            )  # fmt: skip
        end = time.monotonic() + _PATIENCE_S
        while subprocess.call(
            [self._programs / "pg_isready", "-q", "-h", self.folder], timeout=_PATIENCE_S
        ):
            assert self._server.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end

    def stop(self) -> None:
        """Shut it down; who is connected is thrown out."""
        self._server.send_signal(signal.SIGINT)
        self._server.wait(_PATIENCE_S)

    def kill(self) -> None:
        """End it and all its children by kill -9, as a power cut would."""
        self._signal(signal.SIGKILL)
        self._server.wait(_PATIENCE_S)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it and all its children do nothing."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        first = self._server.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for process in (first, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def url(self, database: str, user: str = _USER, more: str = "") -> str:
        """The URL of a database for SQLAlchemy."""
        return f"postgresql://{user}@/{database}?host={self.folder}{more}"

    def new_database(self, more: str = "") -> str:
        """Make a database; return its name."""
        self._databases += 1
        name = f"line{self._databases}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0 {more}")
        return name

    def new_schema(self) -> str:
        """Make a schema in the first database; return its name."""
        self._databases += 1
        name = f"line{self._databases}"
        self.sql(f"CREATE SCHEMA {name}")
        return name

    def sql(self, *statements: str, database: str = _USER) -> None:
        """Do what is told, each statement by itself, as the server's owner."""
        url = self.url(database)
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def remove(self) -> None:
        """End it, and delete all it had."""
        if self._server.poll() is None:
            self.stop()  # and not by force: it frees its shared memory
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *words: str | Path) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [self._programs / program, *words],
            capture_output=True, text=True, cwd="/", check=False, timeout=60, **_AS_USER,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


def programs() -> Path:
    """The newest server's programs, where Debian keeps them."""
    found = Path("/usr/lib/postgresql").glob("*/bin")
    return max(found, key=lambda folder: float(folder.parent.name))
