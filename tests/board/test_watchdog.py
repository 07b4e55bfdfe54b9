"""The watchdog on a board: what hangs is bitten, what gets on is not, and the story is told after.

Real MicroPython on virtual boards: the bridge holds the timer, as hardware would.
"""

import pytest

from firstlight import inject, layout, stage, virtual
from firstlight.repl import Repl

from .test_inject import FILES, document

MODULES = ("board", "power", "nvsstore", "watchdog", "notes", "led")
PACKAGE = ("__init__", "_const", "errors", "record")
HEAD = """\
import board, notes, time
from watchdog import WatchedClock
print('story', sorted(notes.story(board).items()))
clock = WatchedClock(board.clock, board.watchdog(400))
"""


def boot(board: virtual.VirtualBoard, main: str) -> None:
    """Start main.py with the firmware's watchdog, from cold."""
    top = layout.firmware_folder()
    with Repl(board.port or "") as repl:
        for path in [f"{name}.py" for name in MODULES] + [f"aziot/{name}.py" for name in PACKAGE]:
            compiled = stage.compiled((top / path).read_bytes(), path[:-3].rpartition("/")[2])
            repl.write_file("/" + path[:-3] + ".mpy", compiled)
        repl.write_file("/main.py", (HEAD + main).encode())
    board.power_off()
    board.power_on()


@pytest.mark.parametrize(
    "hang",
    [
        "while True: pass",
        "while True: clock.ticks_ms()",
        "while True: clock.sleep_ms(20)",
        "time.sleep(60)",
        "import select\nselect.poll().poll(60000)",
    ],
    ids=["loops", "looks", "sleeps in slices", "sleeps in C", "polls in C"],
)
def test_what_hangs_is_bitten_and_its_phase_is_known(
    powered: virtual.VirtualBoard, hang: str
) -> None:
    main = f"notes.note(board, 'serve', OSError(110))\nclock.promise(300)\nprint('hangs')\n{hang}"
    boot(powered, main)
    first = powered.read_console_until("hangs", 10)
    assert b"story [('boots', 1), ('reset', 'power on')]" in first
    told = powered.read_console_until("hangs", 10)
    assert b"('boots', 2), ('error', 'OSError 110'), ('phase', 'serve')" in told
    assert b"('reset', 'watchdog')" in told


def test_a_board_that_gets_on_is_never_bitten(powered: virtual.VirtualBoard) -> None:
    main = """\
for n in range(12):
    clock.promise(300)
    clock.sleep_ms(150)
    print('step', n)
"""
    boot(powered, main)
    shown = powered.read_console_until("step 11", 15)
    assert shown.count(b"story") == 1


def test_a_reset_on_purpose_and_a_fault_are_told_apart(powered: virtual.VirtualBoard) -> None:
    main = """\
if board.reset_cause() == 'power on':
    try:
        {}['secret']
    except Exception as e:
        notes.note(board, 'reset', e, True)
    board.reset()
"""
    boot(powered, main)
    powered.read_console_until("('error', 'KeyError'), ('phase', 'reset')", 10)
    powered.read_console_until("('reset', 'hard reset')", 10)


STOPPABLE = """\
try:
    while True:
        clock.promise(300)
        clock.sleep_ms(50)
        print('alive')
except KeyboardInterrupt:
    %s
"""


def test_an_injection_into_a_running_board_is_not_bitten(powered: virtual.VirtualBoard) -> None:
    boot(powered, STOPPABLE % "board.watchdog(3600000)")
    powered.read_console_until("alive", 10)
    running = powered.interpreter_pid
    with Repl(powered.port or "") as repl:
        inject.inject(repl, document(), FILES, lambda _: None)
    assert powered.interpreter_pid == running


def test_a_board_that_is_forgotten_at_its_repl_comes_to_life_again(
    powered: virtual.VirtualBoard,
) -> None:
    boot(powered, STOPPABLE % "board.watchdog(1000)")
    powered.read_console_until("alive", 10)
    with Repl(powered.port or "") as repl:
        repl.exec("forgotten = True")
    powered.read_console_until("('reset', 'watchdog')", 10)
    powered.read_console_until("alive", 10)


def test_the_modules_of_a_call_are_let_go(powered: virtual.VirtualBoard) -> None:
    boot(powered, "import sys\nprint('loaded', sorted(n for n in sys.modules if 'power' in n))")
    powered.read_console_until("loaded []", 10)
