"""The packet reader: what it takes, and that nothing else comes through or breaks it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.emulator.mqtt import packets, writing
from firstlight.emulator.mqtt.packets import PacketError
from firstlight.emulator.mqtt.reading import CONTROL_LIMIT, PUBLISH_LIMIT, Decoder
from tests.emulator.peers import connect, packet, publish, subscribe, text

GOOD = (
    connect("dev-1", "user", "password"),
    subscribe("a/#", 1),
    publish("a/b", b"payload", qos=1),
    packet(0x40, b"\0\1"),
    packet(0xA2, b"\0\1" + text("a/#")),
    packet(0xC0, b""),
    packet(0xE0, b""),
)
HEAD = text("MQTT") + b"\4"


def read(*pieces: bytes) -> list[packets.Packet]:
    decoder = Decoder()
    decoder.publish_limit = PUBLISH_LIMIT
    return [found for piece in pieces for found in decoder.feed(piece)]


def test_every_packet_of_a_client_is_read() -> None:
    assert read(b"".join(GOOD)) == [
        packets.Connect("dev-1", 60, "user", "password"),
        packets.Subscribe(1, (("a/#", 1),)),
        packets.Publish("a/b", b"payload", 1, 7, False),
        packets.Puback(1),
        packets.Unsubscribe(1, ("a/#",)),
        packets.Ping(),
        packets.Disconnect(),
    ]


def test_packets_may_come_byte_by_byte() -> None:
    stream = b"".join(GOOD)
    assert read(*(stream[i : i + 1] for i in range(len(stream)))) == read(stream)


def test_a_connect_with_a_will_and_without_a_password_is_read() -> None:
    will = text("w") + text("gone")
    found = read(packet(0x10, HEAD + b"\x86\0\0" + text("a") + will + text("u")))
    assert found == [
        packets.Connect("a", 0, "u", None, packets.Publish("w", b"gone", 0, None, False))
    ]


@pytest.mark.parametrize(
    "raw",
    [
        packet(0x00, b""),
        packet(0xF0, b""),
        packet(0x20, b"\0\0"),
        packet(0x80, b"\0\1" + text("a") + b"\0"),
        packet(0x82, b"\0\1"),
        packet(0x82, b"\0\0" + text("a") + b"\0"),
        packet(0x82, b"\0\1" + text("a") + b"\3"),
        packet(0x82, b"\0\1\0\5a\0"),
        packet(0x82, b"\0\1" + text("a")),
        packet(0xA2, b"\0\1"),
        packet(0xC0, b"\0"),
        packet(0xC0, b"\0\0\0"),
        packet(0xC1, b""),
        packet(0x40, b"\0"),
        packet(0x40, b"\0\0"),
        packet(0x40, b"\0\1\0"),
        packet(0x36, text("a") + b"\0\1"),
        packet(0x32, text("a")),
        packet(0x32, text("a") + b"\0\0"),
        packet(0x30, b"\0\7a"),
        packet(0x30, b"\0"),
        packet(0x30, text("")),
        packet(0x30, text("a/#")),
        packet(0x30, text("a\0b")),
        packet(0x30, b"\0\2\xff\xfe"),
        packet(0x30, b"\xf0\0" + b"\xff" * 0xF000),
        packet(0x10, b""),
        packet(0x10, HEAD + b"\2\0\0"),
        packet(0x10, HEAD + b"\2\0\0" + text("")),
        packet(0x10, HEAD + b"\3\0\0" + text("a")),
        packet(0x10, HEAD + b"\x42\0\0" + text("a") + text("p")),
        packet(0x10, HEAD + b"\x1e\0\0" + text("a") + text("w") + text("m")),
        packet(0x10, HEAD + b"\xc2\0\0" + text("a") + text("u")),
        packet(0x10, HEAD + b"\2\0\0" + text("a") + b"left over"),
        packet(0x10, HEAD + b"\2\0\0\0\1\xff"),
        packet(0x10, text("MQIsdp") + b"\3\2\0\0" + text("a")),
        packet(0x10, b"\0" * (CONTROL_LIMIT + 1)),
        b"\x30\xff\xff\xff\x7f",
        b"\x30\x80\x80\x80\x80\1",
    ],
)
def test_a_malformed_packet_is_a_packet_error_of_one_sentence(raw: bytes) -> None:
    with pytest.raises(PacketError) as caught:
        read(raw)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 120


def test_a_publish_before_any_connect_is_not_even_collected() -> None:
    with pytest.raises(PacketError, match="more than 0 bytes"):
        list(Decoder().feed(b"\x30\x05"))


@pytest.mark.parametrize(
    ("packet_id", "dup", "first"),
    [(None, False, 0x30), (None, True, 0x30), (7, False, 0x32), (7, True, 0x3A)],
)
def test_a_publish_is_written_as_it_is_read(packet_id: int | None, dup: bool, first: int) -> None:
    payload = b"x" * 200  # a length of two bytes
    written = writing.publish("a/\xfc", payload, packet_id, dup)
    assert written[0] == first
    qos = int(packet_id is not None)
    assert read(written) == [packets.Publish("a/\xfc", payload, qos, packet_id, False)]


def test_an_oversized_packet_is_refused_at_its_length() -> None:
    decoder = Decoder()
    with pytest.raises(PacketError, match="more than 4096 bytes"):
        list(decoder.feed(b"\x10\x81\x20"))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=4))
def test_no_bytes_raise_anything_but_a_packet_error(pieces: list[bytes]) -> None:
    try:
        read(*pieces)
    except PacketError:
        return


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(GOOD), st.data())
def test_a_damaged_packet_is_read_whole_or_refused(raw: bytes, data: st.DataObject) -> None:
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(damaged))
    except PacketError:
        return
    assert all(isinstance(one, packets.Packet) for one in found)


@settings(max_examples=100, deadline=None)
@given(
    st.text(st.characters(exclude_characters="+#\0", codec="utf-8"), min_size=1, max_size=40),
    st.binary(max_size=200),
    st.sampled_from([0, 1, 2]),
    st.booleans(),
)
def test_any_publish_that_is_written_is_read(
    topic: str, payload: bytes, qos: int, retain: bool
) -> None:
    packet_id = 7 if qos else None
    expected = packets.Publish(topic, payload, qos, packet_id, retain)
    assert read(publish(topic, payload, qos, retain)) == [expected]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (packet(0x10, text("MQTT") + b"\5\2\0\0\0" + text("a")), 1),
        (packet(0x10, text("MQIsdp") + b"\3\2\0\0" + text("a")), 1),
        (packet(0x10, HEAD + b"\2\0\0" + text("")), 2),
        (packet(0x10, text("HTTP") + b"\4\2\0\0" + text("a")), None),
        (packet(0x10, text("MQTT")), None),
    ],
)
def test_a_connect_that_is_not_ours_says_which_connack_it_gets(
    raw: bytes, code: int | None
) -> None:
    with pytest.raises(PacketError) as caught:
        read(raw)
    assert caught.value.code == code


@pytest.mark.parametrize("data", GOOD)
def test_what_was_read_before_is_read_the_same_again(data: bytes) -> None:
    assert read(data) == read(data)


@pytest.mark.parametrize(
    "data", [packet(0x40, b"\0\0"), packet(0x82, b"\0\1"), packet(0xC0, b"x")]
)
def test_what_was_refused_before_is_refused_again(data: bytes) -> None:
    for _ in range(2):
        with pytest.raises(PacketError):
            read(data)
