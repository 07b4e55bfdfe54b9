"""power on RP2 boards: beside a watchdog that counts to 8.3 s and bites in a sleep (#17228)."""

from collections.abc import Callable
from typing import Any

import pytest

Probe = Callable[[str, dict[str, Any]], Any]


def ask(on_micropython: Probe, case: str) -> Any:
    return on_micropython("pico_probe.py", {"case": case})


def test_a_wait_in_c_that_outlasts_the_hardware_is_survived(on_micropython: Probe) -> None:
    assert ask(on_micropython, "gets on") == 3600000


@pytest.mark.parametrize(("case", "least", "most"), [("spins", 60, 71), ("hangs", 7, 10)])
def test_what_does_not_feed_is_bitten(
    on_micropython: Probe, case: str, least: int, most: int
) -> None:
    assert least * 1000 <= ask(on_micropython, case) <= most * 1000


def test_a_board_at_its_repl_is_let_be_for_an_hour(on_micropython: Probe) -> None:
    assert 3600000 <= ask(on_micropython, "hold") <= 3611000


def test_a_sleep_is_made_of_naps_and_ends_in_a_reset(on_micropython: Probe) -> None:
    slept_ms, longest_ms, radio_on = ask(on_micropython, "sleep")
    assert 600000 <= slept_ms <= 604000
    assert longest_ms <= 8388 // 2
    assert radio_on is False


def test_notes_go_to_a_file_and_only_the_last_word(on_micropython: Probe) -> None:
    assert ask(on_micropython, "remember") == ["reset", None, None, "the end"]
