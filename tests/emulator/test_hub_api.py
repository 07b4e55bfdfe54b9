"""A hub's service API: identities, twins, queries, statistics, and who may ask for them."""

import json
from typing import Any

import pytest

from firstlight.emulator.answers import Refusal
from firstlight.emulator.hub import registry
from firstlight.emulator.hub.methods import MethodCall
from firstlight.emulator.hub.refusals import name_of
from tests.emulator import hubs
from tests.emulator.hubs import NOW, Book, Line
from tests.emulator.rest_calls import HOST, KEYS, Bench, error

DESIRED = "$iothub/twin/PATCH/properties/desired/#"


def test_a_device_is_created_with_keys_of_its_own_and_read_back() -> None:
    bench = Bench()
    created = bench.ask("PUT", "/devices/dev", {"deviceId": "dev"})
    pair = created.document["authentication"]["symmetricKey"]
    assert created.status == 200
    assert len(pair["primaryKey"]) == 88
    assert pair["primaryKey"] != pair["secondaryKey"]
    assert created.document | {"authentication": None, "etag": None, "generationId": None} == {
        "deviceId": "dev",
        "generationId": None,
        "etag": None,
        "connectionState": "Disconnected",
        "status": "enabled",
        "statusReason": None,
        "connectionStateUpdatedTime": "0001-01-01T00:00:00Z",
        "statusUpdatedTime": "0001-01-01T00:00:00Z",
        "lastActivityTime": "0001-01-01T00:00:00Z",
        "cloudToDeviceMessageCount": 0,
        "authentication": None,
        "capabilities": {"iotEdge": False},
    }
    read = bench.ask("GET", "/devices/dev")
    assert read.document == created.document
    assert read.headers["ETag"] == f'"{created.document["etag"]}"'


def test_the_keys_that_are_given_are_kept_and_one_alone_gets_a_second() -> None:
    bench = Bench()
    pair = bench.create("dev")["authentication"]["symmetricKey"]
    assert pair == {"primaryKey": KEYS[0], "secondaryKey": KEYS[1]}
    one = {"type": "sas", "symmetricKey": {"primaryKey": KEYS[0], "secondaryKey": ""}}
    pair = bench.create("other", authentication=one)["authentication"]["symmetricKey"]
    assert pair["primaryKey"] == KEYS[0]
    assert len(pair["secondaryKey"]) == 88


def test_creating_what_is_there_is_a_conflict() -> None:
    bench = Bench()
    before = bench.create()
    assert error(bench.ask("PUT", "/devices/dev", {})) == (409, "DeviceAlreadyExists")
    assert bench.ask("GET", "/devices/dev").document == before


@pytest.mark.parametrize("if_match", ["*", '"*"'])
def test_an_update_changes_what_it_names_and_nothing_else(if_match: str) -> None:
    bench = Bench()
    before = bench.create(capabilities={"iotEdge": True})
    change = {"deviceId": "dev", "status": "disabled", "statusReason": "lost"}
    after = bench.ask("PUT", "/devices/dev", change, if_match=if_match).document
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"status", "statusReason", "statusUpdatedTime", "etag"}
    assert after["statusUpdatedTime"] == "2026-11-18T11:06:40.0000000Z"


def test_a_new_device_that_is_disabled_stays_so_after_a_restart_and_an_update() -> None:
    book = Book()
    Bench(book).create(status="disabled")
    bench = Bench(book)
    assert bench.ask("GET", "/devices/dev").document["status"] == "disabled"
    after = bench.ask("PUT", "/devices/dev", {"statusReason": "x"}, if_match="*").document
    assert after["status"] == "disabled"


def test_nothing_is_left_of_a_device_that_is_deleted() -> None:
    book = Book()
    bench = Bench(book)
    bench.create()
    bench.ask("DELETE", "/devices/dev")
    assert {kind for kind, records in book.records.items() if records} == {"policy/my-hub"}


def test_a_hub_takes_so_many_devices_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MAX_DEVICES", 1)
    bench = Bench()
    bench.create()
    assert error(bench.ask("PUT", "/devices/other", {})) == (403, "TooManyDevices")
    assert bench.ask("PUT", "/devices/dev", {}, if_match="*").status == 200


