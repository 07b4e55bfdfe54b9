"""What an operator sees and hears, and what a log gets where there is no terminal."""

import io
import re
from dataclasses import dataclass, replace

import pytest
from rich.console import Console

from firstlight.line.rows import Row
from firstlight.line.screen import Screen

AT_WORK = Row("1-1.1", "RPI_PICO_W", "", "flash", 0.5, "working", "firmware.uf2")
PASSED = Row("1-1.2", "RPI_PICO_W", "rp2040-e6614104f1000001", "label", None, "passed", "")
ADVICE = "unplug it, check the cable, plug it in again"
FAILED = Row("1-1.3", "ESP32_GENERIC", "esp32-240ac4f10002", "inject", None, "failed", ADVICE)
GONE = replace(FAILED, seat="1-1.4", state="gone", message="pulled out: plug it in again")
GREEN, RED, YELLOW = ";42m", ";41m", ";43m"


@dataclass(frozen=True)
class Ended:
    seat: str
    name: str
    state: str
    advice: str = ""
    cause: str = ""


def on_terminal(width: int = 80, height: int = 24) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    console = Console(
        file=file,
        force_terminal=True,
        width=width,
        height=height,
        color_system="standard",
        _environ={"TERM": "xterm"},
    )
    return console, file


def to_file() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=False, width=80, _environ={}), file


def drawn(*rows: Row, width: int = 80, height: int = 24) -> list[str]:
    """The lines of the last drawing, with their colours."""
    console, file = on_terminal(width, height)
    screen = Screen(console, "a line", bell=False)
    with screen:
        screen.show(rows)
    return file.getvalue().rpartition("\x1b[2K")[2].splitlines()


def bare(text: str) -> str:
    return re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", text)


def line_of(lines: list[str], text: str) -> str:
    return next(line for line in lines if text in bare(line))


def test_a_unit_is_seen_from_two_metres_by_the_colour_of_its_whole_row() -> None:
    lines = drawn(AT_WORK, PASSED, FAILED, GONE)
    for seat, word, colour in (
        ("1-1.2", "PASS", GREEN),
        ("1-1.3", "FAIL", RED),
        ("1-1.4", "GONE", YELLOW),
    ):
        line = line_of(lines, seat)
        assert word in bare(line)
        coloured = "".join(re.findall(f"\x1b\\[[0-9;]*{colour}([^\x1b]*)", line))
        assert len(coloured) == 80
    assert not re.search("4[0-9]m", line_of(lines, "1-1.1"))


def test_a_failed_units_row_says_whole_what_to_do_next_at_any_width() -> None:
    for width in (30, 60, 80, 120):
        lines = [bare(line) for line in drawn(FAILED, width=width)]
        assert all(len(line) <= width for line in lines)
        column = "".join(line[lines[1].index("unplug") :] for line in lines[1:])
        assert column.replace(" ", "") == ADVICE.replace(" ", "")
        assert any("FAIL" in line for line in lines)


def test_more_units_than_lines_show_those_that_need_a_hand() -> None:
    rows = [replace(PASSED, seat=f"2-{number}") for number in range(40)]
    text = bare("\n".join(drawn(*rows[:20], FAILED, *rows[20:], AT_WORK, height=10)))
    assert "1-1.3" in text
    assert "1-1.1" in text
    assert "and 35 more" in text


def rings(*rows: Row, times: int) -> int:
    console, file = on_terminal()
    with Screen(console, "a line", bell=True) as screen:
        for _ in range(times):
            screen.show(rows)
            assert file.getvalue().count("\a") <= 4
    return file.getvalue().count("\a")


def test_the_bell_rings_once_for_one_that_passed_and_three_times_for_one_that_failed() -> None:
    assert rings(AT_WORK, times=3) == 0
    assert rings(PASSED, times=6) == 1
    assert rings(FAILED, times=6) == 3
    assert rings(PASSED, FAILED, times=1) == 4


