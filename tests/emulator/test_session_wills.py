"""One MQTT conversation without sockets: its will."""

import pytest

from firstlight.emulator.mqtt.session import Session
from tests.emulator.hubs import KEYS, NOW
from tests.emulator.peers import (
    packet,
    text,
    token,
)
from tests.emulator.sessions import EVENTS, Talk, Wire


def with_will(talk: Talk, topic: str, qos: int = 0, retain: bool = False) -> tuple[Session, Wire]:
    wire = Wire()
    session = Session(talk.services.cloud, wire, "peer")
    password = token("localhost/devices/dev", KEYS.primary_b64, int(NOW) + 999, None)
    flags = bytes([0xC6 | qos << 3 | retain << 5])
    head = text("MQTT") + b"\4" + flags + b"\0\x3c" + text("dev") + text(topic) + text("gone")
    user = "localhost/dev/?api-version=2021-04-12"
    session.feed(packet(0x10, head + text(user) + text(password)))
    assert wire.take() == [(0x20, b"\0\0")]
    return session, wire


@pytest.mark.parametrize("topic", ["devices/other/messages/events/", "$iothub/twin/GET/?$rid=1"])
def test_a_will_on_a_foreign_topic_is_dropped_and_the_log_says_why(topic: str) -> None:
    talk = Talk()
    session, _ = with_will(talk, topic)
    session.lost()
    assert talk.services.telemetry.received == 0
    assert talk.said("will was dropped: a topic that a hub does not have")


def test_a_will_keeps_its_properties_and_is_marked_as_a_will() -> None:
    talk = Talk()
    session, _ = with_will(talk, EVENTS + "k=v", qos=1, retain=True)
    talk.join()
    session.lost()
    (message,) = talk.services.telemetry.select()
    marks = {"k": "v", "mqtt-retain": "true", "iothub-MessageType": "Will"}
    assert (message.body, message.properties) == (b"gone", marks)


def test_a_will_of_a_device_that_was_removed_is_dropped() -> None:
    talk = Talk()
    _, wire = with_will(talk, EVENTS)
    talk.hub.remove_device("dev")
    assert wire.is_closed
    assert talk.services.telemetry.received == 0
    assert talk.said("will was dropped")