def test_an_update_with_an_old_etag_is_refused_and_with_the_right_one_done() -> None:
    bench = Bench()
    etag = bench.create()["etag"]
    assert bench.ask("PUT", "/devices/dev", {}, if_match=f'"{etag}"').status == 200
    refused = bench.ask("PUT", "/devices/dev", {"status": "disabled"}, if_match=f'"{etag}"')
    assert error(refused) == (412, "PreconditionFailed")
    assert error(bench.ask("DELETE", "/devices/dev", if_match=etag))[0] == 412
    assert bench.ask("GET", "/devices/dev").document["status"] == "enabled"


def test_a_device_that_is_not_there_is_not_found() -> None:
    bench = Bench()
    bench.create("Dev")
    for method, path, body in (
        ("GET", "/devices/dev", b""),
        ("PUT", "/devices/dev", {}),
        ("DELETE", "/devices/dev", b""),
        ("GET", "/twins/dev", b""),
        ("PATCH", "/twins/dev", {}),
        ("PUT", "/twins/dev", {}),
        ("DELETE", "/devices/dev/commands", b""),
        ("POST", "/devices/dev/messages/deviceBound", b""),
    ):
        answer = bench.ask(method, path, body, if_match="*")
        assert error(answer) == (404, "DeviceNotFound"), (method, path)


def test_disabling_or_deleting_a_device_ends_its_connection() -> None:
    bench = Bench()
    for method, document in (("PUT", {"status": "disabled"}), ("DELETE", b"")):
        bench.hub.remove_device("dev")
        bench.create()
        line = Line()
        bench.hub.attach("dev", line, NOW)
        assert bench.ask("GET", "/devices/dev").document["connectionState"] == "Connected"
        assert bench.ask(method, "/devices/dev", document, if_match='"*"').status in (200, 204)
        assert len(line.closed) == 1
    assert bench.ask("GET", "/devices/dev").status == 404


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"deviceId": "other"}, "deviceId"),
        ({"status": "on"}, "status"),
        ({"status": 1}, "status"),
        ({"statusReason": "x" * 129}, "statusReason"),
        ({"authentication": "sas"}, "authentication"),
        ({"authentication": {"type": "magic"}}, "authentication.type"),
        (
            {"authentication": {"type": "sas", "symmetricKey": {"primaryKey": "AAAA"}}},
            "primaryKey",
        ),
        ({"authentication": {"symmetricKey": {"secondaryKey": 7}}}, "secondaryKey"),
        (
            {"authentication": {"x509Thumbprint": {"primaryThumbprint": "xyz"}}},
            "primaryThumbprint",
        ),
        ({"capabilities": {"iotEdge": "yes"}}, "iotEdge"),
        ({"deviceScope": 1}, "deviceScope"),
        ([], "JSON object"),
        (b"{", "JSON"),
    ],
)
def test_an_identity_that_is_wrong_is_refused_by_its_field(document: Any, field: str) -> None:
    bench = Bench()
    answer = bench.ask("PUT", "/devices/dev", document)
    assert error(answer)[0] == 400
    assert field in answer.document["Message"]
    assert not bench.hub.devices()
    before = bench.create()
    assert bench.ask("PUT", "/devices/dev", document, if_match="*").status == 400
    assert bench.ask("GET", "/devices/dev").document == before


@pytest.mark.parametrize("device_id", ["a b", "x" * 129, "ä", "a\\b", "a\n"])
def test_an_id_that_azure_does_not_take_is_refused(device_id: str) -> None:
    assert error(Bench().ask("PUT", f"/devices/{device_id}", {})) == (400, "ArgumentInvalid")


def test_a_device_with_certificates_is_kept_and_shown_without_keys() -> None:
    bench = Bench()
    prints = {"primaryThumbprint": "a" * 40, "secondaryThumbprint": "B" * 64}
    shown = bench.create(authentication={"x509Thumbprint": prints})["authentication"]
    assert shown == {
        "type": "selfSigned",
        "symmetricKey": {"primaryKey": None, "secondaryKey": None},
        "x509Thumbprint": prints,
    }
    assert bench.ask("GET", "/twins/dev").document["authenticationType"] == "selfSigned"
    refused = bench.ask_as("dev", "GET", "/devices/dev/messages/deviceBound")
    assert error(refused)[0] == 401


