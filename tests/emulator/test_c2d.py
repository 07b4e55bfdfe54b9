"""Messages to devices, without any server: what a connection gets of them, and when."""

import pytest

from firstlight.emulator.answers import timestamp
from firstlight.emulator.hub.messages import C2D
from firstlight.emulator.hub.rules import C2DRules
from tests.emulator.hubs import NOW, Line
from tests.emulator.mail import (
    BOUND,
    FILTER,
    ask,
    bodies,
    hub_with_device,
    join,
    leave,
    outcomes,
    refused,
)

TO = "%24.to=%2Fdevices%2Fdev%2Fmessages%2FdeviceBound"


def test_the_topic_carries_system_and_application_properties() -> None:
    message = C2D(
        b"",
        {"prop1": None, "prop2": "", "prop3": "a string", "ü/&": "+ %"},
        {"correlation-id": "c", "message-id": "m/1", "user-id": "u", "content-type": "text/a;b"},
        "full",
        NOW,
    )
    assert message.topic("dev") == (
        BOUND + f"%24.mid=m%2F1&{TO}&%24.cid=c&%24.uid=u&%24.ct=text%2Fa%3Bb"
        "&%24.exp=2026-11-18T11%3A06%3A40.0000000Z&iothub-ack=full"
        "&prop1&prop2=&prop3=a%20string&%C3%BC%2F%26=%2B%20%25"
    )
    assert C2D(b"").topic("dev") == BOUND + TO
    assert timestamp(NOW).startswith("2026-11-18T")


def test_a_message_is_sent_at_once_and_leaves_the_queue_when_acknowledged() -> None:
    hub = hub_with_device()
    line = join(hub)
    hub.send_message("dev", C2D(b"hello"), NOW)
    assert line.sent == [(BOUND + TO, b"hello")]
    assert hub.queued_messages("dev", NOW) == 1
    line.acknowledge(hub)
    assert hub.queued_messages("dev", NOW) == 0


def test_a_message_leaves_the_queue_when_sent_with_qos_0() -> None:
    hub = hub_with_device()
    line = join(hub, qos=0)
    hub.send_message("dev", ask("1"), NOW)
    assert (len(line.sent), hub.queued_messages("dev", NOW)) == (1, 0)
    assert outcomes(hub) == [("1", "Success")]


def test_a_kept_session_gets_what_was_queued_meanwhile_before_it_subscribes_again() -> None:
    hub = hub_with_device()
    leave(hub, join(hub, clean=False))
    hub.send_message("dev", C2D(b"1"), NOW + 1)
    hub.send_message("dev", C2D(b"2"), NOW + 2)
    line = join(hub, qos=None, clean=False, at=NOW + 3)
    assert bodies(line) == [b"1", b"2"]
    line.subscribe(hub, FILTER, 1, NOW + 4)
    assert bodies(line) == [b"1", b"2"]


def test_a_clean_session_gets_only_what_was_sent_after_it_subscribed() -> None:
    hub = hub_with_device()
    leave(hub, join(hub, clean=False))
    hub.send_message("dev", C2D(b"old"), NOW + 1)
    line = join(hub, clean=True, at=NOW + 2)
    hub.send_message("dev", C2D(b"new"), NOW + 2)
    assert bodies(line) == [b"new"]
    assert hub.withheld_messages("dev", NOW + 2) == 1
    # The old one was not lost: it is still to be had over HTTPS.
    locked = hub.lock_message("dev", NOW + 3)
    assert locked is not None
    assert locked.body == b"old"


def test_a_clean_session_ends_the_one_that_was_kept() -> None:
    hub = hub_with_device()
    for clean in (False, True):
        leave(hub, join(hub, clean=clean))
    line = Line()
    assert hub.attach("dev", line, NOW, False) is None


def test_a_clean_session_is_not_gone_on_with_though_its_connection_is_still_there() -> None:
    hub = hub_with_device()
    join(hub, clean=True)
    assert hub.attach("dev", Line(), NOW, False) is None


@pytest.mark.parametrize(
    ("backlog", "expected", "left"),
    [
        ("withheld", [], 1),
        ("delivered", [b""], 1),
        ("completed", [], 0),
    ],
)
def test_what_a_backlog_becomes_is_a_setting(
    backlog: str, expected: list[bytes], left: int
) -> None:
    hub = hub_with_device(backlog=backlog)
    hub.send_message("dev", ask("1"), NOW)
    line = join(hub, at=NOW + 1)
    assert bodies(line) == expected
    assert hub.queued_messages("dev", NOW + 1) == left
    assert outcomes(hub, NOW + 1) == ([("1", "Success")] if left == 0 else [])


def test_what_was_not_acknowledged_is_sent_again_marked_within_its_session() -> None:
    hub = hub_with_device()
    line = join(hub, clean=False)
    for body in (b"1", b"2", b"3"):
        hub.send_message("dev", C2D(body), NOW)
    line.acknowledge(hub)
    leave(hub, line)
    hub.send_message("dev", C2D(b"4"), NOW)
    line = join(hub, qos=None, clean=False)
    assert list(zip(bodies(line), line.again, strict=True)) == [
        (b"2", True),
        (b"3", True),
        (b"4", False),
    ]
    leave(hub, line)
    line = join(hub_now := hub, clean=True, at=NOW)
    assert line.again == [False] * 3
    assert hub_now.queued_messages("dev", NOW) == 3


