"""The journal that is a file: what is committed is there, what is not ours is left alone."""

import json
import sqlite3
import tempfile
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.emulator import state
from firstlight.emulator.journal import Nowhere, remember
from firstlight.emulator.state import SqliteJournal

Records = dict[tuple[str, str], dict[str, Any]]

KINDS = ("device", "telemetry")
KEYS = st.sampled_from(["a", "", "\0", "\u00fc' OR '1"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
DOCUMENTS = st.dictionaries(
    st.text(max_size=4),
    st.recursive(SCALARS.filter(lambda x: x not in (float("inf"), -float("inf"))), st.lists),
    max_size=3,
)
STEPS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(KINDS), KEYS, DOCUMENTS),
    st.tuples(st.just("delete"), st.sampled_from(KINDS), KEYS, st.none()),
    st.tuples(st.sampled_from(["commit", "reopen", "look"]), st.none(), st.none(), st.none()),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def content(journal: SqliteJournal) -> Records:
    return {(kind, key): document for kind in KINDS for key, document in journal.load(kind)}


def reopened(path: Path) -> Records:
    with closing(SqliteJournal(path)) as journal:
        return content(journal)


def by_kind(records: Records) -> list[tuple[tuple[str, str], dict[str, Any]]]:
    return [item for kind in KINDS for item in records.items() if item[0][0] == kind]


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
def test_any_use_of_the_journal_equals_a_dict(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        journal = SqliteJournal(path)
        model: Records = {}
        committed: Records = {}
        for what, kind, key, document in steps:
            if what == "put":
                journal.put(kind, key, document)
                model[kind, key] = document
            elif what == "delete":
                journal.delete(kind, key)
                model.pop((kind, key), None)
            elif what == "commit":
                journal.commit()
                committed = dict(model)
            elif what == "reopen":
                journal.close()
                journal, model = SqliteJournal(path), dict(committed)
            if what in ("look", "reopen"):
                assert list(content(journal).items()) == by_kind(model)
        assert list(content(journal).items()) == by_kind(model)
        journal.commit()
        journal.close()
        assert list(reopened(path).items()) == by_kind(model)


def test_a_record_is_replaced_in_its_place(path: Path) -> None:
    with closing(SqliteJournal(path)) as journal:
        for key in "abc":
            journal.put("device", key, {})
        journal.commit()
        journal.put("device", "a", {"new": 1})
        assert [key for key, _ in journal.load("device")] == ["a", "b", "c"]


@pytest.mark.parametrize("commits", list(product((False, True), repeat=4)))
def test_a_record_that_was_deleted_comes_back_at_the_end(
    path: Path, commits: tuple[bool, ...]
) -> None:
    steps = ("put", "a"), ("put", "b"), ("delete", "a"), ("put", "a")
    with closing(SqliteJournal(path)) as journal:
        for (what, key), commits_now in zip(steps, commits, strict=True):
            journal.delete("device", key) if what == "delete" else journal.put("device", key, {})
            if commits_now:
                journal.commit()
        journal.put("device", "a", {"new": 1})
        assert list(journal.load("device")) == [("b", {}), ("a", {"new": 1})]
        journal.commit()
        assert list(journal.load("device")) == [("b", {}), ("a", {"new": 1})]


def test_what_was_not_committed_is_not_there(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.put("device", "a", {"kept": True})
    journal.commit()
    journal.put("device", "b", {})
    assert [key for key, _ in journal.load("device")] == ["a", "b"]
    journal.close()
    journal.close()
    assert reopened(path) == {("device", "a"): {"kept": True}}


def test_a_document_is_taken_as_it_was_when_it_was_put(path: Path) -> None:
    document: dict[str, Any] = {"tags": {}}
    with closing(SqliteJournal(path)) as journal:
        journal.put("device", "a", document)
        document["tags"]["later"] = 1
        assert list(journal.load("device")) == [("a", {"tags": {}})]


@pytest.mark.parametrize("document", [{"x": float("nan")}, {"x": b""}, {"x": {1, 2}}])
def test_what_is_not_json_is_refused_and_hurts_nobody(path: Path, document: Any) -> None:
    with closing(SqliteJournal(path)) as journal:
        with pytest.raises((ValueError, TypeError)):
            journal.put("device", "a", document)
        with pytest.raises(ValueError, match="surrogates"):
            journal.put("device", "\ud800", {})
        journal.put("device", "b", {})
        assert list(journal.load("device")) == [("b", {})]


def test_remember_makes_a_thing_once(path: Path) -> None:
    with closing(SqliteJournal(path)) as journal:
        assert remember(journal, "azure", "key", lambda: {"n": 1}) == {"n": 1}
        assert remember(journal, "azure", "other", lambda: {"n": 2}) == {"n": 2}
        journal.commit()
    with closing(SqliteJournal(path)) as journal:
        assert remember(journal, "azure", "key", lambda: {"n": 3}) == {"n": 1}
    assert remember(Nowhere(), "azure", "key", lambda: {"n": 3}) == {"n": 3}


def test_the_layout_is_what_the_module_says(path: Path) -> None:
    with closing(SqliteJournal(path)) as journal:
        journal.put("device", "a", {"b": [1]})
        journal.commit()
    with closing(sqlite3.connect(path)) as file:
        rows = file.execute("SELECT number, kind, key, document FROM records").fetchall()
        assert file.execute("PRAGMA application_id").fetchone() == (state.APPLICATION_ID,)
        assert file.execute("PRAGMA user_version").fetchone() == (state.VERSION,)
    assert [(n, kind, key, json.loads(text)) for n, kind, key, text in rows] == [
        (1, "device", "a", {"b": [1]})
    ]


def test_the_file_and_its_log_do_not_grow_without_end(path: Path) -> None:
    keep, rounds = 100, 30
    sizes = []
    with closing(SqliteJournal(path)) as journal:
        for number in range(keep * rounds):
            journal.put("telemetry", str(number), {"body": "x" * 3000})
            journal.delete("telemetry", str(number - keep))
            if number % 20 == 0:
                journal.commit()
            if number % keep == 0:
                sizes.append(sum(one.stat().st_size for one in path.parent.iterdir()))
    assert max(sizes) < 40 * keep * 3000, sizes
    assert max(sizes[rounds // 2 :]) <= max(sizes[: rounds // 2]) * 1.1, sizes
    assert path.stat().st_size < 3 * keep * 3000
    assert list(path.parent.iterdir()) == [path]
