"""A hub without any server: who may connect, and what it keeps of what it is told."""

import base64

import pytest

from firstlight.emulator.hub.hub import Admission, Hub, NotAdmitted
from firstlight.emulator.hub.telemetry import Foreign, Telemetry, parse_properties, shown
from firstlight.emulator.keys import Keys
from tests.emulator.peers import token

NOW = 1_795_000_000.0
KEYS = Keys(*(base64.b64encode(c * 32).decode() for c in (b"p", b"s")))
RESOURCE = "my-hub/devices/Dev:1"
USER = "my-hub/Dev:1/?api-version=2021-04-12"
TOPIC = "devices/Dev:1/messages/events/"


def a_hub(telemetry: Telemetry | None = None) -> Hub:
    hub = Hub("my-hub", telemetry or Telemetry())
    hub.put_device("Dev:1", KEYS)
    return hub


def good(key: str = KEYS.primary_b64, se: int = int(NOW) + 60) -> str:
    return token(RESOURCE, key, se, None)


@pytest.mark.parametrize("key", list(KEYS))
def test_a_device_is_admitted_with_either_key_until_its_token_expires(key: str) -> None:
    admission = a_hub().admit(USER, good(key), "Dev:1", NOW)
    assert admission == Admission("Dev:1", int(NOW) + 60)


@pytest.mark.parametrize(
    ("user", "password", "client_id", "code", "why"),
    [
        (USER, good("AAAA"), "Dev:1", 5, "wrong key"),
        (USER, good(se=int(NOW)), "Dev:1", 5, "expired"),
        (USER, "", "Dev:1", 5, "not a Shared"),
        (USER, good(), "dev:1", 2, "client id"),
        (USER, token("other/devices/Dev:1", KEYS.primary_b64, skn=None), "Dev:1", 5, "another sr"),
        (
            USER,
            token("my-hub/devices/dev:1", KEYS.primary_b64, skn=None),
            "Dev:1",
            5,
            "another sr",
        ),
        (USER, token(RESOURCE, KEYS.primary_b64, skn="iothubowner"), "Dev:1", 5, "policy"),
        ("my-hub/Dev:1/api-version=2021-04-12", good(), "Dev:1", 5, "api-version"),
        ("my-hub/Dev:1/?api-version=new", good(), "Dev:1", 5, "api-version"),
    ],
)
def test_a_connect_that_is_not_right_is_refused(
    user: str, password: str, client_id: str, code: int, why: str
) -> None:
    with pytest.raises(NotAdmitted, match=why) as caught:
        a_hub().admit(user, password, client_id, NOW)
    assert caught.value.code == code


def test_unknown_and_disabled_devices_are_refused() -> None:
    hub = a_hub()
    hub.set_enabled("Dev:1", False)
    with pytest.raises(NotAdmitted, match="disabled"):
        hub.admit(USER, good(), "Dev:1", NOW)
    hub.remove_device("Dev:1")
    with pytest.raises(NotAdmitted, match="unknown"):
        hub.admit(USER, good(), "Dev:1", NOW)


def test_the_newer_connection_wins_and_the_older_cannot_detach_it() -> None:
    hub = a_hub()
    closed: list[str] = []

    def older(why: str) -> None:
        closed.append(f"older: {why}")

    def newer(why: str) -> None:
        closed.append(f"newer: {why}")

    hub.attach("Dev:1", older)
    hub.attach("Dev:1", newer)
    assert closed == ["older: a newer connection of the same device"]
    hub.detach("Dev:1", older)
    hub.set_enabled("Dev:1", False)
    assert closed[1:] == ["newer: the device was disabled"]


