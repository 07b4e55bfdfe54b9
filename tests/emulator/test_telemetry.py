"""Telemetry at a hub without any server: what is taken, what is kept, what is shown."""

import base64

import pytest

from firstlight.emulator.hub.telemetry import Foreign, Telemetry, parse_properties, shown
from tests.emulator.hubs import NOW, Book, a_hub
from tests.emulator.test_hub import hub_with_device

TOPIC = "devices/Dev:1/messages/events/"


def test_telemetry_keeps_its_body_and_its_properties() -> None:
    hub = hub_with_device()
    bag = "%24.ct=application%2Fjson&$.ce=utf-8&alarm=yes%20no&empty&%C3%BC=%26"
    message = hub.receive("Dev:1", TOPIC + bag, b"\xff{}", False, NOW + 1)
    assert hub.device("Dev:1").last_activity_at == NOW + 1
    assert message.system_properties == {
        "content-type": "application/json",
        "content-encoding": "utf-8",
    }
    assert message.properties == {"alarm": "yes no", "empty": "", "ü": "&"}
    assert base64.b64decode(shown(message)["body_b64"]) == b"\xff{}"


@pytest.mark.parametrize("bag", ["$.ct=application/json", "a/b=1", "/", "k=YQ==", "a=1&b=2=3"])
def test_what_is_not_percent_encoded_ends_the_connection_unless_it_may_not(bag: str) -> None:
    with pytest.raises(Foreign, match="percent-encoded"):
        hub_with_device().receive("Dev:1", TOPIC + bag, b"", False, NOW)
    lax = a_hub(raw_properties="take")
    message = lax.receive("Dev:1", TOPIC + bag, b"", False, NOW)
    values = [*message.properties.values(), *message.system_properties.values()]
    assert values == [part.partition("=")[2] for part in bag.split("&")]


def test_other_signs_need_no_encoding_and_a_question_mark_is_part_of_a_name() -> None:
    raw = "!\"$'()*,-.:;<>?@[\\]^_`{|}~ 0aZ"
    message = hub_with_device().receive("Dev:1", f"{TOPIC}?a={raw}&{raw}=b", b"", False, NOW)
    assert message.properties == {"?a": raw, raw: "b"}


def test_a_retained_message_is_marked_and_the_last_slash_may_be_missing() -> None:
    hub = hub_with_device()
    message = hub.receive("Dev:1", TOPIC[:-1], b"", True, NOW)
    assert message.properties == {"mqtt-retain": "true"}


@pytest.mark.parametrize(
    "topic",
    ["devices/other/messages/events/", "devices/Dev:1/messages/eventsx", "a", "$iothub/twin/PUT/"],
)
def test_a_foreign_topic_is_refused(topic: str) -> None:
    with pytest.raises(Foreign, match="topic"):
        hub_with_device().receive("Dev:1", topic, b"", False, NOW)


def test_256_kb_are_taken_and_one_byte_more_is_not() -> None:
    hub = hub_with_device()
    assert hub.receive("Dev:1", TOPIC, b"x" * 262_144, False, NOW) is not None
    with pytest.raises(Foreign, match="256 KB"):
        hub.receive("Dev:1", TOPIC, b"x" * 262_145, False, NOW)
    bag = "k=" + "v" * 1022
    assert hub.receive("Dev:1", TOPIC + bag, b"x" * (262_144 - 1024), False, NOW) is not None
    with pytest.raises(Foreign, match="256 KB"):
        hub.receive("Dev:1", TOPIC + bag, b"x" * (262_145 - 1024), False, NOW)


def test_more_than_100_properties_are_refused() -> None:
    with pytest.raises(Foreign, match="100"):
        parse_properties("&".join(f"k{i}=v" for i in range(101)))


def test_the_oldest_telemetry_is_dropped_and_counted() -> None:
    telemetry = Telemetry(max_messages=3, max_bytes=1000)
    hub = hub_with_device(telemetry)
    for number in range(5):
        hub.receive("Dev:1", TOPIC, b"%d" % number, False, NOW)
    assert [m.body for m in telemetry.select()] == [b"2", b"3", b"4"]
    assert (telemetry.received, telemetry.dropped) == (5, 2)
    hub.receive("Dev:1", TOPIC, b"x" * 999, False, NOW)
    assert [len(m.body) for m in telemetry.select(after=3)] == [1, 999]


def test_telemetry_goes_on_after_a_restart_and_what_was_dropped_is_gone() -> None:
    book = Book()
    hub = hub_with_device(Telemetry(max_messages=2, journal=book), book)
    for body in (b"1", b"2", b"\xff"):
        hub.receive("Dev:1", TOPIC + "$.ct=a&k=v", body, False, NOW)
    again = Telemetry(max_messages=2, journal=book)
    kept = [(m.sequence, m.body, m.properties, m.system_properties) for m in again.select()]
    parts = ({"k": "v"}, {"content-type": "a"})
    assert kept == [(2, b"2", *parts), (3, b"\xff", *parts)]
    message = hub_with_device(again, book).receive("Dev:1", TOPIC, b"4", False, NOW)
    assert message.sequence == 4
    assert list(book.records["telemetry"]) == ["3", "4"]


def test_the_newest_telemetry_is_kept_however_large_so_that_numbers_go_on() -> None:
    book = Book()
    hub = hub_with_device(Telemetry(max_bytes=10, journal=book), book)
    for _ in range(2):
        hub.receive("Dev:1", TOPIC, b"x" * 100, False, NOW)
    again = Telemetry(max_bytes=10, journal=book)
    assert ([m.sequence for m in again.select()], again.received) == ([2], 2)


def test_telemetry_is_selected_by_hub_device_and_number() -> None:
    telemetry = Telemetry()
    one, two = a_hub("one", telemetry), a_hub("two", telemetry)
    for hub in (one, two, one):
        hub.receive("d", "devices/d/messages/events/", b"", False, NOW)
    assert [m.sequence for m in telemetry.select(hub="one")] == [1, 3]
    assert [m.sequence for m in telemetry.select(device_id="d", after=1)] == [2, 3]
    assert telemetry.select(device_id="e") == []


def test_properties_count_as_memory_too() -> None:
    telemetry = Telemetry(max_bytes=1000)
    hub = hub_with_device(telemetry)
    for _ in range(3):
        hub.receive("Dev:1", TOPIC + "k=" + "v" * 149, b"", False, NOW)
    assert [m.size for m in telemetry.select()] == [600]
    assert telemetry.dropped == 2


def test_a_body_that_is_not_text_is_shown_once() -> None:
    message = hub_with_device().receive("Dev:1", TOPIC, b"\xff", False, NOW)
    assert (shown(message)["body"], shown(message)["body_b64"]) == (None, "/w==")
