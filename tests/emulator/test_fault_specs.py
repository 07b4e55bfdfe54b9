"""A fault's words and JSON: what is taken, and in how many words the rest is refused."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.faults.help import described
from firstlight.emulator.faults.points import POINTS, known_at, overs_of
from firstlight.emulator.faults.scenarios import SCENARIOS
from firstlight.emulator.faults.specs import BadFault, Fault, parse, parse_text, parse_words
from firstlight.emulator.faults.table import ACTIONS, REQUIRED, WHEN, WHOM, Field

_SAMPLES: dict[str, Any] = {"integer": 7, "number": 1.5, "hex": "0aff", "switch": True}


def sample(field: Field) -> Any:
    """A value that the field takes and that is not its default."""
    if field.choices:
        return field.choices[-1]
    if field.kind in ("integer", "number"):
        value = min(max(_SAMPLES[field.kind], field.least), field.most)
        return value if field.name != "status" else 503
    return {"text": "x y=z", "json": {"a": [1, None]}}.get(field.kind, _SAMPLES.get(field.kind))


def every_fault() -> list[dict[str, Any]]:
    found = []
    for row in ACTIONS:
        for at in row.points:
            fields = (*row.fields, *(f for f in WHOM if f.name in known_at(at)), *WHEN)
            whole = {"at": at, "do": row.name} | {f.name: sample(f) for f in fields}
            found.append(whole | {"over": sorted(overs_of(at))[0]})
            needed = [f for f in row.fields if f.default is REQUIRED]
            if row.name != "limit":
                found.append({"at": at, "do": row.name} | {f.name: sample(f) for f in needed})
    return found


@pytest.mark.parametrize("document", every_fault(), ids=lambda d: f"{d['at']}-{d['do']}")
def test_every_row_of_the_table_can_be_said_in_json_and_in_words(document: dict[str, Any]) -> None:
    fault = parse(document)
    assert parse(json.loads(json.dumps(fault.document()))) == fault
    words = [
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in fault.document().items()
        if name not in ("at", "do")
    ]
    assert parse_words([fault.at, fault.do, *words]) == fault
    assert str(fault).startswith(f"{document['at']} {document['do']}")


def test_a_row_is_told_apart_by_its_point() -> None:
    assert len({(at, row.name) for row in ACTIONS for at in row.points}) == sum(
        len(row.points) for row in ACTIONS
    )
    assert all(group in POINTS for point in POINTS.values() for group in point.within)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("poll", "a fault is a point, an action"),
        ("", "a fault is a point, an action"),
        ("nowhere drop", "'nowhere' is no point; there are accept, hello"),
        ("poll cut bytes=1", "'cut' cannot be done at poll; delay, ignore, close"),
        ("poll-answer cut", "bytes is needed"),
        ("poll refuse status=200", "status goes from 300 to 599"),
        ("poll refuse status=many", "status is 'many', not a whole number"),
        ("poll refuse colour=red", "does not take 'colour'; it takes status, code"),
        ("poll refuse status=429 status=500", "each given once"),
        ("poll refuse 429", "is not one name=value"),
        ("poll delay seconds=nan", "seconds is 'nan', not a number"),
        ("poll delay seconds=1e9", "seconds goes from 0 to 3600"),
        ("poll refuse times=0", "times goes from 1"),
        ("poll refuse part=moon", "part is one of dps, hub"),
        ("connect limit", "a limit needs at least one"),
        ("poll-answer body hex=0", "hex is '0', not pairs of hexadecimal digits"),
        ('poll-answer state set=["a"]', "set is '[\"a\"]', not a JSON object"),
        ('{"at": "poll", "do": "refuse", "status": true}', "status is 'true', not a whole number"),
        ('{"at": "poll", "do": 5}', "'5' cannot be done at poll"),
        ('{"at": ["poll"], "do": "drop"}', "is no point"),
        ('{"at": "poll"}', "needs at and do"),
        ("accept close device=dev-1", "device is not known at accept, so it would never strike"),
        ("hello close part=hub", "part is not known at hello"),
        ("accept close hub=localhost", "hub is not known at accept"),
        ("connect close address=127.0.0.1", "address is not known at connect"),
        ("hello close over=websocket", "over is one of https, mqtt at hello"),
        ("lookup refuse over=mqtt", "over is one of https at lookup"),
        ("telemetry close over=https", "over is one of mqtt, websocket at telemetry"),
        ("poll refuse times=9999999", "times goes from 1 to 1048576"),
        ("poll-answer retry-after name=", "name has 1 to 32 characters"),
        (f'poll-answer state set={{"a":{"[" * 900}{"]" * 900}}}', "and 64 levels"),
        ("{", "must be a JSON object"),
        ("{}x", "must be a JSON object"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(text: str, why: str) -> None:
    with pytest.raises(BadFault) as refused:
        parse_text(text)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("words", SCENARIOS.values(), ids=SCENARIOS)
def test_what_is_often_wanted_can_be_said(words: str) -> None:
    assert str(parse_text(words)).split()[:2] == words.split()[:2]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
_NAMES = st.sampled_from(
    ["at", "do", *{f.name for row in ACTIONS for f in row.fields}, *(f.name for f in WHOM + WHEN)]
)
_DOCUMENTS = st.dictionaries(_NAMES | st.text(max_size=5), _JSON, max_size=6).flatmap(
    lambda rest: st.builds(
        lambda at, do: rest | {"at": at, "do": do},
        st.sampled_from(sorted(POINTS)) | _JSON,
        st.sampled_from(sorted({row.name for row in ACTIONS})) | _JSON,
    )
)


@given(_DOCUMENTS)
def test_any_json_is_a_fault_or_a_bad_one(document: dict[str, Any]) -> None:
    try:
        fault = parse(document)
    except BadFault:
        return
    assert isinstance(fault, Fault)
    assert parse(fault.document()) == fault


@given(st.text())
def test_any_text_is_a_fault_or_a_bad_one(text: str) -> None:
    with suppress(BadFault):
        parse_text(text)


def test_the_table_tells_every_point_action_and_parameter() -> None:
    told = "\n".join(described())
    for name in (*POINTS, *(row.name for row in ACTIONS), *(f.name for f in WHOM + WHEN)):
        assert name in told