def test_the_next_unit_at_a_seat_rings_again() -> None:
    console, file = on_terminal()
    with Screen(console, "a line", bell=True) as screen:
        for rows in ([PASSED], [], [PASSED]):
            screen.show(rows)
    assert file.getvalue().count("\a") == 2


def test_a_bell_that_is_switched_off_never_rings() -> None:
    console, file = on_terminal()
    with Screen(console, "a line", bell=False) as screen:
        screen.show([FAILED])
    assert "\a" not in file.getvalue()


def test_without_a_terminal_there_is_a_line_for_each_change_and_no_colour() -> None:
    console, file = to_file()
    with Screen(console, "a line", bell=True) as screen:
        for progress in (0.1, 0.2, 0.3):
            screen.show([replace(AT_WORK, progress=progress), PASSED])
        screen.say("no new units")
        screen.show([replace(AT_WORK, state="failed", message=ADVICE * 3), PASSED])
    assert file.getvalue().splitlines() == [
        "a line",
        "1-1.1  RPI_PICO_W  flash",
        "1-1.2  RPI_PICO_W  rp2040-e6614104f1000001  PASS",
        "no new units",
        f"1-1.1  RPI_PICO_W  FAIL: {ADVICE * 3}",
    ]


@pytest.mark.parametrize(
    "text", ["\x1b[2J\a\rx", "[red]x[/red]", "a\nb", "\x9b31m", "\u202e", "字" * 300]
)
def test_what_a_board_says_neither_steers_the_terminal_nor_is_markup(text: str) -> None:
    row = Row(text, text, text, text, None, "working", text)
    shown = []
    for console, file in (on_terminal(), to_file()):
        with Screen(console, "a line", bell=True) as screen:
            screen.say(text)
            screen.show([row, replace(row, seat="2", state="failed")])
        screen.summary([Ended(text, text, "failed", text, text)], [1.0])
        shown.append(file.getvalue())
    for foreign in ("\x1b[2J", "\rx", "\x9b", "\u202e", "a\nb"):
        assert foreign not in "".join(shown)
    assert shown[0].count("\a") == 3
    assert "\x1b" not in shown[1]
    if "red" in text:
        assert all(text in bare(one) for one in shown)


def test_what_is_said_stands_above_the_rows_or_alone() -> None:
    console, file = on_terminal()
    screen = Screen(console, "a line", bell=False)
    screen.say("before")
    assert "before" in file.getvalue()
    with screen:
        screen.show([AT_WORK])
        screen.say("within")
    lines = [bare(line) for line in file.getvalue().rpartition("within")[2].splitlines()]
    assert any("1-1.1" in line for line in lines)


def test_the_summary_counts_and_says_why() -> None:
    results = [
        Ended("1", "esp32-1", "passed"),
        Ended("2", "esp32-2", "failed", ADVICE, "no telemetry"),
        Ended("3", "esp32-3", "re-proved"),
        Ended("4", "esp32-4", "stopped"),
    ]
    for console, file in (on_terminal(), on_terminal(width=40), to_file()):
        Screen(console, "a line", bell=True).summary(results, [2.0, 10.0, 4.0, 0.5])
        text = bare(file.getvalue())
        assert "4 units: 1 passed, 1 failed, 1 re-proved, 1 stopped, 0 skipped" in text
        assert "no telemetry" in text
        assert "seconds per unit: 3.0 in the middle, 10.0 at most" in text


def test_the_summary_of_a_long_day_lists_only_what_went_wrong() -> None:
    results = [Ended(f"{n}", f"esp32-{n}", "passed") for n in range(500)]
    results[7] = Ended("7", "esp32-7", "failed", ADVICE, "no telemetry")
    console, file = to_file()
    Screen(console, "a line", bell=True).summary(results, [1.0] * 500)
    lines = file.getvalue().splitlines()
    assert lines[0] == "7  esp32-7  failed in 1.0 s: no telemetry"
    assert lines[1].startswith("500 units: 499 passed, 1 failed")
