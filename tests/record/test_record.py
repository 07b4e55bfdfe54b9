"""record.py on SQLite: a file beside the line."""

from pathlib import Path

import pytest

from tests.record.behaviour import Behaviour
from tests.record.grounds import SqliteGround


@pytest.fixture
def ground(tmp_path: Path) -> SqliteGround:
    return SqliteGround(tmp_path)


class TestOnSqlite(Behaviour):
    pass
