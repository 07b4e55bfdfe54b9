"""The status LED on a board: what the pin does is what the alphabet says."""

from itertools import pairwise

from firstlight import virtual
from firstlight.boardlog import everything
from firstlight.repl import Repl

from .test_watchdog import boot

MAIN = """\
import led
lights = [board.light(pin) for pin in %r]
state = led.HUB
def show(ms):
    for light in lights:
        light(led.lit(state, ms))
clock = WatchedClock(board.clock, board.watchdog(5000), show)
clock.sleep_ms(%d)
state = led.STEADY
clock.sleep_ms(60)
print('steady')
state = led.DARK
clock.sleep_ms(60)
print('done')
"""


def edges(board: virtual.VirtualBoard, pin: int = 2) -> list[tuple[int, int]]:
    """When a pin went where: (ms, level), in order."""
    rows = [line.split() for line in everything(board.folder, "pins").splitlines()]
    return [(int(at), int(level)) for at, which, level in rows if int(which) == pin]


def widths(found: list[tuple[int, int]], level: int) -> list[int]:
    """For how many ms the pin was at level, each time but the last."""
    return [after - at for (at, to), (after, _) in pairwise(found) if to == level]


def test_the_led_flashes_the_step_that_a_board_is_at(powered: virtual.VirtualBoard) -> None:
    boot(powered, MAIN % ([2, ~4], 4400))
    powered.read_console_until("done", 15)
    powered.read_console_until(">>>", 10)
    for pin, on in ((2, 1), (4, 0)):
        found = edges(powered, pin)
        flashes = [ms for ms in widths(found, on) if 150 <= ms <= 400]
        assert len(flashes) >= 3
        assert max(widths(found, 1 - on)) >= 900  # the pause that ends the word
        assert found[-1][1] == 1 - on


def test_a_board_without_that_pin_goes_on_without_a_led(powered: virtual.VirtualBoard) -> None:
    boot(powered, MAIN % (["LED"], 400))
    powered.read_console_until("done", 15)
    assert edges(powered) == []


def test_a_pin_keeps_its_level_and_its_log_starts_with_the_power(
    powered: virtual.VirtualBoard,
) -> None:
    with Repl(powered.port or "") as repl:
        repl.exec("from machine import Pin\np = Pin(2, Pin.OUT, value=1)\np(1)\np.off()\np.on()")
        assert repl.exec("print(p.value())").strip() == b"1"
    assert [level for _, level in edges(powered)] == [1, 0, 1]
    powered.power_off()
    with powered:
        assert edges(powered) == []
