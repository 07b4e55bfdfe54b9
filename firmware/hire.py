"""app.py is taken on: loaded, asked what it wants, and given an outbox. Done once, and let go.

Never lets its faults out: a board with a broken app.py keeps its hub, and says what is wrong.
"""

from outbox import Outbox
from work import Work

TYPE_CHECKING = 0
if TYPE_CHECKING:
    from typing import Any

    from device import Device

_MOST = 16  # messages that wait, where app.py does not say


def run(device: "Device") -> None:
    """Make device.work, and device.outbox with what a reset left of it."""
    app: Any = None
    fault: Any = None
    interval_ms = 60000
    try:
        import app

        # Half of the ticks' period, 6.2 days, is the longest that can be counted.
        interval_ms = max(100, min(int(float(app.INTERVAL_S) * 1000), 500000000))
        if not callable(app.sample):
            raise TypeError("sample is no function")
    except (Exception, SystemExit) as e:  # the user's file: whatever it does
        app, fault = None, e
    work = Work(device, app, interval_ms)
    work.fault = fault
    if fault:
        work.failed("app.py cannot be used", fault)
    most = getattr(app, "OUTBOX", _MOST)
    most = most if type(most) is int and 1 <= most <= 256 else _MOST
    name = "".join(["%02x" % b for b in device.board.entropy(4)])
    device.outbox = Outbox(name, most, device.board)
    device.outbox.saves = bool(getattr(app, "KEEP", False))
    device.outbox.dropped = max(device.outbox.dropped, device.dropped)
    device.work, device.lean = work, False
    work.call("start", work)