def test_a_newer_connection_gets_what_the_older_had_not_acknowledged() -> None:
    hub = hub_with_device()
    older = join(hub, clean=False)
    hub.send_message("dev", C2D(b"1"), NOW)
    newer = join(hub, qos=None, clean=False)
    assert (older.closed, bodies(newer), newer.again) == (
        ["a newer connection of the same device"],
        [b"1"],
        [True],
    )


def test_an_acknowledgement_of_an_older_connection_settles_nothing_of_the_newer() -> None:
    hub = hub_with_device(backlog="delivered")
    older = join(hub)
    hub.send_message("dev", ask("1"), NOW)
    leave(hub, older)
    older.acks.pop()(NOW)
    assert hub.queued_messages("dev", NOW) == 1
    newer = join(hub)
    assert len(newer.sent) == 1


def test_more_is_sent_as_the_device_acknowledges() -> None:
    hub = hub_with_device()
    line = join(hub, room=2)
    for number in range(5):
        hub.send_message("dev", C2D(b"%d" % number), NOW)
    assert bodies(line) == [b"0", b"1"]
    for _ in range(5):
        line.acknowledge(hub)
    assert bodies(line) == [b"0", b"1", b"2", b"3", b"4"]
    assert hub.queued_messages("dev", NOW) == 0


def test_both_filters_count_once_with_the_higher_qos() -> None:
    hub = hub_with_device()
    line = join(hub, qos=0)
    line.subscribe(hub, "devices/+/messages/devicebound/#", 1)
    hub.send_message("dev", C2D(b"x"), NOW)
    assert (len(line.sent), len(line.acks)) == (1, 1)
    line.qos.pop(FILTER)
    hub.unsubscribed("dev", FILTER)
    hub.send_message("dev", C2D(b"y"), NOW)
    hub.unsubscribed("dev", "devices/+/messages/devicebound/#")
    hub.send_message("dev", C2D(b"z"), NOW)
    assert bodies(line) == [b"x", b"y"]


def test_a_second_filter_makes_a_subscription_no_younger() -> None:
    hub = hub_with_device()
    leave(hub, join(hub, clean=False))
    hub.send_message("dev", C2D(b"x"), NOW + 1)
    line = join(hub, qos=None, clean=False, at=NOW + 2, room=0)
    line.room = 1
    line.subscribe(hub, "devices/+/messages/devicebound/#", 1, NOW + 3)
    assert bodies(line) == [b"x"]


def test_the_51st_message_is_refused() -> None:
    hub = hub_with_device()
    for _ in range(50):
        hub.send_message("dev", C2D(b""), NOW)
    with refused(403, 403004):
        hub.send_message("dev", C2D(b""), NOW)
    assert hub.purge_messages("dev", NOW) == 50
    hub.send_message("dev", C2D(b""), NOW)


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        (C2D(b"x" * 65_537), 413, 413001),
        (C2D(b"", {"k": "v" * 65_536}), 413, 413001),
        (C2D(b"", {"k": "ü" * 20_000}), 413, 413001),
        (C2D(b"", ack="always"), 400, 400000),
        (C2D(b"", {}, {"to": "x"}), 400, 400000),
        (C2D(b"", {"k": "\ud800"}), 400, 400000),
    ],
)
def test_a_message_that_cannot_be_is_refused_and_not_queued(
    message: C2D, status: int, code: int
) -> None:
    hub = hub_with_device()
    with refused(status, code):
        hub.send_message("dev", message, NOW)
    assert hub.queued_messages("dev", NOW) == 0
    with refused(404, 404001):
        hub.send_message("nobody", C2D(b""), NOW)


def test_64_kb_are_sent() -> None:
    hub = hub_with_device()
    line = join(hub)
    hub.send_message("dev", C2D(b"x" * 65_536), NOW)
    assert len(bodies(line)[0]) == 65_536


def test_a_message_expires_by_its_own_time_or_the_hubs() -> None:
    hub = hub_with_device(c2d=C2DRules(ttl_s=100))
    hub.send_message("dev", ask("default"), NOW)
    hub.send_message("dev", ask("own", expires_at=NOW + 10), NOW)
    hub.send_message("dev", ask("late", expires_at=NOW - 1), NOW)
    assert hub.queued_messages("dev", NOW) == 2
    assert outcomes(hub) == [("late", "Expired")]
    assert outcomes(hub, NOW + 10) == [("own", "Expired")]
    assert outcomes(hub, NOW + 99.9) == []
    assert outcomes(hub, NOW + 100) == [("default", "Expired")]


def test_a_message_that_is_on_its_connection_does_not_expire_there() -> None:
    hub = hub_with_device()
    line = join(hub)
    hub.send_message("dev", ask("1", expires_at=NOW + 10), NOW)
    assert outcomes(hub, NOW + 20) == []
    line.acknowledge(hub, NOW + 20)
    assert outcomes(hub, NOW + 20) == [("1", "Success")]
