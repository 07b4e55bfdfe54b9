"""A hub without any server: who may connect, and which devices it has."""

from typing import Any

import pytest

from firstlight.emulator.answers import Refusal
from firstlight.emulator.hub.credential import by_keys
from firstlight.emulator.hub.hub import Admission, Hub, NotAdmitted
from firstlight.emulator.hub.rules import Connacks
from firstlight.emulator.hub.telemetry import Telemetry
from firstlight.emulator.keys import Keys
from firstlight.errors import UsageError
from tests.emulator.hubs import BY_KEYS, KEYS, NOW, Book, Line, a_hub
from tests.emulator.peers import token

RESOURCE = "my-hub/devices/Dev:1"
USER = "my-hub/Dev:1/?api-version=2021-04-12"
TOPIC = "devices/Dev:1/messages/events/"


def hub_with_device(telemetry: Telemetry | None = None, book: Book | None = None) -> Hub:
    hub = a_hub(telemetry=telemetry, book=book)
    hub.put_device("Dev:1", BY_KEYS, NOW)
    return hub


def good(key: str = KEYS.primary_b64, se: int = int(NOW) + 60, resource: str = RESOURCE) -> str:
    return token(resource, key, se, None)


def policy_token(hub: Hub, name: str, resource: str = "my-hub", se: int = int(NOW) + 60) -> str:
    assert hub.policies is not None
    policy = hub.policies.get(name)
    assert policy is not None
    return token(resource, policy.keys.secondary_b64, se, name)


@pytest.mark.parametrize("key", list(KEYS))
def test_a_device_is_admitted_with_either_key_until_its_token_expires(key: str) -> None:
    admission = hub_with_device().admit(USER, good(key), "Dev:1", NOW)
    assert admission == Admission("Dev:1", int(NOW) + 60)


@pytest.mark.parametrize(
    "resource",
    [
        "my-hub/devices/Dev:1/api-version=2016-11-14",
        "my-hub/devices/Dev%3A1",
        "My-Hub/devices/Dev:1",
    ],
)
def test_a_device_may_sign_its_resource_as_tools_spell_it(resource: str) -> None:
    assert hub_with_device().admit(USER, good(resource=resource), "Dev:1", NOW).device_id


@pytest.mark.parametrize(
    ("user", "password", "client_id", "code", "why"),
    [
        (USER, good("AAAA"), "Dev:1", 5, "wrong key"),
        (USER, good(se=int(NOW)), "Dev:1", 5, "expired"),
        (USER, "", "Dev:1", 5, "not a Shared"),
        (USER, good(), "dev:1", 2, "client id"),
        (USER, good(resource="other/devices/Dev:1"), "Dev:1", 5, "another sr"),
        (USER, good(resource="my-hub/devices/dev:1"), "Dev:1", 5, "another sr"),
        (USER, good(resource="my-hub/devices/Dev:12"), "Dev:1", 5, "another sr"),
        (USER, good(resource="my-hub"), "Dev:1", 5, "another sr"),
        (USER, token(RESOURCE, KEYS.primary_b64, skn="iothubowner"), "Dev:1", 5, "policy or key"),
        ("my-hub/Dev:1/api-version=2021-04-12", good(), "Dev:1", 5, "api-version"),
        ("my-hub/Dev:1/?api-version=new", good(), "Dev:1", 5, "api-version"),
        ("my-hub/Dev:1/mod/?api-version=2021-04-12", good(), "Dev:1/mod", 5, "module"),
    ],
)
def test_a_connect_that_is_not_right_is_refused(
    user: str, password: str, client_id: str, code: int, why: str
) -> None:
    with pytest.raises(NotAdmitted, match=why) as caught:
        hub_with_device().admit(user, password, client_id, NOW)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["iothubowner", "device"])
@pytest.mark.parametrize("resource", ["my-hub", "my-hub/devices", RESOURCE])
def test_a_policy_with_device_connect_lets_a_device_in(name: str, resource: str) -> None:
    hub = hub_with_device()
    admission = hub.admit(USER, policy_token(hub, name, resource), "Dev:1", NOW)
    assert admission == Admission("Dev:1", int(NOW) + 60)


def test_a_policy_lets_in_no_more_than_it_may() -> None:
    hub = hub_with_device()
    for password, why in [
        (policy_token(hub, "service"), "no right DeviceConnect"),
        (policy_token(hub, "device", "my-hub/devices/other"), "another sr"),
        (policy_token(hub, "device", "other-hub"), "another sr"),
        (policy_token(hub, "device", se=int(NOW)), "expired"),
    ]:
        with pytest.raises(NotAdmitted, match=why):
            hub.admit(USER, password, "Dev:1", NOW)
    user = "my-hub/new/?api-version=2021-04-12"
    with pytest.raises(NotAdmitted, match="unknown device"):
        hub.admit(user, policy_token(hub, "device"), "new", NOW)


def test_unknown_and_disabled_devices_are_refused_and_so_are_those_with_certificates() -> None:
    hub = hub_with_device()
    hub.device("Dev:1").auth = "selfSigned"
    with pytest.raises(NotAdmitted, match="selfSigned"):
        hub.admit(USER, good(), "Dev:1", NOW)
    hub.device("Dev:1").auth = "sas"
    hub.set_enabled("Dev:1", False, NOW)
    with pytest.raises(NotAdmitted, match="disabled"):
        hub.admit(USER, good(), "Dev:1", NOW)
    hub.remove_device("Dev:1")
    with pytest.raises(NotAdmitted, match="unknown"):
        hub.admit(USER, good(), "Dev:1", NOW)


