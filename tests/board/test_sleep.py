"""Deep sleep, and what outlives it: of the stand-in, and of the board's own functions over it."""

import json
import time

import pytest

from firstlight import layout, virtual
from firstlight.errors import BoardError
from firstlight.repl import Repl

from .conftest import PROMPT

MAIN = b"""\
import machine, time
rtc = machine.RTC()
print('cause', machine.reset_cause(), rtc.memory(), time.gmtime()[0])
if machine.reset_cause() == machine.PWRON_RESET:
    rtc.datetime((2026, 11, 22, 0, 5, 6, 7, 0))
    rtc.memory(b'\\x00kept')
    dog = machine.WDT(timeout=300)
    machine.deepsleep(700)
"""


def boot(board: virtual.VirtualBoard, main: bytes) -> None:
    """Put main.py onto the board, with the firmware's power functions, and start it from cold."""
    with Repl(board.port or "") as repl:
        for name in ("board", "power", "nvsstore", "filestore", "notes"):
            data = (layout.firmware_folder() / f"{name}.py").read_bytes()
            repl.write_file(f"/{name}.py", data)
        for name in ("__init__", "_const", "errors", "record"):
            data = (layout.firmware_folder() / "aziot" / f"{name}.py").read_bytes()
            repl.write_file(f"/aziot/{name}.py", data)
        repl.write_file("/main.py", main)
    board.power_off()
    board.power_on()


def test_a_sleeping_board_wakes_with_its_clock_and_its_memory(
    powered: virtual.VirtualBoard,
) -> None:
    boot(powered, MAIN)
    powered.read_console_until("cause 1 b'' 2000", 10)
    fell_asleep = time.monotonic()
    powered.read_console_until("cause 4 b'\\x00kept' 2026", 10)
    assert time.monotonic() - fell_asleep > 0.6


def test_memory_survives_a_reset_and_a_brownout_but_not_a_power_cut(
    powered: virtual.VirtualBoard,
) -> None:
    with Repl(powered.port or "") as repl:
        repl.exec("import machine\nmachine.RTC().memory(bytes(range(256)) * 8)")
        with pytest.raises(BoardError, match="ValueError"):
            repl.exec("machine.RTC().memory(bytes(2049))")
        repl.reset()
    powered.read_console_until(PROMPT, 10)
    with Repl(powered.port or "") as repl:
        asked = "import machine\nprint(machine.RTC().memory() == bytes(range(256)) * 8)"
        assert repl.exec(asked).strip() == b"True"
    powered.power_off()
    with powered, Repl(powered.port or "") as repl:
        assert repl.exec("import machine\nprint(machine.RTC().memory())").strip() == b"b''"


def test_a_board_asleep_is_deaf_and_can_be_switched_off(powered: virtual.VirtualBoard) -> None:
    boot(powered, b"import machine\nprint('good night')\nmachine.deepsleep()")
    powered.read_console_until("good night", 10)
    while json.loads((powered.folder / "power.json").read_bytes())["interpreter"]:
        pass
    with pytest.raises(BoardError, match="answers"), Repl(powered.port or "", patience_s=0.5):
        pass
    powered.power_off()
    assert powered.port is None


def test_the_firmware_sleeps_with_its_radio_off(powered: virtual.VirtualBoard) -> None:
    main = b"""\
import board, network
print('woken by', board.reset_cause(), board.recall())
if board.reset_cause() == 'power on':
    nic = network.WLAN(network.STA_IF)
    nic.active(True)
    board.remember(b'note', False)
    class Watched:
        def active(self, on):
            print('radio', nic.active(on))
    board.deep_sleep(100, Watched())
"""
    boot(powered, main)
    powered.read_console_until("woken by power on b''", 10)
    powered.read_console_until("radio False", 10)
    powered.read_console_until("woken by deep sleep b'note'", 10)