def test_devices_are_listed_as_many_as_are_asked_for() -> None:
    bench = Bench()
    for i in range(3):
        bench.create(f"dev-{i}")
    listed = bench.ask("GET", "/devices/?top=2").document
    assert [device["deviceId"] for device in listed] == ["dev-0", "dev-1"]
    assert len(bench.ask("GET", "/devices").document) == 3
    for top in ("0", "-1", "x", "9999999", "²"):
        assert error(bench.ask("GET", f"/devices?top={top}")) == (400, "ArgumentInvalid")


def test_devices_and_connections_are_counted() -> None:
    bench = Bench()
    bench.create("a")
    bench.create("b", status="disabled")
    bench.hub.attach("a", Line(), NOW)
    assert bench.ask("GET", "/statistics/devices").document == {
        "totalDeviceCount": 2,
        "enabledDeviceCount": 1,
        "disabledDeviceCount": 1,
    }
    assert bench.ask("GET", "/statistics/service").document == {"connectedDeviceCount": 1}


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
        bench.hub.put_device(f"d{number:04}", hubs.KEYS, NOW)
    query = {"query": "SELECT deviceId FROM devices"}
    answer = bench.ask("POST", "/devices/query", query, x_ms_max_item_count="5000")
    assert len(answer.document) == 1000
    more = {"x_ms_continuation": answer.headers["x-ms-continuation"]}
    answer = bench.ask("POST", "/devices/query", query, **more)
    assert answer.document == [{"deviceId": "d1000"}]
    assert len(bench.ask("GET", "/devices?top=5000").document) == 1000


@pytest.mark.parametrize(
    ("code", "name"),
    [(404001, "DeviceNotFound"), (400999, "GenericBadRequest"), (599001, "GenericServerError")],
)
def test_every_error_has_a_name(code: int, name: str) -> None:
    assert name_of(code) == name


def test_a_device_that_goes_back_to_keys_gets_new_ones() -> None:
    bench = Bench()
    bench.create()
    certificate = {"authentication": {"type": "selfSigned"}}
    keys = {"authentication": {"type": "sas"}}
    assert bench.ask("PUT", "/devices/dev", certificate, if_match="*").status == 200
    answer = bench.ask("PUT", "/devices/dev", keys, if_match="*")
    pair = answer.document["authentication"]["symmetricKey"]
    assert not set(pair.values()) & {None, "", *KEYS}


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


RIGHTS = [
    ("GET", "/devices", {"iothubowner", "registryRead", "registryReadWrite"}),
    ("GET", "/devices/dev", {"iothubowner", "registryRead", "registryReadWrite"}),
    ("PUT", "/devices/new", {"iothubowner", "registryReadWrite"}),
    ("DELETE", "/devices/dev", {"iothubowner", "registryReadWrite"}),
    ("POST", "/devices", {"iothubowner", "registryReadWrite"}),
    ("POST", "/devices/query", {"iothubowner", "registryRead", "registryReadWrite"}),
    ("GET", "/twins/dev", {"iothubowner", "service"}),
    ("PATCH", "/twins/dev", {"iothubowner", "service"}),
    ("PUT", "/twins/dev", {"iothubowner", "service"}),
    ("DELETE", "/devices/dev/commands", {"iothubowner", "service"}),
    ("POST", "/devices/dev/messages/deviceBound", {"iothubowner", "service"}),
    ("POST", "/messages/deviceBound", {"iothubowner", "service"}),
    ("GET", "/messages/serviceBound/feedback", {"iothubowner", "service"}),
    ("DELETE", "/messages/serviceBound/feedback/x", {"iothubowner", "service"}),
    ("POST", "/messages/serviceBound/feedback/x/abandon", {"iothubowner", "service"}),
    ("GET", "/statistics/devices", {"iothubowner", "registryRead", "registryReadWrite"}),
    ("GET", "/statistics/service", {"iothubowner", "service"}),
]