def test_telemetry_keeps_its_body_and_its_properties() -> None:
    hub = a_hub()
    bag = "%24.ct=application%2Fjson&$.ce=utf-8&alarm=yes%20no&empty&%C3%BC=%26"
    message = hub.receive("Dev:1", TOPIC + bag, b"\xff{}", False, NOW)
    assert message is not None
    assert message.system_properties == {
        "content-type": "application/json",
        "content-encoding": "utf-8",
    }
    assert message.properties == {"alarm": "yes no", "empty": "", "ü": "&"}
    assert base64.b64decode(shown(message)["body_b64"]) == b"\xff{}"


def test_a_retained_message_is_marked_and_the_last_slash_may_be_missing() -> None:
    hub = a_hub()
    message = hub.receive("Dev:1", TOPIC[:-1], b"", True, NOW)
    assert message is not None
    assert message.properties == {"mqtt-retain": "true"}


@pytest.mark.parametrize(
    "topic",
    ["devices/other/messages/events/", "devices/Dev:1/messages/eventsx", "a", "$iothub/twin/PUT/"],
)
def test_a_foreign_topic_is_refused(topic: str) -> None:
    with pytest.raises(Foreign, match="topic"):
        a_hub().receive("Dev:1", topic, b"", False, NOW)


def test_256_kb_are_taken_and_one_byte_more_is_not() -> None:
    hub = a_hub()
    assert hub.receive("Dev:1", TOPIC, b"x" * 262_144, False, NOW) is not None
    with pytest.raises(Foreign, match="256 KB"):
        hub.receive("Dev:1", TOPIC, b"x" * 262_145, False, NOW)


def test_more_than_100_properties_are_refused() -> None:
    with pytest.raises(Foreign, match="100"):
        parse_properties("&".join(f"k{i}=v" for i in range(101)))


def test_the_oldest_telemetry_is_dropped_and_counted() -> None:
    telemetry = Telemetry(max_messages=3, max_bytes=1000)
    hub = a_hub(telemetry)
    for number in range(5):
        hub.receive("Dev:1", TOPIC, b"%d" % number, False, NOW)
    assert [m.body for m in telemetry.select()] == [b"2", b"3", b"4"]
    assert (telemetry.received, telemetry.dropped) == (5, 2)
    hub.receive("Dev:1", TOPIC, b"x" * 999, False, NOW)
    assert [len(m.body) for m in telemetry.select(after=3)] == [1, 999]


def test_telemetry_is_selected_by_hub_device_and_number() -> None:
    telemetry = Telemetry()
    one, two = Hub("one", telemetry), Hub("two", telemetry)
    for hub in (one, two, one):
        hub.receive("d", "devices/d/messages/events/", b"", False, NOW)
    assert [m.sequence for m in telemetry.select(hub="one")] == [1, 3]
    assert [m.sequence for m in telemetry.select(device_id="d", after=1)] == [2, 3]
    assert telemetry.select(device_id="e") == []


@pytest.mark.parametrize(
    ("topic_filter", "allowed"),
    [
        ("devices/Dev:1/messages/devicebound/#", True),
        ("devices/+/messages/devicebound/#", True),
        ("$iothub/methods/POST/#", True),
        ("$iothub/twin/res/#", True),
        ("devices/other/messages/devicebound/#", False),
        ("#", False),
        ("$dps/registrations/res/#", False),
    ],
)
def test_only_a_hubs_own_filters_are_allowed(topic_filter: str, allowed: bool) -> None:
    assert a_hub().is_filter("Dev:1", topic_filter) is allowed


def test_properties_count_as_memory_too() -> None:
    telemetry = Telemetry(max_bytes=1000)
    hub = a_hub(telemetry)
    for _ in range(3):
        hub.receive("Dev:1", TOPIC + "k=" + "v" * 149, b"", False, NOW)
    assert [m.size for m in telemetry.select()] == [600]
    assert telemetry.dropped == 2


def test_a_body_that_is_not_text_is_shown_once() -> None:
    message = a_hub().receive("Dev:1", TOPIC, b"\xff", False, NOW)
    assert message is not None
    assert (shown(message)["body"], shown(message)["body_b64"]) == (None, "/w==")
