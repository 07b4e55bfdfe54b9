"""The end of one life of the board: what must survive it is saved, then comes a reset or a sleep.

Never returns. A message that waits is not lost: the outbox is saved whole.
"""

import sys

from aziot import record
from aziot._const import const

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from device import Device

_LEAST_MS = const(1000)
_DARK_MS = const(60)


def reset(device: "Device", why: str, lean: bool = False) -> None:
    """Save, and begin anew: a wedged driver needs that, when nothing has answered for hours.

    lean: go on with the plan as it is, and without app.py until DPS has answered.
    """
    device.lean = lean
    _save(device, device.up_s if lean else None)
    device.say("leave", why + ": reset")
    device.call("notes", "note", device.board, "reset", device.error, True)
    device.board.reset()


def sleep(device: "Device", sleep_ms: int) -> None:
    """Save, and sleep deeply for sleep_ms; the board wakes as after a reset."""
    sleep_ms = max(_LEAST_MS, sleep_ms)
    _save(device, device.up_s + sleep_ms // 1000)
    device.phase = "sleep"
    device.clock.sleep_ms(_DARK_MS)  # the LED's
    device.say("leave", "deep sleep for %d s" % (sleep_ms // 1000))
    device.call("notes", "note", device.board, "sleep", device.error, True)
    device.board.deep_sleep(sleep_ms, device.nic)


def fault(device: "Device", error: Exception) -> None:
    """Tell of a bug, and reset in a while: not so fast that it hides what else happens."""
    wait_s = int(30 * (1 + device.board.jitter()))
    device.phase = "fault"
    device.clock.promise(2000 * wait_s)
    sys.print_exception(error)
    device.say("fault", "this is a bug; reset in %d s" % wait_s)
    _save(device)
    device.call("notes", "note", device.board, "fault", error, True)
    device.clock.sleep_ms(1000 * wait_s)
    device.board.reset()


def _save(device: "Device", up_s: int | None = None) -> None:
    """Save what waits, and how much did not; and the plan, if the next life goes on, at up_s."""
    left: dict = {}
    try:
        if device.work:
            device.outbox.spill(device.board)
            device.dropped = device.outbox.dropped
        if device.dropped:
            left["dropped"] = device.dropped
        if up_s is not None:
            left["plan"], left["up_s"] = device.plan, up_s
        if device.lean:
            left["lean"], left["asked"] = True, device.asked
        if left:
            device.board.save("plan", record.pack(left))
    except (OSError, MemoryError) as e:  # full, or worn
        device.say("leave", "not all is saved: %s" % e)
