"""One MQTT conversation without sockets: packet ids, acknowledgements, peers that lag behind."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.events import Event
from firstlight.emulator.hub.messages import C2D
from firstlight.emulator.journal import Nowhere
from firstlight.emulator.mqtt.outbox import MAX_IN_FLIGHT, Outbox
from firstlight.emulator.mqtt.session import Session
from firstlight.emulator.services import Services, Surroundings
from firstlight.emulator.settings import Settings
from tests.emulator.hubs import KEYS, NOW, id_of, packets_in, random_bytes
from tests.emulator.peers import (
    connect,
    packet,
    puback,
    publish,
    subscribe,
    text,
    token,
    unsubscribe,
)

FILTER = "devices/dev/messages/devicebound/#"
METHODS = "$iothub/methods/POST/#"
EVENTS = "devices/dev/messages/events/"


class Wire:
    """Keeps what a session says. unread: bytes that the peer is told to have left."""

    over = "mqtt"

    def __init__(self) -> None:
        self.sent = b""
        self.unread = 0
        self.is_closed = False

    def send(self, data: bytes) -> None:
        assert not self.is_closed
        self.sent += data

    def waiting(self) -> int:
        return self.unread

    def close(self) -> None:
        self.is_closed = True

    def end(self, how: str) -> None:
        self.is_closed = True

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def later(self, delay_s: float, do: Callable[[], None]) -> None: ...

    def take(self) -> list[tuple[int, bytes]]:
        """The packets that were said since the last time."""
        found, self.sent = packets_in(self.sent), b""
        return found


class Talk:
    """A device's conversation with a cloud of its own; the clock is `now_at`."""

    def __init__(self) -> None:
        self.now_at = NOW
        self.log: list[Event] = []
        around = Surroundings(
            lambda: self.now_at, random_bytes, self.log.append, Nowhere(), frozenset
        )
        self.services = Services(Settings(), around)
        self.hub = self.services.hubs["localhost"]
        self.hub.put_device("dev", KEYS, NOW)

    def join(self, keepalive_s: int = 60, clean: bool = True) -> tuple[Session, Wire]:
        """A new connection, accepted."""
        wire = Wire()
        session = Session(self.services.cloud, wire, "peer")
        password = token("localhost/devices/dev", KEYS.primary_b64, int(NOW) + 999, None)
        user = "localhost/dev/?api-version=2021-04-12"
        session.feed(connect("dev", user, password, keepalive_s, clean))
        assert wire.take()[0][0] == 0x20
        return session, wire

    def subscribed(self, topic_filter: str, qos: int = 1) -> tuple[Session, Wire]:
        session, wire = self.join()
        session.feed(subscribe(topic_filter, qos))
        assert [first for first, _ in wire.take()] == [0x90]
        return session, wire

    def send(self, body: bytes = b"") -> None:
        self.hub.send_message("dev", C2D(body), self.now_at)

    def said(self, part: str) -> bool:
        return any(part in event["what"] for event in self.log)


def test_packet_ids_wrap_at_65535_and_pass_over_those_in_flight() -> None:
    outbox = Outbox()
    acked: list[float] = []
    assert outbox.add(acked.append) == 1
    for expected in range(2, 65_536):
        assert outbox.add() == expected
        assert not outbox.acknowledged(expected, NOW)
    assert outbox.add() == 2
    assert outbox.acknowledged(1, NOW)
    assert not outbox.acknowledged(1, NOW)
    assert not outbox.acknowledged(0, NOW)
    assert (acked, len(outbox)) == ([NOW], 1)


