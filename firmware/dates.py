"""Dates and Unix seconds, by our own arithmetic; and which times can be the present one.

Asks no clock, and knows no epoch but 1970. A port's own gmtime() is of no use here: it counts from
another year on some ports, and ends in 2038 on others.
"""

from aziot._const import const

_EARLIEST_AT = const(1767225600)  # 2026-01-01: no board that runs this was made before
_SPAN_S = const(1262304000)  # 40 years: a board that is older needs new firmware anyway
_MONTHS = const(" Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec ")
_DAYS = const("Mon, Tue, Wed, Thu, Fri, Sat, Sun, ")


def plausible(at: int) -> bool:
    """Whether Unix seconds can be the present time."""
    return 0 <= at - _EARLIEST_AT < _SPAN_S


def civil(at: int) -> tuple:
    """Return Unix seconds as (year, month, day, weekday, hour, minute, second), UTC; Monday is 0.

    The order is machine.RTC().datetime()'s.
    """
    days, second = divmod(at, 86400)
    # From here on days begin with 0000-03-01: a leap day is then the last of its year.
    era, day = divmod(days + 719468, 146097)  # 400 years, after which all is as before
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    year += 400 * era + month // 10
    month = (month + 2) % 12 + 1
    return year, month, day, (days + 3) % 7, second // 3600, second // 60 % 60, second % 60


def iso(at: int) -> str:
    """Return Unix seconds as "2026-11-22T10:00:00Z"."""
    c = civil(at)
    return "%04d-%02d-%02dT%02d:%02d:%02dZ" % (c[:3] + c[4:])


def http_date(text: str) -> int:
    """Return the Unix seconds of "Sun, 22 Nov 2026 10:00:00 GMT"; raise ValueError.

    That form alone (RFC 9110 section 5.6.7), from 1970 to 2105, with the weekday that it was. A
    leap second is refused: ask again.
    """
    month = _MONTHS.find(text[7:12]) // 4 + 1
    wanted = "%s-%02d-%sT%sZ" % (text[12:16], month, text[5:7], text[17:25])
    at = 0
    for bit in range(31, -1, -1):  # of the last second whose text is not later
        if iso(at | 1 << bit) <= wanted:
            at |= 1 << bit
    rest = _DAYS[5 * civil(at)[3] :][:5] + "    GMT"
    if iso(at) != wanted or text[:5] + text[7:8] + text[11:12] + text[16:17] + text[25:] != rest:
        raise ValueError("not a date")
    return at
