"""A hub's service API: identities, statistics, errors."""

from typing import Any

import pytest

from firstlight.emulator.hub import registry
from firstlight.emulator.hub.refusals import name_of
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
