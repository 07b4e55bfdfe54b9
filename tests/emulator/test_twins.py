"""Device twins: merged, versioned, dated, measured; a patch that is refused changes nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.answers import Refusal
from firstlight.emulator.hub.twins import Twin, restored, size_of

NOW = 1_795_000_000.0
THEN = "2026-11-18T11:06:40.0000000Z"
LATER = "2026-11-18T11:06:41.0000000Z"

names = st.text("abcdef", min_size=1, max_size=2)
leaves = st.one_of(
    st.integers(-99, 99), st.booleans(), st.text("xyz", max_size=3), st.floats(0, 9)
)
values = st.recursive(
    leaves | st.none(), lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=8
)
patches = st.dictionaries(names, values, max_size=4)


def a_twin(desired: dict[str, Any] | None = None) -> Twin:
    twin = Twin(NOW)
    if desired:
        twin.patch(None, desired, NOW)
    return twin


def test_a_new_twin_is_empty_and_has_its_first_versions() -> None:
    twin = Twin(NOW)
    own = {"$metadata": {"$lastUpdated": THEN}, "$version": 1}
    assert twin.sections() == {
        "version": 2,
        "tags": {},
        "properties": {"desired": own, "reported": own},
    }
    assert twin.etag == "AAAAAAAAAAE="
    assert twin.device_document() == {"desired": {"$version": 1}, "reported": {"$version": 1}}


def test_a_patch_merges_and_null_removes() -> None:
    twin = a_twin({"a": {"b": 1, "c": 2}, "d": "x"})
    told = twin.patch(None, {"a": {"b": None, "e": [1, {"f": True}]}, "d": None}, NOW)
    assert twin.desired.values == {"a": {"c": 2, "e": [1, {"f": True}]}}
    assert told == {"a": {"b": None, "e": [1, {"f": True}]}, "d": None, "$version": 3}


def test_an_object_takes_the_place_of_a_value_and_the_other_way_round() -> None:
    twin = a_twin({"a": 1, "b": {"c": 1}})
    twin.patch(None, {"a": {"x": 1, "gone": None}, "b": 2}, NOW)
    assert twin.desired.values == {"a": {"x": 1}, "b": 2}


def test_only_what_a_patch_touches_gets_a_new_date() -> None:
    twin = a_twin({"a": {"b": 1}, "c": 1})
    twin.patch(None, {"c": 2}, NOW + 1)
    old = {"$lastUpdated": THEN, "$lastUpdatedVersion": 2}
    new = {"$lastUpdated": LATER, "$lastUpdatedVersion": 3}
    assert twin.desired.metadata == {"a": {"b": old} | old, "c": new} | new


def test_reported_properties_are_dated_without_a_version() -> None:
    twin = Twin(NOW)
    assert twin.patch_reported({"t": 1}, NOW + 1) == 2
    assert twin.reported.metadata == {"t": {"$lastUpdated": LATER}, "$lastUpdated": LATER}


def test_the_etag_counts_the_services_changes_and_the_version_all() -> None:
    twin = a_twin()
    twin.patch_reported({"t": 1}, NOW)
    assert (twin.etag, twin.version) == ("AAAAAAAAAAE=", 3)
    twin.patch({"floor": 1}, None, NOW)
    assert (twin.etag, twin.version, twin.desired.version) == ("AAAAAAAAAAI=", 4, 1)


def test_tags_alone_tell_the_device_nothing() -> None:
    assert Twin(NOW).patch({"floor": 1}, None, NOW) is None


def test_replacing_keeps_nothing_but_the_count() -> None:
    twin = a_twin({"a": 1, "b": 2})
    twin.patch({"floor": 1}, None, NOW)
    told = twin.replace({}, {"a": 3, "no": None}, NOW)
    assert told == {"a": 3, "$version": 3}
    assert (twin.tags, twin.desired.values) == ({}, {"a": 3})


def test_a_whole_twin_that_comes_back_edited_is_taken() -> None:
    twin = a_twin({"a": 1})
    whole = twin.sections()["properties"]["desired"] | {"a": 2}
    twin.patch(None, whole, NOW)
    twin.replace({}, whole, NOW)
    assert twin.device_document()["desired"] == {"a": 2, "$version": 4}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"a.b": 1}, "key"),
        ({"a b": 1}, "key"),
        ({"$a": 1}, "key"),
        ({"a\x01": 1}, "key"),
        ({"a\x9f": 1}, "key"),
        ({"": 1}, "key"),
        ({"\ud800": 1}, "key"),
        ({"x": {"y": {"$z": 1}}}, "desired.x.y has"),
        ({"x" * 1025: 1}, "1 KB"),
        ({"x": "y" * 4097}, "4 KB"),
        ({"x": "\ud800"}, "surrogate"),
        ({"x": [{"y.z": 1}]}, "key"),
        ({"x": 4503599627370496}, "52 bits"),
        ({"x": -4503599627370497}, "52 bits"),
        ({"x": [float("inf")]}, "JSON"),
    ],
)
def test_what_a_twin_cannot_hold_is_refused_and_changes_nothing(
    bad: dict[str, Any], why: str
) -> None:
    twin = a_twin({"kept": 1})
    before = twin.record()
    with pytest.raises(Refusal, match=why) as caught:
        twin.patch({"floor": 1}, bad, NOW)
    assert caught.value.status == 400
    assert twin.record() == before


def nested(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = {"property": 1}
    for _ in range(levels):
        document = {"x": document}
    return document


def test_ten_levels_are_taken_and_eleven_are_not() -> None:
    Twin(NOW).patch(nested(10), nested(10), NOW)
    with pytest.raises(Refusal, match="10 levels"):
        Twin(NOW).patch(nested(11), None, NOW)
    with pytest.raises(Refusal, match="10 levels"):
        Twin(NOW).patch_reported({"x": [[[[[[[[[[[1]]]]]]]]]]]}, NOW)


def big(size: int) -> dict[str, str]:
    """A section of so many bytes, as Azure counts them."""
    return {f"k{i:03}": "x" * min(4092, left - 4) for i, left in enumerate(range(size, 4, -4096))}


def test_32_kb_of_properties_and_8_kb_of_tags_are_taken_and_a_byte_more_is_not() -> None:
    assert size_of(big(32 * 1024)) == 32 * 1024
    twin = Twin(NOW)
    twin.patch(big(8 * 1024), big(32 * 1024), NOW)
    twin.patch_reported(big(32 * 1024), NOW)
    for tags, desired in (({"k": ""}, None), (None, {"k": ""})):
        with pytest.raises(Refusal, match="hold at most") as caught:
            twin.patch(tags, desired, NOW)
        assert caught.value.status == 413
    with pytest.raises(Refusal):
        twin.patch_reported({"k": ""}, NOW)
    assert twin.reported.version == 2


def test_a_patch_that_is_too_large_changes_nothing_deep_inside() -> None:
    twin = a_twin({"a": {"b": {"c": 1}}})
    twin.patch({"a": {"b": {"c": 1}}}, None, NOW)
    before = twin.record()
    for tags, desired in ((big(8 * 1024), None), (None, big(32 * 1024))):
        with pytest.raises(Refusal, match="hold at most"):
            twin.patch(
                tags and {"a": {"b": {"c": 2}}} | tags,
                desired and {"a": {"b": {"c": None}}} | desired,
                NOW,
            )
    assert twin.record() == before


def test_what_goes_in_is_not_shared_with_what_is_kept() -> None:
    patch: dict[str, Any] = {"a": [1, {"b": 2}]}
    twin = a_twin(patch)
    patch["a"][1]["b"] = 3
    assert twin.desired.values == {"a": [1, {"b": 2}]}


def test_what_makes_a_full_section_smaller_is_taken() -> None:
    twin = Twin(NOW)
    twin.patch_reported(big(32 * 1024), NOW)
    twin.patch_reported({"k000": None}, NOW)
    assert size_of(twin.reported.values) == 28 * 1024


def test_size_is_counted_as_azure_counts() -> None:
    assert size_of({"ä": "b\x07c", "n": 12, "f": 0.5, "t": True}) == (2 + 2) + 9 + 9 + 5
    assert size_of({"a": {"b": [1, "xy", None]}}) == 1 + 1 + 8 + 2


def merged(old: Any, patch: Any) -> Any:
    """RFC 7396's own words, which the twin must agree with."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def stamps_fit(values: Any, metadata: dict[str, Any]) -> bool:
    """Whether there is a date for every part, and for no other."""
    assert "$lastUpdated" in metadata
    parts = {name for name in metadata if not name.startswith("$")}
    if not isinstance(values, dict):
        return not parts
    return parts == set(values) and all(stamps_fit(values[n], metadata[n]) for n in parts)