@pytest.mark.parametrize(("method", "path", "allowed"), RIGHTS)
@pytest.mark.parametrize(
    "policy", ["iothubowner", "service", "device", "registryRead", "registryReadWrite"]
)
def test_each_call_needs_its_right(method: str, path: str, allowed: set[str], policy: str) -> None:
    bench = Bench()
    bench.create()
    answer = bench.ask(method, path, {}, policy=policy)
    if policy in allowed:
        assert answer.status in (200, 204, 400, 412)
    else:
        assert error(answer) == (401, "IotHubUnauthorizedAccess")
        assert bench.hub.registry.get("dev") is not None


def test_a_call_without_an_api_version_or_a_token_is_refused() -> None:
    bench = Bench()
    call = bench.call("GET", "/devices?api-version=", b"", bench.signed("iothubowner"), {})
    assert error(bench.api.handle(call, NOW)) == (400, "InvalidProtocolVersion")
    call = bench.call("GET", "/devices", b"", "", {})
    assert error(bench.api.handle(call, NOW)) == (401, "IotHubUnauthorizedAccess")
    device = bench.call("GET", "/devices", b"", bench.signed("iothubowner", "other"), {})
    assert error(bench.api.handle(device, NOW))[0] == 401
    ported = bench.call("GET", "/devices", b"", bench.signed("iothubowner", "MY-hub:8443"), {})
    assert bench.api.handle(ported, NOW).status == 200


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", (404, "GenericNotFound")),
        ("GET", "/devices/a/b", (404, "GenericNotFound")),
        ("PATCH", "/devices/a", (405, "GenericMethodNotAllowed")),
        ("DELETE", "/twins/a", (405, "GenericMethodNotAllowed")),
        ("GET", "/devices/a/modules", (501, "GenericNotImplemented")),
        ("GET", "/twins/a/modules/m", (501, "GenericNotImplemented")),
        ("PUT", "/configurations/c", (501, "GenericNotImplemented")),
        ("POST", "/jobs/create", (501, "GenericNotImplemented")),
    ],
)
def test_a_path_that_is_not_served_says_so(
    method: str, path: str, expected: tuple[int, str]
) -> None:
    assert error(Bench().ask(method, path, {})) == expected


def test_a_direct_method_is_read_after_its_right_was_checked() -> None:
    bench = Bench()
    body = {"methodName": "reboot", "payload": {"in_s": 5}, "responseTimeoutInSeconds": 7}
    path = "/twins/dev/methods"
    call = bench.call("POST", path, body, bench.signed("service"), {})
    expected = "dev", MethodCall("reboot", b'{"in_s":5}', 7, 0)
    assert bench.api.method_call(call, NOW) == expected
    call = bench.call("POST", path, b"{", bench.signed("registryRead"), {})
    with pytest.raises(Refusal, match="Unauthorized"):
        bench.api.method_call(call, NOW)
    module = bench.call("POST", "/twins/dev/modules/m/methods", body, bench.signed("service"), {})
    with pytest.raises(Refusal, match="modules") as caught:
        bench.api.method_call(module, NOW)
    assert error(bench.api.refused(caught.value, NOW)) == (501, "GenericNotImplemented")


def test_everything_is_found_again_in_the_journal() -> None:
    book = Book()
    bench = Bench(book)
    bench.create("kept", statusReason="why", capabilities={"iotEdge": True}, deviceScope="s")
    bench.create("gone")
    bench.ask("PATCH", "/twins/kept", {"tags": {"a": 1}, "properties": {"desired": {"b": 2}}})
    bench.hub.twin_reported("kept", {"c": 3}, NOW)
    bench.ask("PUT", "/devices/kept", {"status": "disabled"}, if_match="*")
    bench.ask("DELETE", "/devices/gone")
    again = Bench(book)
    assert [device.id for device in again.hub.devices()] == ["kept"]
    for path in ("/devices/kept", "/twins/kept"):
        assert again.ask("GET", path).document == bench.ask("GET", path).document
    assert again.signed("service", HOST) == bench.signed("service", HOST)
