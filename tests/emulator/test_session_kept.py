"""One MQTT conversation without sockets: sessions that outlive it, and what is sent again."""

from firstlight.emulator.mqtt.session import Session
from tests.emulator.hubs import KEYS, NOW
from tests.emulator.memory import Paper
from tests.emulator.peers import (
    connect,
    puback,
    subscribe,
    token,
    unsubscribe,
)
from tests.emulator.sessions import Talk, Wire, told

FILTER = "devices/dev/messages/devicebound/#"
METHODS = "$iothub/methods/POST/#"


def test_what_a_device_unsubscribed_from_is_not_in_its_session() -> None:
    talk = Talk()
    session, wire = talk.join(clean=False)
    session.feed(subscribe(FILTER) + subscribe(METHODS) + unsubscribe(FILTER))
    assert [first for first, _ in wire.take()] == [0x90, 0x90, 0xB0]
    session.lost()
    talk.send(b"1")
    assert talk.rejoin()[2] == []
    assert talk.hub.takes_method("dev", "m")


def test_messages_follow_suback() -> None:
    talk = Talk()
    session, wire = talk.subscribed(FILTER)
    session.lost()
    talk.send(b"1")
    talk.now_at += 1
    session, wire = talk.join(clean=False)
    session.feed(subscribe(FILTER))
    assert [first for first, _ in wire.take()] == [0x90]
    talk.send(b"2")
    assert [(first, body[-1:]) for first, body in wire.take()] == [(0x32, b"2")]


def test_a_kept_session_is_told_in_connack_and_its_messages_come_right_after() -> None:
    talk = Talk()
    first, _ = talk.join(clean=False)
    first.feed(subscribe(FILTER))
    talk.send(b"1")
    first.lost()
    talk.send(b"2")
    wire = Wire()
    password = token("localhost/devices/dev", KEYS.primary_b64, int(NOW) + 999, None)
    user = "localhost/dev/?api-version=2021-04-12"
    session = Session(talk.services.cloud, wire, "peer")
    session.feed(connect("dev", user, password, clean=False))
    found = wire.take()
    assert found[0] == (0x20, b"\1\0")
    assert [(kind, body[-1:]) for kind, body in found[1:]] == [(0x3A, b"1"), (0x32, b"2")]


def test_what_is_sent_again_has_its_mark_and_its_packet_id_even_after_a_restart() -> None:
    paper = Paper()
    talk = Talk(paper)
    session, wire = talk.join(clean=False)
    session.feed(subscribe(FILTER) + subscribe(METHODS))
    wire.take()
    talk.hub.call_method("dev", "m", b"", lambda *_: None)
    for body in (b"1", b"2", b"3"):
        talk.send(body)
    assert told(wire.take())[1:] == [(0x32, 2, b"1"), (0x32, 3, b"2"), (0x32, 4, b"3")]
    session.feed(puback(2))
    session.lost()
    talk.send(b"4")
    _, _, after = Talk(paper).rejoin()
    assert told(after) == [(0x3A, 3, b"2"), (0x3A, 4, b"3"), (0x32, 5, b"4")]
    _, _, after = Talk(paper).rejoin(clean=True)
    assert after == []
    session, wire, _ = Talk(paper).rejoin()
    session.feed(subscribe(FILTER))
    assert told(wire.take()[1:]) == [(0x32, 1, b"2"), (0x32, 2, b"3"), (0x32, 3, b"4")]


def test_two_filters_of_a_kept_session_lose_neither_mark_nor_packet_id() -> None:
    talk = Talk()
    session, wire = talk.join(clean=False)
    session.feed(subscribe(FILTER, 0) + subscribe("devices/+/messages/devicebound/#", 1))
    wire.take()
    talk.send(b"1")
    assert told(wire.take()) == [(0x32, 1, b"1")]
    session.lost()
    assert told(talk.rejoin()[2]) == [(0x3A, 1, b"1")]