@given(st.lists(st.integers(0, 3), max_size=200))
def test_no_id_is_twice_in_flight_and_each_is_acknowledged_once(steps: list[int]) -> None:
    outbox = Outbox()
    acked: list[float] = []
    flying: list[int] = []
    for step in steps:
        if step:
            id = outbox.add(acked.append)
            assert id is not None
            assert id not in flying
            flying.append(id)
        elif flying:
            assert outbox.acknowledged(flying.pop(len(flying) // 2), NOW)
        assert len(outbox) == len(flying)
    assert len(acked) == len([s for s in steps if s]) - len(flying)


def test_a_device_that_acknowledges_no_answer_is_closed_at_last() -> None:
    talk = Talk()
    session, wire = talk.subscribed("$iothub/twin/res/#")
    for _ in range(MAX_IN_FLIGHT):
        session.feed(publish("$iothub/twin/GET/?$rid=1", b"", 0))
    assert len({id_of(body) for _, body in wire.take()}) == MAX_IN_FLIGHT
    session.feed(puback(7))
    session.feed(publish("$iothub/twin/GET/?$rid=1", b"", 0) * 2)
    assert wire.is_closed
    assert talk.said("acknowledges nothing")


def test_a_device_that_lags_behind_is_sent_the_rest_once_it_has_read() -> None:
    talk = Talk()
    session, wire = talk.subscribed(FILTER, 0)
    wire.unread = 256 * 1024
    talk.send(b"x")
    assert wire.take() == []
    session.resume()
    assert wire.take() == []
    wire.unread = 0
    session.resume()
    assert len(wire.take()) == 1
    assert talk.hub.queued_messages("dev", NOW) == 0


def test_a_device_that_reads_nothing_at_all_is_closed() -> None:
    talk = Talk()
    _, wire = talk.subscribed(METHODS, 0)
    wire.unread = 4 * 1024 * 1024
    talk.hub.call_method("dev", "m", b"", lambda *_: None)
    assert wire.take()[0][0] == 0x30
    wire.unread += 1
    with pytest.raises(Exception, match="device to connect"):
        talk.hub.call_method("dev", "m", b"", lambda *_: None)
    assert wire.is_closed
    assert talk.said("reads nothing")
    assert talk.hub.device("dev").connection_state == "Disconnected"


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


def test_a_publish_that_is_sent_again_is_taken_and_acknowledged_again() -> None:
    talk = Talk()
    session, wire = talk.join()
    first = publish(EVENTS, b"x")
    session.feed(first + bytes([first[0] | 8]) + first[1:])
    assert wire.take() == [(0x40, b"\0\7")] * 2
    assert talk.services.telemetry.received == 2


@pytest.mark.parametrize(
    ("keepalive_s", "limit_s"), [(0, 1767), (60, 90), (1177, 1765.5), (1200, 1767), (65535, 1767)]
)
def test_silence_is_bounded_by_one_and_a_half_keepalives_and_by_azure(
    keepalive_s: int, limit_s: float
) -> None:
    session, _ = Talk().join(keepalive_s)
    assert session.idle_limit_s == limit_s


def test_a_connection_ends_with_its_token() -> None:
    session, _ = Talk().join()
    assert session.expires_at == int(NOW) + 999


def test_a_will_of_a_device_that_was_removed_is_dropped() -> None:
    talk = Talk()
    wire = Wire()
    session = Session(talk.services.cloud, wire, "peer")
    password = token("localhost/devices/dev", KEYS.primary_b64, int(NOW) + 999, None)
    will = text(EVENTS) + text("gone")
    head = text("MQTT") + b"\4\xc6\0\x3c" + text("dev") + will
    user = "localhost/dev/?api-version=2021-04-12"
    session.feed(packet(0x10, head + text(user) + text(password)))
    assert wire.take() == [(0x20, b"\0\0")]
    talk.hub.remove_device("dev")
    assert wire.is_closed
    assert talk.services.telemetry.received == 0
    assert talk.said("will was dropped")


TOPICS = [
    EVENTS + "k=v",
    "$iothub/twin/GET/?$rid=1",
    "$iothub/twin/PATCH/properties/reported/?$rid=2",
    "$iothub/methods/res/200/?$rid=1",
    "devices/dev/messages/devicebound/",
]
PACKETS = st.one_of(
    st.builds(
        publish, st.sampled_from(TOPICS), st.sampled_from([b"", b"{}", b"\xff"]), st.integers(0, 1)
    ),
    st.builds(subscribe, st.sampled_from([FILTER, METHODS, "$iothub/twin/res/#"])),
    st.builds(unsubscribe, st.sampled_from([FILTER, METHODS, "#"])),
    st.builds(puback, st.integers(1, 9)),
    st.just(packet(0xC0, b"")),
    st.just("send"),
    st.just("call"),
    st.just("rejoin"),
)


@given(st.lists(PACKETS, max_size=40))
def test_no_order_of_packets_raises_anything_or_loses_a_message(steps: list[Any]) -> None:
    talk = Talk()
    session, wire = talk.join(clean=False)
    for step in steps:
        if step == "rejoin" or session.is_closed:
            session, wire = talk.join(clean=False)
        if step == "send" and talk.hub.queued_messages("dev", NOW) < 50:
            talk.send()
        elif step == "call" and talk.hub.takes_method("dev", "m"):
            talk.hub.call_method("dev", "m", b"{}", lambda *_: None)
        elif isinstance(step, bytes):
            session.feed(step)
        ids = [id_of(body) for first, body in wire.take() if first & 0xF6 == 0x32]
        assert len(set(ids)) == len(ids)
    assert not talk.said("unexpected")
