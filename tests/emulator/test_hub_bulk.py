"""Many identities in one call: what can be done is done, and what cannot is named."""

from typing import Any

import pytest

from firstlight.emulator.answers import Answer
from tests.emulator.hubs import NOW, Book, Line
from tests.emulator.rest_calls import Bench, error


def bulk(bench: Bench, *items: Any) -> Answer:
    return bench.ask("POST", "/devices", list(items))


def test_devices_are_created_together_with_twins_if_they_have_some() -> None:
    book = Book()
    bench = Bench(book)
    twin = {"tags": {"a": 1}, "properties": {"desired": {"b": 2}, "reported": {}}}
    answer = bulk(
        bench,
        {"id": "one", "importMode": "create", "status": "disabled"},
        {"id": "two", "importMode": "Create"} | twin,
    )
    assert answer.status == 200
    assert answer.document == {"isSuccessful": True, "errors": [], "warnings": []}
    for some in (bench, Bench(book)):
        assert some.ask("GET", "/devices/one").document["status"] == "disabled"
        found = some.ask("GET", "/twins/two").document
        assert (found["tags"], found["properties"]["desired"]["b"]) == ({"a": 1}, 2)


def test_what_is_there_is_updated_and_what_is_not_is_created_if_that_is_the_mode() -> None:
    bench = Bench()
    etag = bench.create()["etag"]
    mode = {"importMode": "createOrUpdateIfMatchETag", "status": "disabled"}
    answer = bulk(
        bench,
        {"id": "dev", "eTag": "old"} | mode,
        {"id": "dev"} | mode,
        {"id": "dev", "eTag": etag} | mode,
        {"id": "new"} | mode,
        {"id": "newer", "importMode": "createOrUpdate"},
        {"id": "newer"},
    )
    assert [(e["deviceId"], e["errorCode"]) for e in answer.document["errors"]] == [
        ("dev", "PreconditionFailed"),
        ("dev", "PreconditionFailed"),
    ]
    states = [(device.id, device.status) for device in bench.hub.devices()]
    assert states == [("dev", "disabled"), ("new", "disabled"), ("newer", "enabled")]


def test_one_that_fails_is_named_and_the_others_are_done() -> None:
    bench = Bench()
    bench.create("there")
    answer = bulk(
        bench,
        {"id": "there", "importMode": "create"},
        {"id": "a b", "importMode": "create"},
        {"id": "none", "importMode": "update"},
        {"id": "bad", "importMode": "create", "tags": {"a.b": 1}},
        {"id": "odd", "importMode": "explode"},
        {"id": "m", "moduleId": "m", "importMode": "create"},
        {"importMode": "create"},
        "text",
        {"id": "new", "importMode": "create"},
    )
    assert answer.status == 400
    assert answer.document["isSuccessful"] is False
    assert [(e["deviceId"], e["errorCode"]) for e in answer.document["errors"]] == [
        ("there", "DeviceAlreadyExists"),
        ("a b", "ArgumentInvalid"),
        ("none", "DeviceNotFound"),
        ("bad", "ArgumentInvalid"),
        ("odd", "ArgumentInvalid"),
        ("m", "GenericNotImplemented"),
        ("", "ArgumentInvalid"),
        ("", "ArgumentInvalid"),
    ]
    assert [device.id for device in bench.hub.devices()] == ["there", "new"]


@pytest.mark.parametrize("mode", ["update", "Update", "createOrUpdate", None])
def test_devices_are_updated(mode: str | None) -> None:
    bench = Bench()
    bench.create()
    line = Line()
    bench.hub.attach("dev", line, NOW)
    item = {"id": "dev", "status": "disabled"} | ({"importMode": mode} if mode else {})
    assert bulk(bench, item).status == 200
    assert bench.ask("GET", "/devices/dev").document["status"] == "disabled"
    assert len(line.closed) == 1


@pytest.mark.parametrize(
    ("mode", "field"),
    [
        ("updateIfMatchETag", "eTag"),
        ("UpdateIfMatchETag", "etag"),
        ("deleteIfMatchETag", "eTag"),
        ("updateTwinIfMatchETag", "twinETag"),
    ],
)
def test_etags_are_matched(mode: str, field: str) -> None:
    bench = Bench()
    etag = bench.create()["etag"] if field != "twinETag" else None
    if etag is None:
        bench.create()
        etag = "AAAAAAAAAAE="
    for wrong in ({}, {field: "old"}):
        answer = bulk(bench, {"id": "dev", "importMode": mode} | wrong)
        assert answer.document["errors"][0]["errorCode"] == "PreconditionFailed"
    assert bulk(bench, {"id": "dev", "importMode": mode, field: etag}).status == 200


def test_twins_are_patched_and_devices_deleted() -> None:
    bench = Bench()
    bench.create()
    assert bulk(bench, {"id": "dev", "importMode": "updateTwin", "tags": {"a": 1}}).status == 200
    assert bench.ask("GET", "/twins/dev").document["tags"] == {"a": 1}
    assert bulk(bench, {"id": "dev", "importMode": "Delete"}).status == 200
    assert bulk(bench, {"id": "dev", "importMode": "delete"}).status == 400
    assert not bench.hub.devices()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"[", b'[],"a":[1]', [{}] * 101])
def test_what_is_not_a_list_of_up_to_a_hundred_is_refused(body: Any) -> None:
    assert error(Bench().ask("POST", "/devices", body))[0] == 400
