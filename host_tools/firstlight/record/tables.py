"""How the record lies in a database, SQLite's or PostgreSQL's: three tables that only grow.

    firstlight_record   one row: the record's random id, when it was made, the version of this form
    firstlight_entries  the chain (chain.py); the truth
    firstlight_claims   which chip has which registration id: an index of the entries of stage
                        "claim", whose constraints keep an id from being given twice

Triggers refuse every change and deletion, and on SQLite the replacement that INSERT OR REPLACE
would be. They stop mistakes; who may drop them is found out by the chain.
"""

import sqlalchemy as sa

VERSION = 1
NAMES = ("firstlight_record", "firstlight_entries", "firstlight_claims")

metadata = sa.MetaData()

record = sa.Table(
    NAMES[0],
    metadata,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("made", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.CheckConstraint("one = 1", name="firstlight_record_is_one"),
    sqlite_strict=True,
)

entries = sa.Table(
    NAMES[1],
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("station", sa.Text, nullable=False),
    sa.Column("seat", sa.Text, nullable=False),
    sa.Column("chip_id", sa.Text, nullable=False),
    sa.Column("registration_id", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False, unique=True),  # the chain cannot fork
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("once", sa.Text, nullable=False, unique=True),
    sqlite_strict=True,
)

_is_done = sa.and_(entries.c.stage == "unit", entries.c.outcome == "done")
sa.Index(
    "firstlight_done_once",
    entries.c.registration_id,
    unique=True,
    sqlite_where=_is_done,
    postgresql_where=_is_done,
)
sa.Index("firstlight_entries_of_chip", entries.c.chip_id, entries.c.number)
sa.Index("firstlight_entries_of_id", entries.c.registration_id, entries.c.number)

claims = sa.Table(
    NAMES[2],
    metadata,
    sa.Column("registration_id", sa.Text, primary_key=True),
    sa.Column("chip_id", sa.Text, nullable=False, unique=True),
    sa.Column("serial", sa.Integer, unique=True),
    sa.Column("entry", sa.Integer, sa.ForeignKey(entries.c.number), nullable=False, unique=True),
    sqlite_strict=True,
)

_LAW = "the record of firstlight is append-only"
# INSERT OR REPLACE deletes without firing a trigger for DELETE, so it must not find anything.
_FREE = {
    NAMES[0]: "EXISTS (SELECT 1 FROM firstlight_record)",
    NAMES[1]: "NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM firstlight_entries)"
    " OR EXISTS (SELECT 1 FROM firstlight_entries"
    " WHERE previous = NEW.previous OR digest = NEW.digest OR once = NEW.once"
    " OR ('unit', 'done', NEW.registration_id) = (NEW.stage, NEW.outcome, registration_id)"
    " AND stage = 'unit' AND outcome = 'done')",
    NAMES[2]: "EXISTS (SELECT 1 FROM firstlight_claims WHERE chip_id = NEW.chip_id"
    " OR registration_id = NEW.registration_id OR serial = NEW.serial OR entry = NEW.entry)",
}


def triggers(dialect: str) -> dict[str, str]:
    """Return the triggers of a dialect ("sqlite" or "postgresql"), name to statement."""
    if dialect == "sqlite":
        return _sqlite_triggers()
    return {
        f"{name}_only_grows": f"CREATE TRIGGER {name}_only_grows"
        f" BEFORE UPDATE OR DELETE OR TRUNCATE ON {name}"
        " FOR EACH STATEMENT EXECUTE FUNCTION firstlight_append_only()"
        for name in NAMES
    }


def _sqlite_triggers() -> dict[str, str]:
    refusal = f"BEGIN SELECT RAISE(ABORT, '{_LAW}'); END"
    found = {}
    for name in NAMES:
        for verb in ("UPDATE", "DELETE"):
            trigger = f"{name}_no_{verb.lower()}"
            found[trigger] = f"CREATE TRIGGER {trigger} BEFORE {verb} ON {name} {refusal}"
        trigger = f"{name}_no_replacing"
        found[trigger] = (
            f"CREATE TRIGGER {trigger} BEFORE INSERT ON {name} WHEN {_FREE[name]} {refusal}"
        )
    return found


POSTGRESQL_LAW = f" BEGIN RAISE EXCEPTION '{_LAW}' USING ERRCODE = 'restrict_violation'; END "
POSTGRESQL_FUNCTION = (
    "CREATE OR REPLACE FUNCTION firstlight_append_only() RETURNS trigger LANGUAGE plpgsql AS"
    f" $${POSTGRESQL_LAW}$$"
)
# The triggers that work: each on its table, before every statement (58: of those three kinds),
# for whoever is connected; and what their function does.
POSTGRESQL_GUARDS = (
    "SELECT tgname, prosrc FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
    " JOIN pg_proc ON pg_proc.oid = tgfoid WHERE pg_table_is_visible(pg_class.oid)"
    " AND tgname = relname || '_only_grows' AND tgenabled IN ('O', 'A') AND tgtype = 58"
    " AND tgqual IS NULL"
)
