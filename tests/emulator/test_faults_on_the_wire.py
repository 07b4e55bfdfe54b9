"""Faults in MQTT packets, as a client sees them over real TLS sockets."""

import json
import time

import pytest

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.broken import CLOSED, FIN, RESET, SILENT, Observer, at_dps, greeting
from tests.emulator.http.framing import Framed
from tests.emulator.peers import (
    POLL,
    REGISTER,
    RESULTS,
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
CONNACK = b"\x20\2\0\0"
SUBACK = b"\x90\3\0\1\1"
SOON_S = 0.3  # how long a test listens for what must not come


def hits(azure: RunningAzure) -> list[int]:
    return [fault["hits"] for fault in azure.faults()]


def test_a_hit_is_an_event_that_names_the_device_and_the_fault(azure: RunningAzure) -> None:
    azure.add_fault("pingresp drop device=DEV-1")
    with at_dps(azure) as peer:
        peer.send(PING)
        assert peer.rest(SOON_S) == (b"", SILENT)
    (told,) = [event for event in azure.log if event["part"] == "fault"]
    assert (told["id"], told["fault"]) == ("dev-1", "f1")
    assert told["what"] == "f1 strikes at pingresp: pingresp drop device=DEV-1"


@pytest.mark.parametrize(
    ("end", "seen"), [("close", CLOSED), ("fin", FIN), ("reset", RESET), ("hold", SILENT)]
)
def test_an_answer_is_cut_and_the_connection_ends_as_told(
    azure: RunningAzure, end: str, seen: str
) -> None:
    azure.add_fault(f"register-answer cut bytes=7 end={end}")
    with at_dps(azure) as peer:
        peer.send(publish(REGISTER + "1", b"{}"))
        data, how = peer.rest(SOON_S if end == "hold" else 10)
    assert (data[:4], len(data), how) == (b"\x40\2\0\7", 4 + 7, seen)
    assert data[4] == 0x32


@pytest.mark.parametrize("end", [CLOSED, FIN, RESET])
def test_a_packet_ends_the_connection_before_it_is_processed(
    azure: RunningAzure, end: str
) -> None:
    azure.add_fault(f"register close end={end}")
    with at_dps(azure) as peer:
        peer.send(publish(REGISTER + "1", b"{}"))
        assert peer.rest() == (b"", end)
    assert azure.call(lambda local: local.store.registration("dev-1")) is None


def test_an_answer_may_be_lost_after_the_registration_was_made(azure: RunningAzure) -> None:
    azure.add_fault("register-answer drop times=1")
    with at_dps(azure) as peer:
        peer.send(publish(REGISTER + "1", b"{}"))
        assert peer.rest(SOON_S) == (b"\x40\2\0\7", SILENT)
    assert azure.call(lambda local: local.store.registration("dev-1")) is not None


@pytest.mark.parametrize(
    ("point", "sent"),
    [
        ("connect", b""),
        ("subscribe", CONNACK),
        ("pingreq", CONNACK + SUBACK),
        ("register", CONNACK + SUBACK + PONG),
    ],
)
def test_a_packet_is_ignored_and_the_rest_goes_on(
    azure: RunningAzure, point: str, sent: bytes
) -> None:
    azure.add_fault(f"{point} ignore")
    key = azure.enroll_device("dev-1").keys.primary_b64
    with Observer(azure) as peer:
        peer.send(greeting(azure, "dev-1", key))
        if point != "connect":
            peer.send(subscribe(RESULTS))
        if point in ("pingreq", "register"):
            peer.send(PING)
        if point == "register":
            peer.send(publish(REGISTER + "1", b"{}"))
        assert peer.rest(SOON_S) == (sent, SILENT)
    assert hits(azure) == [1]


@pytest.mark.parametrize(
    ("point", "sent"),
    [
        ("connack", SUBACK + PONG + b"\x40\2\0\7"),
        ("suback", CONNACK + PONG + b"\x40\2\0\7"),
        ("pingresp", CONNACK + SUBACK + b"\x40\2\0\7"),
        ("register-puback", CONNACK + SUBACK + PONG),
    ],
)
def test_an_answer_of_mqtt_is_missing_and_nothing_else(
    azure: RunningAzure, point: str, sent: bytes
) -> None:
    azure.add_fault(f"{point} drop")
    key = azure.enroll_device("dev-1").keys.primary_b64
    with Observer(azure) as peer:
        whole = greeting(azure, "dev-1", key) + subscribe(RESULTS) + PING
        peer.send(whole + publish(REGISTER + "1", b"{}"))
        data, how = peer.rest(SOON_S)
    assert how == SILENT
    assert data[: len(sent)] == sent
    assert b"$dps/registrations/res/202" in data[len(sent) :]


def test_a_half_open_connection_reads_and_says_nothing_until_it_is_reset(
    azure: RunningAzure,
) -> None:
    azure.add_fault("pingreq hold seconds=0.6")
    with at_dps(azure) as peer:
        peer.send(PING)
        assert peer.rest(SOON_S) == (b"", SILENT)
        peer.send(publish(REGISTER + "1", b"{}"))
        assert peer.rest() == (b"", RESET)
    assert azure.call(lambda local: local.store.registration("dev-1")) is None


def test_a_connection_that_the_hub_has_given_up_is_not_shown(azure: RunningAzure) -> None:
    azure.add_fault("pingreq hold seconds=60")
    key = a_device(azure)
    with join_hub(azure, "dev-1", key) as held:
        held.send(PING)
        assert azure.wait_for(lambda local: local.services.faults.all()[0]["hits"])
        with join_hub(azure, "dev-1", key):
            shown = azure.call(lambda local: local.connections())
    assert [one["device"] for one in shown] == ["dev-1"]


@pytest.mark.parametrize("point", ["connect", "connack", "pingreq", "pingresp"])
def test_a_delay_keeps_the_order(azure: RunningAzure, point: str) -> None:
    azure.add_fault(f"{point} delay seconds={SOON_S}")
    key = azure.enroll_device("dev-1").keys.primary_b64
    began = time.monotonic()
    with Observer(azure) as peer:
        peer.send(greeting(azure, "dev-1", key) + PING + subscribe(RESULTS))
        assert [peer.read()[0] for _ in range(3)] == [0x20, 0xD0, 0x90]
    assert time.monotonic() - began >= SOON_S


@pytest.mark.parametrize("is_framed", [False, True])
def test_no_bound_on_silence_counts_what_a_delay_keeps(is_framed: bool) -> None:
    """A CONNECT may be delayed for longer than it may take to come; silence begins after it."""
    with running_azure(Settings(mqtt_port=0, https_port=0, connect_timeout_s=0.4)) as azure:
        azure.add_fault("connect delay seconds=0.9")
        azure.add_fault("pingreq delay seconds=1.4")
        key = azure.enroll_device("dev-1").keys.primary_b64
        resource = f"{azure.id_scope}/registrations/dev-1"
        user = f"{resource}/api-version=2019-03-31"
        hello = connect("dev-1", user, token(resource, key), keepalive_s=1)
        with Framed(azure) if is_framed else Observer(azure) as peer:
            peer.send(hello + PING)
            assert (peer.read(6) if isinstance(peer, Framed) else peer.rest()[0]) == CONNACK + PONG
            told = azure.wait_for(lambda _: [e for e in list(azure._log) if "silent" in e["what"]])
        (struck,) = (event for event in azure.log if "strikes at pingreq" in event["what"])
        assert told[0]["at"] - struck["at"] > 1.4 + 1.5 - 0.01


def test_a_packet_comes_a_byte_at_a_time_and_is_whole(azure: RunningAzure) -> None:
    azure.add_fault("packet-out split size=1")
    key = azure.enroll_device("dev-1").keys.primary_b64
    with Observer(azure) as peer:
        peer.send(greeting(azure, "dev-1", key))
        assert peer.pieces(4) == [b"\x20", b"\2", b"\0", b"\0"]
        peer.send(subscribe(RESULTS) + publish(REGISTER + "1", b"{}"))
        topic, body = peer.read_message()
        assert topic.startswith("$dps/registrations/res/202/?$rid=1")
        assert json.loads(body)["status"] == "assigning"


@pytest.mark.parametrize("dup", [False, True])
def test_an_answer_comes_twice(azure: RunningAzure, dup: bool) -> None:
    azure.add_fault(at="register-answer", do="duplicate", dup=dup)
    with at_dps(azure) as peer:
        peer.send(publish(REGISTER + "1", b"{}"))
        assert peer.read() == (0x40, b"\0\7")
        first, second = peer.read(), peer.read()
    assert first[0] == 0x32
    assert second == (0x3A if dup else 0x32, first[1])


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 255])
def test_connack_refuses_with_any_code(azure: RunningAzure, code: int) -> None:
    azure.add_fault(f"connect refuse code={code}")
    with Observer(azure) as peer:
        peer.send(greeting(azure, "dev-1", "AAAA"))
        assert peer.rest() == (b"\x20\2\0" + bytes([code]), CLOSED)


