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


def reset(device: "Device") -> None:
    """Save, and begin anew: a wedged driver needs that, when nothing has answered for hours."""
    _save(device)
    device.say("leave", "nothing answers: reset")
    device.call("notes", "note", device.board, "reset", None, True)
    device.board.reset()


def sleep(device: "Device", sleep_ms: int) -> None:
    """Save, and sleep deeply for sleep_ms; the board wakes as after a reset."""
    sleep_ms = max(_LEAST_MS, sleep_ms)
    _save(device, {"plan": device.plan, "up_s": device.up_s + sleep_ms // 1000})
    device.phase = "sleep"
    device.clock.sleep_ms(_DARK_MS)  # the LED's
    device.say("leave", "deep sleep for %d s" % (sleep_ms // 1000))
    device.call("notes", "note", device.board, "sleep", None, True)
    device.board.deep_sleep(sleep_ms, device.nic)


def fault(device: "Device", error: Exception) -> None:
    """Tell of a bug, and reset in a while: not so fast that it hides what else happens."""
    wait_s = int(30 * (1 + device.board.jitter()))
    device.phase = "fault"
    device.clock.promise(2000 * wait_s)
    sys.print_exception(error)
    device.say("fault", "this is a bug; reset in %d s" % wait_s)
    device.call("notes", "note", device.board, "fault", error, True)
    _save(device)
    device.clock.sleep_ms(1000 * wait_s)
    device.board.reset()


def _save(device: "Device", plan: dict | None = None) -> None:
    try:
        if device.work:
            device.outbox.spill(device.board)
        if plan:
            device.board.save("plan", record.pack(plan))
    except OSError as e:  # full, or worn
        device.say("leave", "not all is saved: %s" % e)
