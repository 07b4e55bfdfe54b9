"""A client's frames, followed: which have a mask, and whether a message has ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.http.frames import Frames
from tests.emulator.http.framing import BINARY, PING, frame

SIZES = st.sampled_from([0, 1, 125, 126, 1000, 65_535, 65_536])


@given(st.lists(SIZES, min_size=1, max_size=4), st.lists(st.integers(1, 70_000), max_size=20))
def test_messages_are_counted_whatever_their_cut(sizes: list[int], cuts: list[int]) -> None:
    data = b"".join(frame(bytes(size)) for size in sizes)
    frames, at = Frames(), 0
    for cut in [*cuts, len(data)]:
        assert frames.feed(data[at : at + cut])
        at += cut
    assert (frames.ended, frames.is_midway) == (len(sizes), False)


@pytest.mark.parametrize("size", [1, 126, 65_536])
def test_half_a_frame_is_midway_from_its_first_byte_to_its_last(size: int) -> None:
    frames = Frames()
    data = frame(bytes(size))
    for i in range(len(data) - 1):
        assert frames.feed(data[i : i + 1])
        assert frames.is_midway
    assert frames.feed(data[-1:])
    assert (frames.ended, frames.is_midway) == (1, False)


def test_a_message_in_fragments_ends_with_its_last_and_with_no_control_frame() -> None:
    frames = Frames()
    for data in (frame(b"a", is_last=False), frame(b"b", 0, is_last=False), frame(b"?", PING)):
        assert frames.feed(data)
        assert (frames.ended, frames.is_midway) == (0, True)
    assert frames.feed(frame(b"", 0))
    assert (frames.ended, frames.is_midway) == (1, False)


@pytest.mark.parametrize("opcode", [0, BINARY, PING])
@pytest.mark.parametrize("length", [0, 125, 126, 127])
def test_a_frame_without_a_mask_is_seen_by_its_second_byte(opcode: int, length: int) -> None:
    frames = Frames()
    assert frames.feed(frame(b"good") + bytes([0x80 | opcode]))
    assert not frames.feed(bytes([length]))
    assert not frames.feed(bytes(20))


@given(st.binary(max_size=100))
def test_whatever_comes_is_followed(data: bytes) -> None:
    Frames().feed(data)
