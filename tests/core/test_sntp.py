"""sntp.py: an answer is taken only if it is whole, ours and plausible (RFC 4330 section 5)."""

import struct

import sntp
from aziot.errors import ProtocolError
from tests.core.expect import raises

NONCE = b"12345678"
AT = 1790000000  # in September 2026


def answer(at=AT, head=0x24, stratum=2, nonce=NONCE, size=48):
    seconds = (at + 2208988800) % 2**32
    raw = bytes([head, stratum]) + bytes(22) + nonce + bytes(8) + struct.pack("!II", seconds, 0)
    return raw[:size]


def test_an_answer_to_our_nonce_is_the_time():
    assert sntp.parse(answer(), NONCE) == AT


def test_a_server_is_near_a_clock_or_far():
    for stratum in (1, 15):
        assert sntp.parse(answer(stratum=stratum), NONCE) == AT


def test_the_time_goes_on_past_2036_and_2038():
    for at in (2085978495, 2085978497, 2147483648, 3000000000):
        assert sntp.parse(answer(at), NONCE) == at


def test_what_is_not_an_answer_of_a_server_with_the_time_is_refused():
    for raw in (
        b"",
        answer(size=47),
        answer(nonce=b"87654321"),
        answer(head=0x23),
        answer(head=0xE4),
        answer(stratum=0),
        answer(stratum=16),
        answer(at=1600000000),
        answer(at=3100000000),
        answer(at=-2208988800),
    ):
        raises(ProtocolError, sntp.parse, raw, NONCE)
