"""The time server: RFC 4330, and silence for what is not a request."""

import socket
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.running import RunningAzure
from firstlight.emulator.sntp import answer

UNIX_IN_NTP_S = 2_208_988_800
REQUEST = b"\x1b" + b"\0" * 39 + b"originate"[:8]


def test_the_answer_is_the_time_and_echoes_the_request() -> None:
    reply = answer(REQUEST, 1_795_000_000.5)
    assert reply is not None
    assert len(reply) == 48
    assert reply[0] == 0x1C
    assert reply[1] == 1
    assert reply[24:32] == REQUEST[40:48]
    assert struct.unpack("!II", reply[40:48]) == (1_795_000_000 + UNIX_IN_NTP_S, 1 << 31)


def test_the_seconds_wrap_in_2036() -> None:
    reply = answer(REQUEST, 2_085_978_496.0)
    assert reply is not None
    assert reply[40:44] == b"\0\0\0\0"


@pytest.mark.parametrize(
    "request_bytes",
    [b"", REQUEST[:-1], REQUEST + b"x", b"\x1c" + REQUEST[1:], b"\x03" + REQUEST[1:]],
)
def test_what_is_not_a_request_gets_no_answer(request_bytes: bytes) -> None:
    assert answer(request_bytes, 0.0) is None


@given(st.binary(max_size=100))
def test_an_answer_is_never_longer_than_its_request(raw: bytes) -> None:
    assert len(answer(raw, 1_795_000_000.0) or b"") <= len(raw)


def test_the_server_answers_on_udp_and_outlives_garbage(azure: RunningAzure) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(b"garbage", (azure.host, azure.sntp_port))
        client.sendto(REQUEST, (azure.host, azure.sntp_port))
        reply = client.recv(100)
    told_at = struct.unpack("!I", reply[40:44])[0] - UNIX_IN_NTP_S
    assert abs(told_at - time.time()) < 5