def test_connack_says_no_though_the_connection_goes_on(azure: RunningAzure) -> None:
    azure.add_fault("connack code value=3")
    with Observer(azure) as peer:
        peer.send(greeting(azure, "dev-1", "AAAA") + PING)
        assert peer.rest(SOON_S) == (b"\x20\2\0\3" + PONG, SILENT)


@pytest.mark.parametrize(
    ("fault", "answered"), [("subscribe refuse", False), ("suback code value=128", True)]
)
def test_suback_says_no_before_or_after_it_counts(
    azure: RunningAzure, fault: str, answered: bool
) -> None:
    azure.add_fault(fault)
    key = azure.enroll_device("dev-1").keys.primary_b64
    with Observer(azure) as peer:
        peer.send(greeting(azure, "dev-1", key) + subscribe(RESULTS))
        assert peer.read() == (0x20, b"\0\0")
        assert peer.read() == (0x90, b"\0\1\x80")
        peer.send(publish(REGISTER + "1", b"{}"))
        assert (b"res/202" in peer.rest(SOON_S)[0]) is answered


@pytest.mark.parametrize(
    ("limit", "pings"),
    [("packets_in=4", 4), ("packets_out=4", 3), ("bytes_in=7", 3), ("seconds=0.2", 9)],
)
def test_a_connection_lives_no_longer_than_told(
    azure: RunningAzure, limit: str, pings: int
) -> None:
    azure.add_fault(f"connect limit {limit} end=reset times=1")
    key = azure.enroll_device("dev-1").keys.primary_b64
    with Observer(azure) as peer:
        peer.send(greeting(azure, "dev-1", key))
        assert peer.read() == (0x20, b"\0\0")
        peer.send(PING * 9)
        assert peer.rest() == (PONG * pings, RESET)


