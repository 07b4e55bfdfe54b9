"""The record's tables are made, or found to be what they must be. Never changes what is there."""

import secrets

import sqlalchemy as sa

from ..errors import ToolError, UsageError
from . import chain, tables
from .database import APPLICATION_ID, Database


def prepare(database: Database, made: str) -> tuple[str, chain.Head]:
    """Return the record's id and what its first entry follows; make the record if there is none.

    made: the time, ISO 8601. Raises UsageError for what is no record or a newer one's.
    """
    if not _is_there(database):
        with database.writing() as connection:
            if not _has_tables(connection):  # another station may have been faster
                _make(connection, database.dialect, made)
    return _known(database)


def find(database: Database) -> tuple[str, chain.Head]:
    """Return what prepare() does, of a record that is there. Raises UsageError."""
    if not _is_there(database):
        raise UsageError(f"there is no record in {database.shown}")
    return _known(database)


def _known(database: Database) -> tuple[str, chain.Head]:
    with database.reading() as connection:
        row = connection.execute(sa.select(tables.record)).mappings().first()
    if row is None:
        raise UsageError(f"the record in {database.shown} is damaged: it has no id")
    if row["version"] != tables.VERSION:
        raise UsageError(
            f"the record in {database.shown} was made by another firstlight, with form "
            f"{row['version']}; this one knows {tables.VERSION}: install the newer firstlight"
        )
    if not (chain.is_text(row["id"]) and chain.is_text(row["made"])):
        raise ToolError(f"the record in {database.shown} is damaged: its id is no text")
    return row["id"], (0, chain.genesis(row["id"], row["made"], row["version"]))


def missing_guards(connection: sa.Connection) -> list[str]:
    """Return the names of triggers that should be there and are not, or do something else."""
    wanted = tables.triggers(connection.dialect.name)
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    else:
        query, wanted = tables.POSTGRESQL_GUARDS, dict.fromkeys(wanted, tables.POSTGRESQL_LAW)
    there = {name: text for name, text in connection.exec_driver_sql(query)}
    return sorted(name for name, text in wanted.items() if there.get(name) != text)


def _is_there(database: Database) -> bool:
    with database.reading() as connection:
        there = _has_tables(connection)
        if database.dialect == "sqlite":
            mark = connection.exec_driver_sql("PRAGMA application_id").scalar()
            used = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
            if (there or used) and mark != APPLICATION_ID:
                raise UsageError(
                    f"{database.shown} is another program's database, not a record of firstlight; "
                    "name another file"
                )
        return there


def _has_tables(connection: sa.Connection) -> bool:
    return bool(sa.inspect(connection).has_table(tables.record.name))


def _make(connection: sa.Connection, dialect: str, made: str) -> None:
    if dialect == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    else:
        _check_encoding(connection)
        connection.exec_driver_sql(tables.POSTGRESQL_FUNCTION)
    tables.metadata.create_all(connection, checkfirst=False)
    connection.execute(
        sa.insert(tables.record).values(
            one=1, id=secrets.token_hex(16), made=made, version=tables.VERSION
        )
    )
    for statement in tables.triggers(dialect).values():
        connection.exec_driver_sql(statement)


def _check_encoding(connection: sa.Connection) -> None:
    if connection.exec_driver_sql("SHOW server_encoding").scalar() != "UTF8":
        raise UsageError("the record's database must be in UTF-8: createdb --encoding UTF8")
