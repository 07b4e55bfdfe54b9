"""The record's database: one transaction at a time that writes, and every trouble in one sentence.

What a transaction of writing() committed is on the disk: SQLite syncs it, journal and folder;
PostgreSQL is kept from answering before its own log is synced. One writer at a time, over all
threads, processes and stations: SQLite by BEGIN IMMEDIATE, PostgreSQL by an advisory lock that
ends with its transaction, even if the station dies. Every wait is bounded.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..errors import ToolError, UsageError
from .places import Place
from .rules import fitting

APPLICATION_ID = 0x666C7263  # "flrc"
ANSWER_S = 120.0  # how long a server may take for one answer; longer than _ORDERS lets it
PATIENCE_S = 30.0  # how long a station waits for the others, and for who looks at all of a file
_LOCK = 0x666C7263  # PostgreSQL's advisory lock of all records in a database
_KEEP_ALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # ms
}
# For this transaction alone. "off" would acknowledge what a power cut then takes back.
_ORDERS = sa.text(
    "SELECT set_config('lock_timeout', :patience, true),"
    " set_config('statement_timeout', '60s', true),"
    " set_config('idle_in_transaction_session_timeout', '60s', true),"
    " set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    " WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)"
)
_DAMAGED = "is damaged; keep a copy of it, and put back the last good one"
# What SQLite says, and PostgreSQL's SQLSTATE, and what that means to the operator.
_TROUBLES = {
    "SQLITE_NOTADB": "is no record of firstlight; name another file",
    "SQLITE_BUSY": "is held by another program; end that one, then go on",
    "SQLITE_LOCKED": "is held by another program; end that one, then go on",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_READONLY_DBMOVED": "was moved or deleted while it was open; put it back, then go on",
    "SQLITE_READONLY": "cannot be written; you must be allowed to write it and into its folder",
    "SQLITE_PERM": "cannot be opened; you must be allowed to read and write it",
    "SQLITE_CANTOPEN": "cannot be opened; you must be allowed to write it and into its folder",
    "SQLITE_FULL": "cannot be written: the disk is full; make room, then go on",
    "SQLITE_IOERR": "cannot be read or written: the disk fails, or is full",
    "SQLITE_CONSTRAINT": "refused an entry that contradicts it; run: firstlight record verify",
    "SQLITE_ERROR": _DAMAGED,
    "28": "let nobody in under this user and password; see ~/.pgpass, or PGPASSWORD",
    "3D": "is not there; make it on the server: createdb",
    "42501": "does not let this user do that; its owner must open it once, and then GRANT SELECT,"
    " INSERT on its tables to this user",
    "42": _DAMAGED,
    "53100": "cannot be written: the server's disk is full; make room, then go on",
    "55P03": "is held by another station for too long; see that all stations are well, then go on",
    "57014": "takes too long to answer; see that its server is well, then go on",
    "25006": "may only be read; name the server that may be written",
    "23": "refused an entry that contradicts it; run: firstlight record verify",
}


class Lost(ToolError):
    """The database went away. What was under way may have been written, or not."""


class Database:
    """An engine, and how its transactions begin. place: what messages call it.

    may_write: False to only look into a file that may be another's, or lie on a medium that
    cannot be written.
    """

    def __init__(self, place: Place, may_write: bool = True) -> None:
        self.place = place
        self.shown = place.shown
        if place.path is not None:
            self._engine = _sqlite(place.path, place.shown, may_write)
        else:
            self._engine = _postgresql(place)
        self.dialect = self._engine.dialect.name

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only looks. Raises ToolError."""
        with self._told(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that no other of any station overlaps; on the disk at its end.

        Raises ToolError, and Lost if the database went away under it.
        """
        engine = self._engine.execution_options(firstlight_writes=True)
        with self._told(), engine.connect() as connection, connection.begin():
            if self.dialect == "postgresql":
                connection.execute(_ORDERS, {"patience": f"{PATIENCE_S * 1000:.0f}ms"})
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise trouble(self.place, error) from None
        except UnicodeError:  # a text of a file's that is none came back as a question
            raise ToolError(f"the record in {self.shown} {_DAMAGED}") from None
        except sa.exc.SQLAlchemyError as error:  # as when the pool is exhausted
            raise ToolError(
                f"the record in {self.shown} is not to be had: {type(error).__name__}"
            ) from None


def trouble(place: Place, error: sa.exc.DBAPIError) -> ToolError:
    """Return what a database's error means, without what was asked of it, or any secret."""
    shown = place.shown
    code = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None)
    for start, meaning in _TROUBLES.items():
        if code and code.startswith(start):
            return ToolError(f"the record in {shown} {meaning}")
    is_away = error.connection_invalidated or code is None or code[:2] in ("08", "57")
    if is_away and place.path is None:
        return Lost(
            f"the record in {shown} does not answer ({_reason(place, error)}); see that its "
            "server runs and can be reached, then go on: what is in the record stays there"
        )
    return ToolError(f"the record in {shown} failed: {code or type(error.orig).__name__}")


