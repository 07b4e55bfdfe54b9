"""What a board runs when it wakes: the parts put together, and nothing else.

A board without an identity stops here, at its REPL, for `firstlight inject`; so does one that is
interrupted. A fault that nothing else caught ends in a reset: never in a dead board.
"""

import gc
import sys
import time

from micropython import kbd_intr

gc.threshold(1024)  # what follows loads dense: a TLS session wants its memory in few pieces

import board  # noqa: E402
from aziot.errors import IdentityError  # noqa: E402
from device import let_go  # noqa: E402

_AT_WORK_MS = 3600000
_last_ms = time.ticks_ms()


def say(step: str, text: object) -> None:
    """Print a line: the milliseconds since the last one, which step, what happened; or text."""
    global _last_ms
    now_ms = time.ticks_ms()
    print("%8d ms  %-6s %s" % (time.ticks_diff(now_ms, _last_ms), step, text) if step else text)
    _last_ms = now_ms


try:
    try:
        device = __import__("wake").run(board, time, say)
        let_go("wake")
        device.live()
    except IdentityError as e:
        say("id", "no identity (%s); give it one: firstlight inject" % e)
    except Exception as e:
        sys.print_exception(e)
        say("fault", "this is a bug; reset in 30 s")
        time.sleep(30)
        board.reset()
except KeyboardInterrupt:
    kbd_intr(-1)  # a second one must not come between
    board.watchdog(_AT_WORK_MS)  # somebody sits at the REPL
    kbd_intr(3)
    raise
