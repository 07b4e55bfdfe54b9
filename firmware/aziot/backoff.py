"""How long to wait before trying again: exponential, capped, jittered.

A pure function. The caller passes the randomness; nothing here reads a clock or sleeps.
"""


def delay_s(attempt: int, jitter: float, floor_s: int = 10, cap_s: int = 300) -> float:
    """Return the seconds to wait after try number attempt (from 0) has failed.

    jitter is the caller's random number, 0 <= jitter < 1: the wait lies between half of and the
    whole of min(cap_s, floor_s * 2**attempt), so that boards that fell together rise apart.
    """
    ceiling_s = min(cap_s, floor_s << min(attempt, 16))
    return ceiling_s * (1 + jitter) / 2
