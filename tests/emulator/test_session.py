"""One MQTT conversation without sockets: packet ids, acknowledgements, peers that lag behind."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.hub.messages import C2D
from firstlight.emulator.mqtt.outbox import MAX_IN_FLIGHT, Outbox
from firstlight.emulator.mqtt.session import Session
from tests.emulator.hubs import BY_KEYS, KEYS, NOW, id_of
from tests.emulator.peers import (
    connect,
    packet,
    puback,
    publish,
    subscribe,
    token,
    unsubscribe,
)
from tests.emulator.sessions import EVENTS, Talk, Wire, told

FILTER = "devices/dev/messages/devicebound/#"
METHODS = "$iothub/methods/POST/#"


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
    assert len(talk.hub._calls._waiting) == 1


def test_nothing_counts_that_an_older_connection_says_after_its_end() -> None:
    talk = Talk()
    older, wire = talk.join(clean=False)
    older.feed(subscribe(FILTER))
    talk.send(b"1")
    packet_id = id_of(wire.take()[1][1])
    _, _, after = talk.rejoin()
    assert told(after) == [(0x3A, packet_id, b"1")]
    older.feed(puback(packet_id) + publish(EVENTS, b"late") + unsubscribe(FILTER))
    assert talk.hub.queued_messages("dev", NOW) == 1
    assert talk.services.telemetry.received == 0
    talk.send(b"2")
    assert talk.hub.queued_messages("dev", NOW) == 2


def test_a_token_that_was_put_where_the_client_id_belongs_is_not_logged() -> None:
    talk = Talk()
    session = Session(talk.services.cloud, Wire(), "peer")
    password = token("localhost/devices/dev", KEYS.primary_b64, int(NOW) + 999, None)
    session.feed(connect(password, "localhost/dev/?api-version=2021-04-12", "dev"))
    assert talk.said("client ? refused with CONNACK 2")
    assert not talk.said("sig=")


def test_each_acknowledgement_lets_one_more_message_go() -> None:
    talk = Talk()
    session, wire = talk.subscribed(FILTER)
    for number in range(22):
        talk.send(b"%c" % number)
    ids = [id_of(body) for _, body in wire.take()]
    assert len(ids) == 20
    session.feed(puback(ids[3]))
    assert [body[-1] for _, body in wire.take()] == [20]
    session.feed(puback(ids[3]) + puback(999))
    assert wire.take() == []
    session.feed(puback(ids[4]))
    assert [body[-1] for _, body in wire.take()] == [21]


@pytest.mark.parametrize(
    "foreign",
    [
        publish("$iothub/methods/res/200/?$rid=1", b"1" * 131_073, 0),
        publish("$iothub/methods/res/ok/?$rid=1", b"{}", 0),
        publish("$iothub/twin/GET/?$rid=" + "1" * 129, b"", 0),
        publish("$iothub/twin/GET/", b"", 0),
        publish("$iothub/twin/PATCH/properties/desired/?$rid=1", b"{}", 0),
    ],
)
def test_what_no_device_may_publish_ends_the_connection(foreign: bytes) -> None:
    talk = Talk()
    session, wire = talk.subscribed("$iothub/twin/res/#")
    session.feed(publish("$iothub/twin/GET/?$rid=" + "1" * 128, b"", 0))
    session.feed(publish("$iothub/methods/res/-1/?$rid=1", b"1" * 131_072, 0))
    assert [first for first, _ in wire.take()] == [0x32]
    session.feed(foreign)
    assert (wire.take(), session.is_closed) == ([], True)


@pytest.mark.parametrize("topic_filter", [FILTER, "devices/+/messages/devicebound/#"])
@pytest.mark.parametrize("id", ["a+b", "a#b"])
def test_an_id_that_no_topic_can_hold_is_told_and_its_messages_stay(
    id: str, topic_filter: str
) -> None:
    talk = Talk()
    talk.hub.put_device(id, BY_KEYS, NOW)
    session, wire = talk.join(id=id)
    session.feed(subscribe(METHODS) + subscribe("$iothub/twin/res/#"))
    assert [first for first, _ in wire.take()] == [0x90] * 2
    session.feed(subscribe(topic_filter.replace("dev/", f"{id}/")))
    assert session.is_closed
    assert talk.said("+ or # in its id")
    talk.hub.send_message(id, C2D(b"x"), NOW)
    assert talk.hub.lock_message(id, NOW) is not None


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
