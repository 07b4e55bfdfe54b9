"""What the interpreter prints, made into what a port shows: the same however it is cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.bootstream import MARK, BootStream, LineEnds

RAW = b"raw REPL; CTRL-B to exit\r\n"
BANNER = b'MicroPython on 2026; linux\r\nType "help()" for more information.\r\n>>> '


def shown(stream: BootStream, printed: bytes, cuts: list[int]) -> bytes:
    places = [0, *sorted(cut % (len(printed) + 1) for cut in cuts), len(printed)]
    pieces = (printed[a:b] for a, b in pairwise(places))
    return b"".join(stream.feed(piece) for piece in pieces)


@given(st.lists(st.integers(0, 400)))
def test_a_friendly_boot_shows_all_but_the_mark(cuts: list[int]) -> None:
    stream = BootStream(raw=False)
    printed = b"boot\x1b[0m\n" + MARK + BANNER + b"\x1b_x"
    assert shown(stream, printed, cuts) == b"boot\x1b[0m\n" + BANNER + b"\x1b_x"
    assert (stream.raw, stream.live, stream.enter_raw) == (False, True, False)


@given(st.lists(st.integers(0, 400)))
def test_a_soft_reset_in_the_raw_repl_goes_back_to_it(cuts: list[int]) -> None:
    stream = BootStream(raw=True)
    printed = b"boot\n" + MARK + BANNER + b"\r\n" + RAW + b">OK1"
    assert shown(stream, printed, cuts) == b"boot\n" + RAW + b">OK1"
    assert (stream.raw, stream.live, stream.enter_raw) == (True, True, True)


def test_nothing_typed_may_fall_between_the_two_repls() -> None:
    stream, settled = BootStream(raw=True), []
    for printed in (b"boot", MARK, BANNER, RAW + b">"):
        stream.feed(printed)
        settled.append(stream.settled)
    assert settled == [True, False, False, True]


@pytest.mark.parametrize("cut", range(len(RAW)))
def test_the_banners_tell_which_repl_is_on(cut: int) -> None:
    stream = BootStream(raw=False)
    stream.feed(MARK + BANNER)
    stream.feed(RAW[:cut])
    stream.feed(RAW[cut:])
    assert stream.raw
    stream.feed(b"x" * 500 + BANNER)
    assert not stream.raw


@given(st.binary().filter(lambda b: b"\x18" not in b and b"\r" not in b), st.lists(st.integers(0)))
def test_each_line_end_becomes_a_boards(text: bytes, cuts: list[int]) -> None:
    ends = LineEnds()
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    cooked = b"".join(ends.feed(text[a:b]) for a, b in pairwise(places))
    assert cooked == text.replace(b"\n", b"\r\n")


def test_a_line_end_that_is_a_boards_already_stays() -> None:
    ends = LineEnds()
    assert [ends.feed(b) for b in (b"a\r", b"\nb\r\n", b"\n")] == [b"a\r", b"\nb\r\n", b"\r\n"]


def test_binary_of_mpremotes_mount_is_left_alone() -> None:
    ends = LineEnds()
    assert ends.feed(b"\x18\x02\n") == b"\x18\x02\n"
    assert ends.feed(b"\n") == b"\n"
