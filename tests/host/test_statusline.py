"""The status line: what the board's own code prints is read whole, and nothing else is."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

import status
from firstlight.statusline import Status, parse

WHOLE = Status(3661, "hub", 5, "OSError 110", "h.azure-devices.net", 3, 1, 60, 41234, "watchdog")
NUMBERS = st.integers(0, (1 << 53) - 1)
PLAIN = string.ascii_letters + string.digits + ' .,:;-_"\\/()'
TEXTS = st.text(PLAIN, min_size=1, max_size=120)


def test_what_a_board_prints_is_read_whole() -> None:
    for end in ("", "\n", "\r\n"):
        assert parse(status.line(vars(WHOLE)) + end) == WHOLE


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("up_s", "wait_s", "queued", "dropped", "sent", "free"), NUMBERS),
            **dict.fromkeys(("step", "error", "hub", "reset"), TEXTS),
        },
    )
)
def test_whatever_the_facts_the_two_agree(facts: dict[str, int | str]) -> None:
    line = status.line(facts)
    found = parse(line)
    assert len(line) <= 512
    assert found is not None
    told = {name: value for name, value in vars(found).items() if value is not None}
    assert told.items() <= facts.items()
    assert told == facts or sum(len(str(value)) for value in facts.values()) > 300


@given(st.text())
def test_any_text_is_read_without_a_fault(text: str) -> None:
    parse(text)
    parse("@firstlight " + text)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "@firstlight",
        "@firstlight ",
        "@firstlight []",
        "@firstlight 5",
        "@firstlight null",
        '@firstlight {"up_s": 1',
        ' @firstlight {"up_s": 1}',
        '    61 ms  hub    sent 44 bytes @firstlight {"up_s": 1}',
        '@firstlight {"up_s": -1}',
        '@firstlight {"up_s": 1.5}',
        '@firstlight {"up_s": true}',
        '@firstlight {"up_s": "1"}',
        '@firstlight {"up_s": null}',
        '@firstlight {"up_s": NaN}',
        '@firstlight {"up_s": 9007199254740992}',
        '@firstlight {"step": 4}',
        '@firstlight {"step": ""}',
        '@firstlight {"hub": ["h"]}',
        '@firstlight {"hub": "h\\u001b[2J"}',
        '@firstlight {"hub": "h\\n"}',
        '@firstlight {"hub": "\\u00fc"}',
        '@firstlight {"hub": "ü"}',
        '@firstlight {"hub": "\x1b"}',
        '@firstlight {"up_s": 1}{"up_s": 2}',
        '@firstlight {"up_s": 1, "error": "' + "x" * 512 + '"}',
        "@firstlight " + "[" * 400,
    ],
)
def test_what_no_board_says_is_not_a_status(line: str) -> None:
    assert parse(line) is None


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_board_that_says_odd_things_is_still_understood(error: str, hub: str) -> None:
    found = parse(status.line({"up_s": 1, "error": error, "hub": hub}))
    assert found is not None
    assert found.up_s == 1


def test_a_field_of_a_later_version_is_passed_over() -> None:
    line = "@firstlight " + json.dumps({"up_s": 1, "signal": {"rssi": -50}})
    assert parse(line) == Status(up_s=1)
