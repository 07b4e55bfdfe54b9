"""status.py: one line of ASCII, bounded, whatever the facts are."""

import json

import status

FACTS = {
    "up_s": 3661,
    "step": "hub",
    "wait_s": 0,
    "error": "OSError 110",
    "hub": "h.azure-devices.net",
    "queued": 3,
    "dropped": 1,
    "sent": 60,
    "free": 41234,
    "reset": "watchdog",
}


def told(facts):
    line = status.line(facts)
    assert len(line) <= 512
    assert all(32 <= b < 127 for b in line.encode())
    head, _, body = line.partition(" ")
    assert head == "@firstlight"
    return json.loads(body)


def test_every_field_is_told():
    assert told(FACTS) == FACTS


def test_what_is_not_known_is_left_out():
    assert told({"up_s": 1, "error": None, "hub": "", "queued": 0}) == {"up_s": 1, "queued": 0}
    assert told({}) == {}


def test_nothing_else_is_told():
    assert told({"up_s": 1, "password": "secret", "key": "secret"}) == {"up_s": 1}


def test_times_are_whole_seconds():
    assert told({"up_s": 12.9, "wait_s": 0.5}) == {"up_s": 12, "wait_s": 0}


def test_a_text_from_outside_stays_within_the_line():
    facts = {"hub": "h\r\n@firstlight {}\u00fc\u2028" + "x" * 1000, "error": "\x00\n\"'\\" * 300}
    assert told(FACTS | facts)["hub"].startswith("h??@firstlight {}??")
    huge = {name: '"' * 1000 for name in ("hub", "error", "step", "reset")}
    assert told(FACTS | huge)["sent"] == 60