def test_the_last_byte_of_a_connection_may_be_inside_a_packet(azure: RunningAzure) -> None:
    azure.add_fault("connect limit bytes_out=7 end=reset times=1")
    key = azure.enroll_device("dev-1").keys.primary_b64
    with Observer(azure) as peer:
        peer.send(greeting(azure, "dev-1", key) + PING * 3)
        assert peer.rest() == (CONNACK + PONG + b"\xd0", RESET)


def test_faults_hit_the_device_that_they_are_for_alone(azure: RunningAzure) -> None:
    azure.add_fault("pingresp drop device=dev-1 part=dps over=mqtt")
    azure.add_fault("pingresp drop part=hub")
    azure.add_fault("pingresp drop over=websocket")
    with at_dps(azure, "dev-1") as first, at_dps(azure, "dev-2") as second:
        first.send(PING)
        second.send(PING)
        assert second.read() == (0xD0, b"")
        assert first.rest(SOON_S) == (b"", SILENT)
    assert hits(azure) == [1, 0, 0]


def test_other_bytes_leave_instead(azure: RunningAzure) -> None:
    azure.add_fault("pingresp replace hex=d005")
    with at_dps(azure) as peer:
        peer.send(PING)
        assert peer.rest(SOON_S) == (b"\xd0\5", SILENT)


def test_cleared_faults_strike_no_more(azure: RunningAzure) -> None:
    fault = azure.add_fault("pingresp drop")
    assert azure.clear_faults(fault["id"])
    assert not azure.clear_faults(fault["id"])
    with at_dps(azure) as peer:
        peer.send(PING)
        assert peer.read() == (0xD0, b"")


def test_several_faults_at_one_point_are_one_fault(azure: RunningAzure) -> None:
    azure.add_fault("poll-answer delay seconds=0.1")
    azure.add_fault("poll-answer refuse status=500")
    azure.add_fault("poll-answer cut bytes=60 end=fin")
    with at_dps(azure) as peer:
        peer.send(publish(REGISTER + "1", b"{}"))
        _, body = peer.read_message()
        peer.send(publish(POLL + f"2&operationId={json.loads(body)['operationId']}"))
        data, how = peer.rest()
    assert how == FIN
    assert len(data) == 4 + 60
    assert b"$dps/registrations/res/500/?$rid=2" in data
    assert hits(azure) == [1, 1, 1]
