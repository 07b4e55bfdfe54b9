"""dates.py: every day from 1970 to 2105, against a calendar that counts and against datetime."""

import dates
from tests.core.expect import raises

try:
    import datetime
except ImportError:  # on MicroPython: the counting calendar judges there
    datetime = None

DAYS = 49673  # 1970-01-01 to 2105-12-31
LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
KNOWN = {
    0: "1970-01-01T00:00:00Z",
    951782400: "2000-02-29T00:00:00Z",
    1767225599: "2025-12-31T23:59:59Z",
    1795341600: "2026-11-22T10:00:00Z",
    2085978495: "2036-02-07T06:28:15Z",  # NTP's last second
    2085978496: "2036-02-07T06:28:16Z",
    2147483647: "2038-01-19T03:14:07Z",  # the last of 31 bits
    2147483648: "2038-01-19T03:14:08Z",
    3094168448: "2068-01-19T03:14:08Z",  # 31 bits from 2000: what an ESP32 counts
    4107542399: "2100-02-28T23:59:59Z",  # which has no 29th
    4107542400: "2100-03-01T00:00:00Z",
    4291747199: "2105-12-31T23:59:59Z",
}


def calendar():
    """Every day as (days since 1970, year, month, day, weekday), by counting alone."""
    year, month, day = 1970, 1, 1
    for days in range(DAYS):
        yield days, year, month, day, (3 + days) % 7
        leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        day += 1
        if day > LENGTHS[month - 1] + leap:
            day = 1
            month += 1
        if month > 12:
            month = 1
            year += 1


def test_every_day_from_1970_to_2105_has_its_date_and_weekday():
    for days, year, month, day, weekday in calendar():
        assert dates.civil(days * 86400) == (year, month, day, weekday, 0, 0, 0)
        late = dates.civil(days * 86400 + 86399)
        assert late == (year, month, day, weekday, 23, 59, 59)


def test_datetime_says_the_same():
    if datetime is None:
        return
    for at in range(0, DAYS * 86400, 86399 * 7 + 4000):
        then = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
        assert dates.iso(at) == then.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert dates.civil(at)[3] == then.weekday()
        assert dates.http_date(then.strftime("%a, %d %b %Y %H:%M:%S GMT")) == at


def test_known_seconds_have_their_text():
    for at, text in KNOWN.items():
        assert dates.iso(at) == text


def test_an_http_date_is_read_to_the_second():
    for text, at in (
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),  # RFC 9110's own example
        ("Tue, 29 Feb 2000 23:59:59 GMT", 951868799),
        ("Sun, 22 Nov 2026 10:00:00 GMT", 1795341600),
        ("Tue, 19 Jan 2038 03:14:08 GMT", 2147483648),
        ("Mon, 01 Mar 2100 00:00:00 GMT", 4107542400),
        ("Thu, 31 Dec 2105 23:59:59 GMT", 4291747199),
    ):
        assert dates.http_date(text) == at, text


def test_what_is_not_an_http_date_is_refused():
    good = "Sun, 22 Nov 2026 10:00:00 GMT"
    for text in (
        "",
        "x",
        good[:-1],
        good + " ",
        " " + good,
        good.lower(),
        "Mon, 22 Nov 2026 10:00:00 GMT",  # it was a Sunday
        "Sun, 22 Nov 2026 10:00:00 UTC",
        "Sun, 22 Nov 2026 10:00:60 GMT",
        "Sun, 22 Nov 2026 24:00:00 GMT",
        "Sun, 22 Nov 2026 10:60:00 GMT",
        "Sun, 2  Nov 2026 10:00:00 GMT",
        "Sun, 22 ovD 2026 10:00:00 GMT",  # across two names
        "Sun, 22Nov D2026 10:00:00 GMT",
        "Sun, 22 Mon 2026 10:00:00 GMT",
        "Sun, 22 Foo 2026 10:00:00 GMT",
        "Sun, 00 Nov 2026 10:00:00 GMT",
        "Tue, 31 Nov 2026 10:00:00 GMT",
        "Mon, 29 Feb 2100 10:00:00 GMT",
        "Sun, 22 Nov 2026T10:00:00 GMT",
        "Sun, 22-Nov-2026 10:00:00 GMT",
        "Sun; 22 Nov 2026 10:00:00 GMT",
        "Sunday, 22-Nov-26 10:00:00 GMT",  # RFC 850's
        "Sun Nov 22 10:00:00 2026",  # asctime's
        "Sun, 22 Nov 20x6 10:00:00 GMT",
        "Sun, 22 Nov 2026 1O:00:00 GMT",
        "Wed, 31 Dec 1969 23:59:59 GMT",
        "Sun, 07 Feb 2106 06:28:16 GMT",  # past 32 bits
        "Fri, 01 Jan 9999 00:00:00 GMT",
        "Sun, 22 Nov +026 10:00:00 GMT",
        "Sun, 22 Nov 2026 10:00:00 GMT" * 9,
        "\u0661" * 29,
    ):
        raises(ValueError, dates.http_date, text)


def test_the_present_lies_between_2026_and_2065():
    for at, verdict in (
        (0, False),
        (946684800, False),  # an ESP32's clock at power-on
        (1609459200, False),  # an RP2040's
        (1767225599, False),
        (1767225600, True),
        (2147483648, True),
        (3029529599, True),
        (3029529600, False),
        (-1, False),
    ):
        assert dates.plausible(at) is verdict, at
