"""A hub's service API: twins and queries."""

import json
from typing import Any

import pytest

from tests.emulator import hubs
from tests.emulator.hubs import NOW, Line
from tests.emulator.rest_calls import Bench, error

DESIRED = "$iothub/twin/PATCH/properties/desired/#"


def test_a_twin_is_shown_without_keys() -> None:
    bench = Bench()
    identity = bench.create()
    twin = bench.ask("GET", "/twins/dev")
    own = {"$metadata": {"$lastUpdated": "2026-11-18T11:06:40.0000000Z"}, "$version": 1}
    assert twin.headers["ETag"] == '"AAAAAAAAAAE="'
    assert twin.document == {
        "deviceId": "dev",
        "etag": "AAAAAAAAAAE=",
        "deviceEtag": identity["etag"],
        "status": "enabled",
        "statusUpdateTime": "0001-01-01T00:00:00Z",
        "connectionState": "Disconnected",
        "lastActivityTime": "0001-01-01T00:00:00Z",
        "cloudToDeviceMessageCount": 0,
        "authenticationType": "sas",
        "x509Thumbprint": {"primaryThumbprint": None, "secondaryThumbprint": None},
        "modelId": "",
        "version": 2,
        "tags": {},
        "properties": {"desired": own, "reported": own},
        "capabilities": {"iotEdge": False},
    }


def test_a_patched_twin_is_answered_and_its_device_is_told() -> None:
    bench = Bench()
    bench.create()
    line = Line()
    bench.hub.attach("dev", line, NOW)
    line.subscribe(bench.hub, DESIRED)
    patch = {"tags": {"floor": 1}, "properties": {"desired": {"a": 1, "b": None}}}
    twin = bench.ask("PATCH", "/twins/dev", patch, if_match='"AAAAAAAAAAE="')
    assert twin.document["tags"] == {"floor": 1}
    assert twin.document["properties"]["desired"]["a"] == 1
    assert twin.headers["ETag"] == '"AAAAAAAAAAI="'
    topic = "$iothub/twin/PATCH/properties/desired/?$version=2"
    told = {"a": 1, "b": None, "$version": 2}
    assert [(topic, json.loads(sent)) for topic, sent in line.sent] == [(topic, told)]
    stale = bench.ask("PATCH", "/twins/dev", patch, if_match='"AAAAAAAAAAE="')
    assert error(stale) == (412, "PreconditionFailed")
    assert len(line.sent) == 1


def test_a_replaced_twin_keeps_nothing_of_the_old() -> None:
    bench = Bench()
    bench.create()
    bench.ask("PATCH", "/twins/dev", {"tags": {"x": 1}, "properties": {"desired": {"a": 1}}})
    whole = bench.ask("GET", "/twins/dev").document
    whole["properties"]["desired"] |= {"b": 2}
    del whole["properties"]["desired"]["a"], whole["tags"]["x"]
    twin = bench.ask("PUT", "/twins/dev", whole, if_match='"*"').document
    desired = {k: v for k, v in twin["properties"]["desired"].items() if k != "$metadata"}
    assert (twin["tags"], desired) == ({}, {"b": 2, "$version": 3})


@pytest.mark.parametrize(
    ("patch", "status"),
    [
        ({"tags": []}, 400),
        ({"properties": []}, 400),
        ({"properties": {"desired": "x"}}, 400),
        ({"properties": {"desired": {"a.b": 1}}}, 400),
        ({"tags": {"a": "x" * 4000, "b": "x" * 4000, "c": "x" * 4000}}, 413),
        (b"{", 400),
    ],
)
def test_a_twin_that_cannot_be_is_refused(patch: Any, status: int) -> None:
    bench = Bench()
    bench.create()
    before = bench.ask("GET", "/twins/dev").document
    for method in ("PATCH", "PUT"):
        assert error(bench.ask(method, "/twins/dev", patch))[0] == status
    assert bench.ask("GET", "/twins/dev").document == before


def test_a_page_holds_a_thousand_at_most() -> None:
    bench = Bench()
    for number in range(1001):
        bench.hub.put_device(f"d{number:04}", hubs.BY_KEYS, NOW)
    query = {"query": "SELECT deviceId FROM devices"}
    answer = bench.ask("POST", "/devices/query", query, x_ms_max_item_count="5000")
    assert len(answer.document) == 1000
    more = {"x_ms_continuation": answer.headers["x-ms-continuation"]}
    answer = bench.ask("POST", "/devices/query", query, **more)
    assert answer.document == [{"deviceId": "d1000"}]
    assert len(bench.ask("GET", "/devices?top=5000").document) == 1000


def test_a_query_is_answered_page_by_page() -> None:
    bench = Bench()
    for i in range(5):
        bench.create(f"dev-{4 - i}")
        bench.ask("PATCH", f"/twins/dev-{4 - i}", {"tags": {"n": i}})
    text = {"query": "SELECT * FROM devices WHERE tags.n > 0"}
    ids: list[str] = []
    more: dict[str, str] = {}
    for _ in range(9):
        headers = {"x_ms_max_item_count": "2"} | more
        answer = bench.ask("POST", "/devices/query", text, **headers)
        assert answer.headers["x-ms-item-type"] == "Twin"
        ids += [twin["deviceId"] for twin in answer.document]
        if "x-ms-continuation" not in answer.headers:
            break
        more = {"x_ms_continuation": answer.headers["x-ms-continuation"]}
    assert ids == ["dev-0", "dev-1", "dev-2", "dev-3"]


def test_a_query_may_select_or_count() -> None:
    bench = Bench()
    for i in range(3):
        bench.create(f"dev-{i}")
    some = bench.ask("POST", "/devices/query", {"query": "SELECT TOP 2 deviceId FROM devices"})
    assert some.document == [{"deviceId": "dev-0"}, {"deviceId": "dev-1"}]
    assert some.headers["x-ms-item-type"] == "Raw"
    count = bench.ask("POST", "/devices/query", {"query": "SELECT COUNT() AS n FROM devices"})
    assert count.document == [{"n": 3}]
    for body in ({"query": "DELETE"}, {"query": 1}, {}, b"x"):
        assert error(bench.ask("POST", "/devices/query", body))[0] == 400
    headers = {"x_ms_max_item_count": "0"}
    assert bench.ask("POST", "/devices/query", {"query": "SELECT *"}, **headers).status == 400
