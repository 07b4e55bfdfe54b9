"""Faults in MQTT packets that come over WebSocket; and hostile bytes while faults are set."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.emulator.faults.points import IN, OUT, points_of
from firstlight.emulator.faults.specs import BadFault, parse_text
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.broken import SILENT, Observer, at_dps, greeting
from tests.emulator.peers import RESULTS, packet, publish, subscribe

PING, PONG = packet(0xC0, b""), b"\xd0\0"
CONNACK = b"\x20\2\0\0"
SOON_S = 0.3
ENDS_S = 2.0  # a goodbye that is not answered is waited for


UPGRADE = (
    "GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
BINARY = 0x82  # RFC 6455, 5.2: the last fragment of a binary message


def framed(data: bytes) -> bytes:
    """A client's binary frame; its mask is all zeros."""
    return bytes((BINARY, 0xFE)) + len(data).to_bytes(2, "big") + bytes(4) + data


def unframed(data: bytes) -> Iterator[bytes]:
    """The server's binary frames, none of which is long."""
    while data and data[0] == BINARY:
        yield data[2 : 2 + data[1]]
        data = data[2 + data[1] :]


def spoken(azure: RunningAzure, *, patience_s: float) -> tuple[list[bytes], bool]:
    """What a device that connects and pings is sent over a WebSocket, and whether it ends."""
    key = azure.enroll_device("dev-1").keys.primary_b64
    with Observer(azure, port=azure.https_port) as peer:
        peer.send(UPGRADE.encode() + framed(greeting(azure, "dev-1", key) + PING))
        data, how = peer.rest(patience_s)
    head, _, rest = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    goodbye = b"\x88" in rest
    return list(unframed(rest)), goodbye or how != SILENT


@pytest.mark.parametrize(
    ("fault", "data", "ends"),
    [
        ("pingresp drop", CONNACK, False),
        ("connack drop over=websocket", PONG, False),
        ("connack drop over=mqtt", CONNACK + PONG, False),
        ("connack cut bytes=3 end=reset", CONNACK[:3], True),
        ("pingreq close end=fin", CONNACK, True),
        ("pingreq close", CONNACK, True),
        ("connect refuse code=3", b"\x20\2\0\3", True),
        ("pingresp hold seconds=60", CONNACK, False),
        ("connect limit packets_out=1", CONNACK, True),
        ("packet-out delay seconds=0.1", CONNACK + PONG, False),
    ],
)
def test_a_fault_strikes_over_websocket_too(
    azure: RunningAzure, fault: str, data: bytes, ends: bool
) -> None:
    azure.add_fault(fault)
    frames, ended = spoken(azure, patience_s=ENDS_S if ends else SOON_S)
    assert (b"".join(frames), ended) == (data, ends)


def test_bytes_come_in_frames_of_their_own(azure: RunningAzure) -> None:
    azure.add_fault("connack split size=1 gap=0.02")
    frames, _ = spoken(azure, patience_s=SOON_S)
    assert frames[:3] == [b"\x20", b"\2", b"\0"]
    assert b"".join(frames) == CONNACK + PONG


@pytest.fixture(scope="module")
def beset() -> Iterator[RunningAzure]:
    with running_azure(Settings(mqtt_port=0, https_port=0, retry_after_s=0)) as azure:
        yield azure


_DO = ["ignore", "drop", "close", "close end=reset", "cut bytes=2", "split", "hold seconds=0"]
_DO += ["duplicate", "replace hex=30ff", "refuse", "code value=9", "limit packets_in=1"]
_FAULTS = st.builds(
    "{} {} device=evil".format,
    st.sampled_from(points_of(IN) + points_of(OUT)),
    st.sampled_from(_DO),
)
_BYTES = st.one_of(
    st.sampled_from([PING, subscribe(RESULTS), subscribe("#"), publish("a"), packet(0xE0, b"")]),
    st.sampled_from([publish("$dps/registrations/PUT/iotdps-register/?$rid=1", b"{}")]),
    st.binary(max_size=50),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fault=_FAULTS, data=st.lists(_BYTES, max_size=6))
def test_a_fault_and_hostile_bytes_touch_no_other_connection(
    beset: RunningAzure, fault: str, data: list[bytes]
) -> None:
    try:
        parse_text(fault)
    except BadFault:
        return
    beset.clear_faults()
    beset.add_fault(fault)
    with at_dps(beset, "good") as good:
        with Observer(beset) as evil:
            evil.send(greeting(beset, "evil", "AAAA") + b"".join(data))
            evil.rest(0.01)
        good.send(PING)
        assert good.read() == (0xD0, b"")
    assert not [e for e in beset.log if "unexpected" in e["what"]]
