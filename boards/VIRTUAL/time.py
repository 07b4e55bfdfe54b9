"""time as on a board: whole seconds, UTC, and a clock that nobody has set at power-on.

Never shows the PC's clocks. Epoch 1970, as on rp2; the clock starts at 2000-01-01, and the ticks
at 0 with each boot: what is made of them comes again.
"""

import _wires
from utime import *  # noqa: F403
from utime import gmtime as _gmtime
from utime import ticks_ms as _host_ticks_ms
from utime import time_ns as _host_time_ns

_born_ms = _host_ticks_ms()


def ticks_ms() -> int:
    return _host_ticks_ms() - _born_ms


if _wires.settings.get("speed", 1) > 1:
    from _fast import (  # noqa: F401
        sleep,
        sleep_ms,
        sleep_us,
        ticks_add,
        ticks_cpu,
        ticks_diff,
        ticks_ms,
        ticks_us,
    )


def time_ns() -> int:
    return _host_time_ns() + _wires.clock[0]


def time() -> int:
    return time_ns() // 1000000000


def gmtime(seconds=None) -> tuple:
    return _gmtime(time() if seconds is None else int(seconds))[:8]


localtime = gmtime