def test_the_codes_that_are_uncertain_are_settings() -> None:
    codes = Connacks(bad_user=1, client_id=3, wrong_key=4, expired=1, unknown=2, disabled=3)
    hub = a_hub(connacks=codes)
    hub.put_device("Dev:1", BY_KEYS, NOW)
    hub.put_device("off", BY_KEYS, NOW)
    hub.set_enabled("off", False, NOW)
    off, new = (f"my-hub/{id}/?api-version=2021-04-12" for id in ("off", "new"))
    found = []
    for user, password, id in [
        ("my-hub", good(), "Dev:1"),
        (USER, good(), "x"),
        (USER, good("AAAA"), "Dev:1"),
        (USER, good(se=1), "Dev:1"),
        (new, good(resource="my-hub/devices/new"), "new"),
        (off, good(resource="my-hub/devices/off"), "off"),
    ]:
        with pytest.raises(NotAdmitted) as caught:
            hub.admit(user, password, id, NOW)
        found.append(caught.value.code)
    assert found == [1, 3, 4, 1, 2, 3]


@pytest.mark.parametrize(
    "rules",
    [
        {"connacks": Connacks(unknown=0)},
        {"raw_properties": "keep"},
        {"backlog": "lost"},
        {"twin_requests_per_s": 0},
    ],
)
def test_a_rule_that_cannot_be_is_told(rules: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        a_hub(**rules).rules.check()


def test_the_newer_connection_wins_and_the_older_cannot_detach_it() -> None:
    hub = hub_with_device()
    older, newer = Line(), Line()
    hub.attach("Dev:1", older, NOW)
    hub.attach("Dev:1", newer, NOW)
    assert older.closed == ["a newer connection of the same device"]
    hub.detach("Dev:1", older, NOW + 1)
    assert hub.device("Dev:1").connection_state == "Connected"
    hub.set_enabled("Dev:1", False, NOW)
    assert newer.closed == ["the device was disabled"]
    hub.detach("Dev:1", newer, NOW + 2)
    device = hub.device("Dev:1")
    assert (device.connection_state, device.connection_updated_at) == ("Disconnected", NOW + 2)


def test_a_device_that_is_kicked_or_removed_loses_its_connection() -> None:
    hub = hub_with_device()
    assert not hub.kick("Dev:1")
    line = Line()
    hub.attach("Dev:1", line, NOW)
    assert hub.kick("Dev:1")
    hub.remove_device("Dev:1")
    assert line.closed == ["kicked", "the device was removed from the hub"]
    assert not hub.kick("Dev:1")


def test_a_device_gets_new_keys_and_keeps_its_twin() -> None:
    hub = hub_with_device()
    hub.patch_twin("Dev:1", {"tags": {"a": 1}}, None, NOW)
    before = hub.device("Dev:1").generation_id
    hub.put_device("Dev:1", by_keys(Keys("AAAA", "BBBB")), NOW, edge=True)
    device = hub.device("Dev:1")
    assert (device.keys.primary_b64, device.edge, device.twin.tags) == ("AAAA", True, {"a": 1})
    assert device.generation_id == before


def test_a_device_moves_to_another_hub_with_its_twin_or_begins_with_an_initial_one() -> None:
    one, two = hub_with_device(), a_hub("two")
    one.patch_twin("Dev:1", {"properties": {"desired": {"rate": 5}}}, None, NOW)
    one.twin_reported("Dev:1", {"seen": 1}, NOW)
    moved = one.data_of("Dev:1")
    assert one.data_of("Dev:2") is None
    two.put_device("Dev:1", BY_KEYS, NOW, moved=moved)
    assert two.twin_get("Dev:1", NOW) == {
        "desired": {"rate": 5, "$version": 2},
        "reported": {"seen": 1, "$version": 2},
    }
    initial = {"tags": {"site": "a"}, "properties": {"desired": {"x": 1}}}
    two.put_device("Dev:1", BY_KEYS, NOW, initial_twin=initial)
    assert two.device("Dev:1").twin.tags == {"site": "a"}
    assert two.twin_get("Dev:1", NOW)["desired"]["x"] == 1
    with pytest.raises(Refusal):
        two.put_device("new", BY_KEYS, NOW, initial_twin={"tags": {"a.b": 1}})
    assert two.registry.get("new") is None


@pytest.mark.parametrize(
    ("topic_filter", "allowed"),
    [
        ("devices/Dev:1/messages/devicebound/#", True),
        ("devices/+/messages/devicebound/#", True),
        ("$iothub/methods/POST/#", True),
        ("$iothub/methods/POST/reboot/#", True),
        ("$iothub/twin/res/#", True),
        ("devices/other/messages/devicebound/#", False),
        ("devices/Dev:1/messages/events/#", False),
        ("$iothub/methods/POST/+/#", False),
        ("#", False),
        ("$dps/registrations/res/#", False),
    ],
)
def test_only_a_hubs_own_filters_are_allowed(topic_filter: str, allowed: bool) -> None:
    assert hub_with_device().is_filter("Dev:1", topic_filter) is allowed


def test_twin_requests_beyond_the_limit_get_429_until_the_next_second() -> None:
    hub = a_hub(twin_requests_per_s=2)
    hub.put_device("Dev:1", BY_KEYS, NOW)
    hub.twin_get("Dev:1", NOW)
    hub.twin_reported("Dev:1", {"a": 1}, NOW)
    with pytest.raises(Refusal) as caught:
        hub.twin_get("Dev:1", NOW + 0.9)
    assert caught.value.status == 429
    hub.twin_get("Dev:1", NOW + 1)