def _reason(place: Place, error: sa.exc.DBAPIError) -> str:
    """The server's or the driver's own words, in one short line, without the password."""
    said = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    line = said[0].rpartition("FATAL:")[2].rpartition("failed: ")[2]
    for secret in place.secrets():
        line = line.replace(secret, "***")
    return fitting(line)[:160]


def _postgresql(place: Place) -> sa.Engine:
    assert place.url is not None  # noqa: S101  by place's own law
    try:
        engine = sa.create_engine(
            place.url,
            pool_pre_ping=True,
            pool_size=2,
            max_overflow=6,
            pool_timeout=PATIENCE_S,
            isolation_level="READ COMMITTED",
            hide_parameters=True,
            connect_args=_KEEP_ALIVE
            | place.hidden
            | {
                "client_encoding": "utf8",
                "application_name": "firstlight",
                "prepare_threshold": None,  # poolers lose what was prepared
            },
        )
    except ImportError:
        raise UsageError(
            "PostgreSQL needs one more package: pip install 'firstlight[postgresql]'"
        ) from None
    sa.event.listen(engine, "do_connect", _connect)
    return engine


def _connect(_dialect: object, _record: object, _args: object, words: dict[str, Any]) -> object:
    """Connect so that every wait for the server ends, also where it is frozen, not dead."""
    import psycopg  # noqa: PLC0415  an extra

    class Patient(psycopg.Connection[Any]):
        def wait(self, *args: Any, **words: Any) -> Any:
            try:
                return super().wait(*args, **words | {"timeout": ANSWER_S})
            except psycopg.OperationalError as error:
                if error.sqlstate is None:  # its answer may still come: to nobody
                    self.close()
                raise

    return Patient.connect(**words)


def _sqlite(path: Path, shown: str, may_write: bool) -> sa.Engine:
    if may_write:
        _make(path, shown)
    elif not path.is_file():
        raise UsageError(f"there is no record in {shown}")
    uri = path.as_uri() + _mode(path, may_write)

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False, uri=True
        )
        # A text that is none must be found by verify(), not end it.
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        try:
            for pragma in (
                "synchronous = EXTRA",  # the journal's end in its folder, too
                "fullfsync = ON",  # what macOS calls a sync
                "foreign_keys = ON",
                "trusted_schema = OFF",
            ):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = sa.create_engine(
        "sqlite://",
        creator=connect,
        poolclass=sa.QueuePool,
        pool_size=2,
        max_overflow=6,
        pool_timeout=PATIENCE_S,
        hide_parameters=True,
    )
    sa.event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("firstlight_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _make(path: Path, shown: str) -> None:
    """Make an empty file for its owner alone, unless there is one."""
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise UsageError(f"the record cannot be made in {shown}: {error.strerror}") from None
    if not path.is_file():
        raise UsageError(f"{shown} is not a file, so it holds no record; name another")


def _mode(path: Path, may_write: bool) -> str:
    """How SQLite opens a file. What a killed station left half written is undone by writing."""
    if may_write or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return "?mode=rw"
    return "?mode=ro"
