"""What a board runs when it wakes: the parts put together, and nothing else.

A board without an identity stops here, at its REPL, for `firstlight inject`. A fault that nothing
else caught ends in a reset: never in a dead board.
"""

import gc
import sys
import time

gc.threshold(1024)  # what follows loads dense: a TLS session wants its memory in few pieces

import board  # noqa: E402
from aziot.errors import IdentityError  # noqa: E402
from device import Device, let_go  # noqa: E402

_last_ms = time.ticks_ms()


def say(step: str, text: str) -> None:
    """Print one line: the milliseconds since the last one, which step, what happened."""
    global _last_ms
    now_ms = time.ticks_ms()
    print("%8d ms  %-6s %s" % (time.ticks_diff(now_ms, _last_ms), step, text))
    _last_ms = now_ms


def live() -> None:
    """Live this board's life; return only if it has no identity."""
    try:
        parts = __import__("wake").run(board)
    except IdentityError as e:
        say("id", "no identity (%s); give it one: firstlight inject" % e)
        return
    let_go("wake")
    say("id", parts[0]["registration_id"])
    device = Device(parts[0], parts[1], parts[2], board, say)
    while True:
        wait_s = device.step()
        gc.collect()
        time.sleep_ms(int(wait_s * 1000))


try:
    live()
except Exception as e:
    sys.print_exception(e)
    wait_s = int(30 * (1 + board.jitter()))
    say("fault", "this is a bug; reset in %d s" % wait_s)
    time.sleep(wait_s)
    board.reset()
