"""Faults at a hub, as a device sees them over real TLS sockets: telemetry, twins, messages."""

import json

from firstlight.emulator.running import RunningAzure
from tests.emulator.broken import CLOSED, RESET, SILENT, Observer, at_dps
from tests.emulator.peers import (
    connect,
    join_hub,
    packet,
    publish,
    subscribe,
    token,
)
from tests.emulator.test_http import a_device

EVENTS = "devices/dev-1/messages/events/"
PING = packet(0xC0, b"")
PONG = b"\xd0\0"
SOON_S = 0.3  # how long a test listens for what must not come


def test_a_throttled_hub_closes_and_what_it_had_acknowledged_is_there(
    azure: RunningAzure,
) -> None:
    azure.add_fault("telemetry close every=3")
    with join_hub(azure, "dev-1", a_device(azure)) as peer:
        peer.send(b"".join(publish(EVENTS, bytes([i])) for i in range(5)))
        assert peer.is_closed_by_server()
    assert [message.body for message in azure.telemetry()] == [b"\0", b"\1"]


def test_a_hub_is_named_by_its_own_fault(azure: RunningAzure) -> None:
    azure.add_fault("connect refuse code=3 hub=LOCALHOST times=1")
    key = a_device(azure)
    with at_dps(azure, "dev-2"), Observer(azure) as peer:
        password = token("localhost/devices/dev-1", key, skn=None)
        peer.send(connect("dev-1", "localhost/dev-1/?api-version=2021-04-12", password))
        assert peer.rest() == (b"\x20\2\0\3", CLOSED)
    with join_hub(azure, "dev-1", key):
        pass


def test_a_twin_is_throttled_before_or_after_it_is_patched(azure: RunningAzure) -> None:
    azure.add_fault("twin-get refuse status=429 times=1")
    azure.add_fault("twin-report refuse status=500 times=1")
    azure.add_fault("twin-report-answer refuse status=503 after=1 times=1")
    with join_hub(azure, "dev-1", a_device(azure)) as peer:
        peer.send(subscribe("$iothub/twin/res/#"))
        for i in range(4):
            peer.send(publish(f"$iothub/twin/GET/?$rid=g{i}"))
            if i < 3:
                body = b'{"n":%d}' % i
                peer.send(publish(f"$iothub/twin/PATCH/properties/reported/?$rid=r{i}", body))
        said = [peer.read_message() for _ in range(7)]
    assert [(topic.split("?")[0][-4:-1], body[:2]) for topic, body in said] == [
        ("429", b""),
        ("500", b""),
        ("200", b'{"'),
        ("503", b""),
        ("200", b'{"'),
        ("204", b""),
        ("200", b'{"'),
    ]
    assert "n" not in json.loads(said[2][1])["reported"]
    assert json.loads(said[4][1])["reported"]["n"] == 1
    assert [topic.rpartition("$rid=")[2] for topic, _ in said[:4]] == ["g0", "r0", "g1", "r1"]


MINE = ("devices/dev-1/messages/devicebound/#", "$iothub/methods/POST/#")
DESIRED = "$iothub/twin/PATCH/properties/desired/#"


def listening(azure: RunningAzure, key_b64: str, goes_on: bool = False) -> Observer:
    """A device at its hub that takes messages, methods and desired properties.

    goes_on: its session is there already.
    """
    peer = Observer(azure)
    password = token("localhost/devices/dev-1", key_b64, skn=None)
    user = "localhost/dev-1/?api-version=2021-04-12"
    peer.send(connect("dev-1", user, password, clean=False))
    assert peer.read()[1][1] == 0
    for name in () if goes_on else (*MINE, DESIRED):
        peer.send(subscribe(name))
        assert peer.read() == (0x90, b"\0\1\1")
    return peer


def test_a_message_comes_twice_and_leaves_the_queue_once(azure: RunningAzure) -> None:
    azure.add_fault("c2d duplicate dup=true times=1")
    key = a_device(azure)
    with listening(azure, key) as peer:
        azure.device("dev-1").send(b"hello")
        first, second = peer.read(), peer.read()
        peer.send(packet(0x40, first[1][-7:-5]))
        peer.send(packet(0x40, first[1][-7:-5]) + PING)
        assert peer.read() == (0xD0, b"")
    assert (first[0], second) == (0x32, (0x3A, first[1]))
    with listening(azure, key, goes_on=True) as peer:
        peer.send(PING)
        assert peer.rest(SOON_S) == (PONG, SILENT)


def test_a_message_that_is_lost_comes_again_on_the_next_connection(azure: RunningAzure) -> None:
    azure.add_fault("c2d close times=1")
    key = a_device(azure)
    with listening(azure, key) as peer:
        azure.device("dev-1").send(b"hello")
        assert peer.rest() == (b"", CLOSED)
    with listening(azure, key, goes_on=True) as peer:
        assert peer.read_message()[1] == b"hello"


def test_a_change_of_desired_properties_is_lost_and_read_later(azure: RunningAzure) -> None:
    azure.add_fault("desired drop times=1")
    key = a_device(azure)
    with listening(azure, key) as peer:
        for number in (1, 2):
            azure.device("dev-1").patch_twin({"properties": {"desired": {"n": number}}})
        topic, body = peer.read_message()
    assert json.loads(body)["n"] == 2
    assert topic.startswith("$iothub/twin/PATCH/properties/desired/?$version=")


def test_a_device_that_the_service_cuts_off_is_a_lost_connection(azure: RunningAzure) -> None:
    azure.add_fault("pingreq close end=reset")
    key = a_device(azure)
    with listening(azure, key) as peer:
        peer.send(PING)
        assert peer.rest() == (b"", RESET)
    assert "closed: a fault wants it" in [event["what"] for event in azure.log]
