"""Devices with certificates in a hub's REST APIs: the service's, and their own over HTTPS."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from firstlight.emulator.answers import Answer, Json
from firstlight.emulator.hub.credential import by_thumbprints
from firstlight.emulator.hub.proving import Trust
from tests.certificates import Issued, make_ca, make_leaf, make_root
from tests.emulator.hubs import NOW, Book, Line
from tests.emulator.peers import token
from tests.emulator.rest_calls import HOST, KEYS, Bench, error

START = datetime.fromtimestamp(NOW, UTC)
ROOT = make_root("Hub Root", start=START)
LEAF = make_leaf(make_ca(ROOT, "Batch 1", start=START), "dev", start=START, days=30)
OWN = make_leaf(None, "dev", start=START, days=30)
EVENTS = "/devices/dev/messages/events"
NO_KEYS = {"primaryKey": None, "secondaryKey": None}
NO_PRINTS = {"primaryThumbprint": None, "secondaryThumbprint": None}
BY_CA = {"type": "certificateAuthority"}


def by_print(primary: str | None, secondary: str | None = None) -> Json:
    prints = {"primaryThumbprint": primary, "secondaryThumbprint": secondary}
    return {"type": "selfSigned", "x509Thumbprint": prints}


def a_bench(authentication: Json, book: Book | None = None, **fields: Any) -> Bench:
    bench = Bench(book)
    bench.hub.believe(Trust(lambda: [ROOT.certificate]))
    bench.create(authentication=authentication, **fields)
    return bench


def changed(bench: Bench, authentication: Json) -> Json:
    """The device's authentication after an update."""
    document = {"deviceId": "dev", "authentication": authentication}
    answer = bench.ask("PUT", "/devices/dev", document, if_match="*")
    assert answer.status == 200, answer
    found: Json = answer.document["authentication"]
    return found


def send(bench: Bench, *chain: bytes, sas: str = "", at: float = NOW) -> Answer:
    """Telemetry over HTTPS."""
    call = bench.call("POST", f"{EVENTS}?api-version=2020-03-13", b"{}", sas, {})
    return bench.devices.handle(replace(call, chain=chain), at)


def test_a_device_by_thumbprint_is_shown_with_it_and_without_keys() -> None:
    bench = a_bench(by_print(OWN.sha256, LEAF.sha1))
    prints = {"primaryThumbprint": OWN.sha256, "secondaryThumbprint": LEAF.sha1}
    shown = {"type": "selfSigned", "symmetricKey": NO_KEYS, "x509Thumbprint": prints}
    assert bench.ask("GET", "/devices/dev").document["authentication"] == shown
    assert bench.ask("GET", "/devices").document[0]["authentication"] == shown
    twin = bench.ask("GET", "/twins/dev").document
    assert (twin["authenticationType"], twin["x509Thumbprint"]) == ("selfSigned", prints)
    query = {"query": "SELECT * FROM devices WHERE authenticationType = 'selfSigned'"}
    assert [one["deviceId"] for one in bench.ask("POST", "/devices/query", query).document] == [
        "dev"
    ]


def test_a_device_by_authority_is_shown_with_neither_keys_nor_thumbprints() -> None:
    bench = a_bench(BY_CA)
    shown = BY_CA | {"symmetricKey": NO_KEYS, "x509Thumbprint": NO_PRINTS}
    assert bench.ask("GET", "/devices/dev").document["authentication"] == shown
    twin = bench.ask("GET", "/twins/dev").document
    assert (twin["authenticationType"], twin["x509Thumbprint"]) == (
        "certificateAuthority",
        NO_PRINTS,
    )


def test_what_dps_creates_is_shown_as_azure_does() -> None:
    bench = Bench()
    bench.hub.put_device("dev", by_thumbprints(OWN.sha256), NOW)
    found = bench.ask("GET", "/devices/dev").document["authentication"]
    assert found["type"] == "selfSigned"
    assert set(found["x509Thumbprint"].values()) == {OWN.sha256}
    assert found["symmetricKey"] == NO_KEYS


