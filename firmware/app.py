"""Your part of the board: what it measures, and how often. The one file here to edit.

Never blocks for long: while sample() runs, the connection to the hub has to wait.
"""

import gc
import time

INTERVAL_S = 60


def sample() -> dict:
    """Return one message, as a dict that JSON can hold."""
    return {"uptime_s": time.ticks_ms() // 1000, "free_bytes": gc.mem_free()}
