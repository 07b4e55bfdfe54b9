"""IoT Hub's query language: what is asked of twins, and a text that is no query."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firstlight.emulator.answers import Refusal
from firstlight.emulator.hub.query import Query
from firstlight.emulator.hub.query_parser import parse

TWINS: list[dict[str, Any]] = [
    {
        "deviceId": f"dev-{i}",
        "status": "enabled" if i % 2 else "disabled",
        "connectionState": "Connected" if i == 1 else "Disconnected",
        "tags": {"floor": i, "room": {"name": "lab"}} if i < 3 else {},
        "properties": {"reported": {"t": i + 0.5, "on": i > 1, "none": None, "a b": i}},
    }
    for i in range(5)
]


def found(where: str) -> str:
    """The numbers of the devices that a condition is true of."""
    query = parse(f"SELECT * FROM devices WHERE {where}")
    return "".join(twin["deviceId"][-1] for twin in TWINS if query.matches(twin))


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("deviceId = 'dev-1'", "1"),
        ('deviceId="dev-1"', "1"),
        ("deviceId != 'dev-1'", "0234"),
        ("deviceId <> 'dev-1'", "0234"),
        ("'dev-1' = deviceId", "1"),
        ("tags.floor > 0", "12"),
        ("tags.floor >= 1 and tags.floor <= 1.0", "1"),
        ("tags.floor < 0x2", "01"),
        ("tags.floor = 1e0", "1"),
        ("tags.floor > -1", "012"),
        ("tags.room.name = 'lab' AND (tags.floor = 0 OR tags.floor = 2)", "02"),
        ("tags.floor = 0 OR tags.floor = 1 AND status = 'disabled'", "0"),
        ("NOT tags.floor = 1", "0234"),
        ("not not tags.floor = 1", "1"),
        ("deviceId IN ['dev-0', 'dev-3']", "03"),
        ("tags.floor NIN [0, 1]", "2"),
        ("tags.floor IN [1.0, 'x']", "1"),
        ("status = 'enabled' AND connectionState = 'Connected'", "1"),
        ("properties.reported.on = true", "234"),
        ("properties.reported.on", "234"),
        ("properties.reported.on = 1", ""),
        ("properties.reported.on <= true", ""),
        ("properties.reported.none <= null", ""),
        ("properties.reported.none = null", "01234"),
        ("properties.reported.[[a b]] = 3", "3"),
        ("is_defined(tags.floor)", "012"),
        ("NOT IS_DEFINED(tags.floor)", "34"),
        ("tags.floor != 'x'", "012"),
        ("tags.floor < 'x'", ""),
        ("tags = tags", ""),
        ("tags.room.name.x = 'lab'", ""),
        ("properties.reported.t = tags.floor", ""),
        ("true", "01234"),
        ("undefined = undefined", ""),
    ],
)
def test_a_condition_finds(where: str, numbers: str) -> None:
    assert found(where) == numbers


def test_texts_have_escapes() -> None:
    query = parse(r"SELECT * FROM devices WHERE deviceId = 'a\'\"\\\u00e4'")
    assert query.matches({"deviceId": "a'\"\\ä"})


def project(text: str, twin: dict[str, Any] = TWINS[1]) -> Any:
    return parse(text).project(twin)


def test_a_projection_takes_what_is_there() -> None:
    assert project("SELECT * FROM devices") == TWINS[1]
    assert project("select deviceId, tags.floor as level, tags.no from devices") == {
        "deviceId": "dev-1",
        "level": 1,
    }


def test_twins_are_counted_and_summed_up_by_group() -> None:
    query = parse(
        "SELECT status, COUNT() AS many, SUM(tags.floor) AS floors, avg(tags.no) FROM devices "
        "WHERE properties.reported.t < 4 GROUP BY status"
    )
    assert query.is_aggregate
    assert query.sum_up(TWINS) == [
        {"status": "disabled", "many": 2, "floors": 2},
        {"status": "enabled", "many": 2, "floors": 1},
    ]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("SELECT COUNT() AS n FROM devices", [{"n": 5}]),
        ("SELECT count() FROM devices WHERE deviceId = 'x'", [{"count": 0}]),
        ("SELECT min(tags.floor), max(tags.floor) FROM devices", [{"min": 0, "max": 2}]),
        ("SELECT AVG(properties.reported.t) AS t FROM devices", [{"t": 2.5}]),
        ("SELECT TOP 1 status FROM devices GROUP BY status", [{"status": "disabled"}]),
        ("SELECT COUNT() AS n FROM devices GROUP BY tags.room.name", [{"n": 3}, {"n": 2}]),
    ],
)
def test_an_aggregate_gives_rows(text: str, rows: list[dict[str, Any]]) -> None:
    assert parse(text).sum_up(TWINS) == rows


def test_a_sum_beyond_all_numbers_is_left_out() -> None:
    twins = [{"x": 1.7e308}, {"x": 1.7e308}]
    assert parse("SELECT SUM(x) FROM devices").sum_up(twins) == [{}]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "must be a text"),
        ("", "must be a text"),
        ("SELECT * FROM devices WHERE " + "a" * 9000, "at most"),
        ("SELECT", "a name, found the end"),
        ("SELECT *", "expected FROM"),
        ("UPDATE devices", "expected SELECT"),
        ("SELECT * FROM devices.jobs", "only FROM devices"),
        ("SELECT * FROM devices.modules", "only FROM devices"),
        ("SELECT * FROM devices WHERE", "a constant|a name"),
        ("SELECT * FROM devices WHERE a =", "found the end"),
        ("SELECT * FROM devices WHERE a = 'x", "no sense from ''x'"),
        ("SELECT * FROM devices WHERE a = 1 b", "expected the end, found 'b'"),
        ("SELECT * FROM devices WHERE (a = 1", r"expected '\)'"),
        ("SELECT * FROM devices WHERE a IN []", "a constant"),
        ("SELECT * FROM devices WHERE a + 1 = 2", "no sense from '\\+ 1"),
        ("SELECT * FROM devices WHERE STARTSWITH(a, 'x')", r"the function STARTSWITH\(\)"),
        ("SELECT * FROM devices WHERE a = '\\x'", "no escape"),
        ("SELECT TOP 0 * FROM devices", "TOP"),
        ("SELECT TOP 'x' * FROM devices", "TOP"),
        ("SELECT * FROM devices GROUP BY a", "does not go with"),
        ("SELECT b FROM devices GROUP BY a", "neither grouped"),
        ("SELECT deviceId, COUNT() FROM devices", "neither grouped"),
        ("SELECT * FROM devices WHERE " + "(" * 40 + "a" + ")" * 40, "nested"),
        ("SELECT * FROM devices WHERE " + "NOT " * 40 + "a", "nested"),
    ],
)
def test_what_is_not_served_is_refused_with_its_place(text: Any, why: str) -> None:
    with pytest.raises(Refusal, match=why) as caught:
        parse(text)
    assert (caught.value.status, caught.value.code) == (400, 400004)


def test_a_thousand_conditions_are_judged() -> None:
    assert found(" OR ".join(["a=1"] * 800)) == ""
    assert found(" AND ".join(["true"] * 800)) == "01234"


words = st.sampled_from(
    ["SELECT", "TOP", "*", "FROM", "devices", "WHERE", "GROUP", "BY", "AND", "OR", "NOT", "IN",
     "(", ")", "[", "]", ",", ".", "=", "<", "<>", "1", "0x1", "'x'", "tags", "deviceId", "[[a]]",
     "null", "count", "is_defined", "AS"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(words, max_size=14).map(" ".join)))
@example("SELECT * FROM devices WHERE a = '\ud800'")
@example("SELECT a.count() FROM devices")
@example("SELECT 1 FROM devices")
@example("SELECT * FROM devices WHERE a = 1e999")
def test_any_text_is_a_query_or_a_refusal(text: str) -> None:
    for whole in (text, f"SELECT * FROM devices WHERE {text}"):
        try:
            query = parse(whole)
        except Refusal:
            continue
        assert isinstance(query, Query)
        for twin in TWINS:
            query.matches(twin)
            query.project(twin)
        if query.is_aggregate:
            query.sum_up(TWINS)