def test_a_device_goes_from_one_kind_to_another_and_takes_its_twin_along() -> None:
    book = Book()
    bench = a_bench(by_print(OWN.sha1), book)
    bench.ask("PATCH", "/twins/dev", {"tags": {"site": "a"}})
    assert send(bench, OWN.der).status == 204
    assert changed(bench, BY_CA)["x509Thumbprint"] == NO_PRINTS
    assert send(bench, OWN.der).status == 401
    assert send(bench, *LEAF.chain_ders).status == 204
    pair = {"primaryKey": KEYS[0], "secondaryKey": KEYS[1]}
    assert changed(bench, {"type": "sas", "symmetricKey": pair})["symmetricKey"] == pair
    assert send(bench, *LEAF.chain_ders).status == 401
    sas = token(f"{HOST}/devices/dev", KEYS[0], skn=None)
    assert send(bench, *LEAF.chain_ders, sas=sas).status == 204
    assert changed(bench, by_print(None, OWN.sha256))["symmetricKey"] == NO_KEYS
    assert send(bench, sas=sas).status == 401
    assert send(bench, OWN.der).status == 204
    assert bench.ask("GET", "/twins/dev").document["tags"] == {"site": "a"}
    assert send(Bench(book), OWN.der).status == 204  # after a restart


def test_an_update_that_says_nothing_of_it_changes_no_thumbprint() -> None:
    bench = a_bench(by_print(OWN.sha1))
    answer = bench.ask("PUT", "/devices/dev", {"status": "enabled"}, if_match="*")
    assert answer.document["authentication"]["x509Thumbprint"]["primaryThumbprint"] == OWN.sha1
    assert changed(bench, {"type": "selfSigned"})["x509Thumbprint"]["primaryThumbprint"]
    assert changed(bench, by_print(LEAF.sha1))["x509Thumbprint"] == {
        "primaryThumbprint": LEAF.sha1,
        "secondaryThumbprint": None,
    }


def test_many_devices_with_certificates_are_made_and_changed_in_one_call() -> None:
    bench = a_bench(BY_CA)
    items = [
        {"id": "dev", "importMode": "update", "authentication": by_print(OWN.sha1)},
        {"id": "two", "importMode": "create", "authentication": BY_CA},
        {"id": "bad", "importMode": "create", "authentication": by_print("12")},
    ]
    answer = bench.ask("POST", "/devices", items)
    assert [(one["deviceId"]) for one in answer.document["errors"]] == ["bad"]
    assert send(bench, OWN.der).status == 204
    assert bench.hub.device("two").auth == "certificateAuthority"


@pytest.mark.parametrize(
    ("authentication", "good"), [(by_print(LEAF.sha256.lower()), LEAF), (BY_CA, LEAF)]
)
def test_over_https_the_certificate_stands_for_the_token(
    authentication: Json, good: Issued
) -> None:
    bench = a_bench(authentication)
    assert send(bench, *good.chain_ders).status == 204
    assert [message.body for message in bench.heard] == [b"{}"]
    for chain, sas, at in [
        ((), "", NOW),
        (OWN.chain_ders, "", NOW),
        (good.chain_ders, "SharedAccessSignature sr=x", NOW),
        (good.chain_ders, token(f"{HOST}/devices/dev", KEYS[0], skn=None), NOW),
        (good.chain_ders, "", NOW + 31 * 86_400),
    ]:
        answer = send(bench, *chain, sas=sas, at=at)
        assert error(answer) == (401, "IotHubUnauthorizedAccess")
    assert len(bench.heard) == 1


def test_over_https_a_certificate_speaks_for_its_own_device_while_that_is_enabled() -> None:
    bench = a_bench(BY_CA)
    bench.create("other", authentication=BY_CA)
    call = bench.call("GET", "/devices/other/messages/deviceBound", b"", "", {})
    answer = bench.devices.handle(replace(call, chain=LEAF.chain_ders), NOW)
    assert error(answer) == (401, "IotHubUnauthorizedAccess")
    assert "common name" in answer.note
    bench.hub.set_enabled("dev", False, NOW)
    assert error(send(bench, *LEAF.chain_ders)) == (401, "IotHubUnauthorizedAccess")
    bench.hub.set_enabled("dev", True, NOW)
    assert send(bench, *LEAF.chain_ders).status == 204
    bench.hub.remove_device("dev")
    assert error(send(bench, *LEAF.chain_ders)) == (401, "IotHubUnauthorizedAccess")


def test_a_disabled_device_loses_its_connection_however_it_authenticates() -> None:
    bench = a_bench(by_print(OWN.sha1))
    line = Line()
    bench.hub.attach("dev", line, NOW)
    bench.ask("PUT", "/devices/dev", {"status": "disabled"}, if_match="*")
    assert line.closed == ["the device was disabled"]
    assert bench.ask("GET", "/devices/dev").document["authentication"]["type"] == "selfSigned"
