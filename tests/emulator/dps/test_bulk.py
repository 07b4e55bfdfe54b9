"""Bulk operations of the service API: each item with its own outcome."""

from typing import Any

import pytest

from tests.emulator.dps.calls import Api

PLACES = pytest.mark.parametrize(
    ("place", "name", "field"),
    [
        ("/enrollments", "enrollments", "registrationId"),
        ("/enrollmentGroups", "enrollmentGroups", "enrollmentGroupId"),
    ],
)


@PLACES
def test_each_mode_does_what_its_name_says(place: str, name: str, field: str) -> None:
    api = Api()

    def run(mode: str, *items: dict[str, Any]) -> Any:
        answer = api.call("POST", place, {"mode": mode, name: list(items)})
        assert answer.status == 200
        return answer.document

    assert run("create", {field: "a"}, {field: "b"}) == {"isSuccessful": True, "errors": []}
    off = {"provisioningStatus": "disabled"}
    assert run("update", {field: "A", **off})["isSuccessful"]
    shown = api.call("GET", f"{place}/a").document
    assert shown["provisioningStatus"] == "disabled"
    assert run("updateIfMatchETag", shown | {"provisioningStatus": "enabled"})["isSuccessful"]
    assert api.call("GET", f"{place}/a").document["provisioningStatus"] == "enabled"
    assert run("delete", {field: "a"}, {field: "b"})["isSuccessful"]
    assert api.error("GET", f"{place}/a") == (404, 404201)


@PLACES
def test_an_item_that_is_refused_is_named_and_the_others_are_done(
    place: str, name: str, field: str
) -> None:
    api = Api()
    api.call("PUT", f"{place}/old", {})

    def run(mode: str, *items: Any) -> list[tuple[str, int]]:
        done = api.call("POST", place, {"mode": mode, name: list(items)}).document
        assert not done["isSuccessful"]
        assert all(set(error) == {field, "errorCode", "errorStatus"} for error in done["errors"])
        return [(error[field], error["errorCode"]) for error in done["errors"]]

    bad = {field: "bad", "iotHubs": "hub"}
    found = run("create", {field: "old"}, bad, {field: "new"}, {}, {field: 7})
    assert found == [("old", 409000), ("bad", 400000), ("", 400004), ("", 400004)]
    assert api.call("GET", f"{place}/new").status == 200
    assert run("update", {field: "none"}, {field: "old"}) == [("none", 404201)]
    assert run("updateIfMatchEtag", {field: "old", "etag": "x"}) == [("old", 409203)]
    assert run("updateIfMatchETag", {field: "old"}) == [("old", 409203)]
    assert run("delete", {field: "none"}, {field: "old"}) == [("none", 404201)]
    assert api.error("GET", f"{place}/old") == (404, 404201)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"mode": "create"},
        {"mode": "create", "enrollments": []},
        {"mode": "create", "enrollments": {}},
        {"mode": "create", "enrollments": [1]},
        {"mode": "create", "enrollments": [{"registrationId": f"d{n}"} for n in range(11)]},
        {"mode": "replace", "enrollments": [{}]},
        {"mode": 7, "enrollments": [{}]},
        b"[",
    ],
)
def test_a_bulk_operation_that_makes_no_sense_is_400_and_does_nothing(document: Any) -> None:
    api = Api()
    assert api.error("POST", "/enrollments", document) == (400, 400000)
    assert api.store.individuals.all() == []