@given(st.lists(patches, max_size=5))
def test_patches_merge_as_json_merge_patch_says(series: list[dict[str, Any]]) -> None:
    twin = Twin(NOW)
    expected: dict[str, Any] = {}
    for patch in series:
        sent = json.dumps(patch)
        twin.patch(patch, patch, NOW)
        twin.patch_reported(patch, NOW)
        assert json.dumps(patch) == sent
        expected = merged(expected, patch)
    assert twin.tags == twin.desired.values == twin.reported.values == expected
    assert stamps_fit(twin.desired.values, twin.desired.metadata)
    assert twin.desired.version == twin.reported.version == 1 + len(series)
    assert restored(json.loads(json.dumps(twin.record()))).record() == twin.record()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), anything, max_size=4))
def test_no_patch_does_anything_but_merge_or_be_refused(patch: dict[str, Any]) -> None:
    twin = Twin(NOW)
    try:
        twin.patch(patch, patch, NOW)
        twin.patch_reported(patch, NOW)
    except Refusal:
        return
    json.dumps(twin.sections(), allow_nan=False).encode()


def test_what_comes_out_shares_nothing_with_what_is_kept() -> None:
    twin = a_twin({"a": {"b": 1}})
    twin.sections()["properties"]["desired"]["a"]["b"] = 2
    twin.device_document()["desired"]["a"]["b"] = 2
    twin.record()["properties"]["desired"]["a"]["b"] = 2
    assert twin.desired.values == {"a": {"b": 1}}
