"""A board that hangs, sleeps, or is worked on: the whole firmware, and what the hub hears of it.

The board's waits, and with them its watchdog's minute, pass 30 times faster.
"""

import time
from typing import Any

from firstlight.boardlog import everything
from firstlight.emulator.running import RunningAzure
from firstlight.repl import Repl
from firstlight.statusline import Status, parse
from tests.e2e.bench import APP, NAME, Bench

SPEED = 30
SLOW = APP.replace(b"INTERVAL_S = 1", b"INTERVAL_S = 30")
HANGS = b"import time\n" + SLOW.replace(
    b"    return", b"    while count == 2: time.sleep(1)\n    return"
)
SLEEPS = SLOW + b"SLEEP = True\n"
_LOOK_S = 20.0


def started(bench: Bench, app: bytes, **changes: Any) -> Bench:
    """The board with that app.py, switched on."""
    bench.give(bench.document(bench.group_key()[1], **changes), app)
    bench.tune(speed=SPEED)
    bench.board.power_on()
    return bench


def reported(azure: RunningAzure, name: str, value: object) -> dict[str, Any]:
    """Wait until the board has reported that property of its component; return all of them."""
    end = time.monotonic() + _LOOK_S
    while time.monotonic() < end:
        found: dict[str, Any] = azure.device(NAME).twin()["properties"]["reported"]
        if found.get("firstlight", {}).get(name) == value:
            return dict(found["firstlight"])
    raise AssertionError(f"no report of {name}: {value!r}, but {found}")


def statuses(bench: Bench) -> list[Status]:
    found = [parse(line) for line in bench.board.console.decode().splitlines()]
    return [one for one in found if one]


def test_a_hang_in_app_py_ends_in_a_bite_that_the_hub_hears_of(
    azure: RunningAzure, bench: Bench
) -> None:
    started(bench, HANGS)
    azure.wait_for_telemetry(1, NAME, _LOOK_S)
    found = reported(azure, "reset", "watchdog")
    assert found["phase"] == "serve"
    assert found["boots"] >= 2
    assert statuses(bench)[0].reset == "power on"
    assert statuses(bench)[-1].reset == "watchdog"


def test_a_running_board_can_be_worked_on_and_gets_back_to_work(
    azure: RunningAzure, bench: Bench
) -> None:
    started(bench, APP)
    azure.wait_for_telemetry(1, NAME, _LOOK_S)
    running = bench.board.interpreter_pid
    with Repl(bench.board.port or "") as repl:
        busy_until_s = time.monotonic() + 2 * 60 / SPEED  # twice what the watchdog grants
        while time.monotonic() < busy_until_s:
            assert repl.exec("print(6 * 7)").strip() == b"42"
        assert bench.board.interpreter_pid == running
        repl.reset()
    count = len(azure.telemetry(NAME))
    azure.wait_for_telemetry(count + 1, NAME, _LOOK_S)
    assert reported(azure, "reset", "hard reset")["boots"] == 2


def test_a_board_sleeps_between_its_samples(azure: RunningAzure, bench: Bench) -> None:
    started(bench, SLEEPS)
    azure.wait_for_telemetry(3, NAME, _LOOK_S)
    found = reported(azure, "reset", "deep sleep")
    assert found["phase"] == "sleep"
    assert found["boots"] >= 2


def test_the_led_is_steady_once_the_hub_has_acknowledged(
    azure: RunningAzure, bench: Bench
) -> None:
    started(bench, APP, led=2)
    azure.wait_for_telemetry(3, NAME, _LOOK_S)
    edges = everything(bench.board.folder, "pins").splitlines()
    assert edges[-1].endswith(b" 2 1")
