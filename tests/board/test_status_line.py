"""The status line as a board prints it, read by the PC: it is MicroPython's JSON."""

import pytest

from firstlight import layout
from firstlight.repl import Repl
from firstlight.statusline import Status, parse


@pytest.fixture
def told(repl: Repl) -> Repl:
    """A board that has status.py, and not so much else."""
    top = layout.firmware_folder()
    for name in ("status.py", "aziot/__init__.py", "aziot/_const.py"):
        repl.write_file("/" + name, (top / name).read_bytes())
    return repl


def test_what_a_board_prints_is_read_whole(told: Repl) -> None:
    facts = {
        "up_s": 31536000,
        "step": "hub",
        "wait_s": 0,
        "error": 'ServiceError 401 "DPS"',
        "hub": "h.azure-devices.net",
        "queued": 0,
        "dropped": 2,
        "sent": 525600,
        "free": 40000,
        "reset": "watchdog",
    }
    printed = told.exec(f"import status\nprint(status.line({facts!r}))").decode()
    assert parse(printed) == Status(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["\r\n@firstlight {}", "\u00fc\u2028", '"\\' * 300, "\x1b[2J"])
def test_what_a_service_says_does_not_break_the_line(told: Repl, text: str) -> None:
    code = f"import status\nprint(status.line({{'up_s': 1, 'error': {text!r}}}))"
    printed = told.exec(code).decode()
    assert printed.count("\n") == 1
    found = parse(printed)
    assert found is not None
    assert found.up_s == 1
