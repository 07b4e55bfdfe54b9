"""Runs on MicroPython: one Session after the other over one Outbox; prints what happened, as JSON.

On standard input: {"port", "root", "device_id", "user", "password", "goal": {what: how much},
"links"?: connections at most, "puts"?: [text], "reports"?: {}, "most"?: of the outbox,
"speed"?: of the session's clock, "renew_after"?: messages of a connection, "later"?: [text],
"report_later"?: {}: what is put and reported when the first telemetry, or report, is in flight,
"restless"?: whether a property changes all the time, "spare"?: bytes of memory that are left}

It ends when the goal is reached: each of "acked", "messages", "calls", "wholes", "patches",
"idle", "reported", "refused" at least so much; or after 20 seconds; or when no more links are
allowed.
"""

import gc
import json
import socket
import ssl
import sys
import time

from aziot.errors import AziotError
from aziot.link import Link
from aziot.session import Session
from outbox import Outbox

LIMIT_MS = 20000


class FastClock:
    """Ticks that go faster, and are counted."""

    def __init__(self, speed):
        self.speed = speed
        self.calls = 0

    def ticks_ms(self):
        self.calls += 1
        return time.ticks_ms() * self.speed & 0x3FFFFFFF

    def ticks_add(self, ticks, delta):
        return ticks + delta & 0x3FFFFFFF

    def ticks_diff(self, end, start):
        return (end - start + 0x20000000 & 0x3FFFFFFF) - 0x20000000


class CountingLink(Link):
    """Counts what it sends, and notes the last."""

    sends = 0
    dups = 0
    topic = ""

    def send(self, topic, msg, dup):
        CountingLink.sends += 1
        CountingLink.dups += dup
        CountingLink.topic = topic
        return Link.send(self, topic, msg, dup)


class Handlers:
    """Notes all it gets; a method returns its payload."""

    def __init__(self):
        self.messages = []
        self.calls = []
        self.wholes = []
        self.patches = []

    def message(self, body, properties):
        self.messages.append([str(type(body)), str(body, "utf-8"), properties])

    def method(self, name, body):
        self.calls.append(name)
        return 200, body

    def desired(self, patch, whole):
        (self.wholes if whole else self.patches).append(patch)

    def count(self):
        return len(self.messages) + len(self.calls) + len(self.wholes) + len(self.patches)


def ballast(spare):
    """What takes all memory but spare bytes, which lie in one piece."""
    kept = bytearray(spare)
    size = 65536
    pieces = []
    while size > 64:
        try:
            pieces.append(bytearray(size))
        except MemoryError:
            size //= 2
    del kept
    gc.collect()
    return pieces


class Run:
    def __init__(self, asked):
        self.asked = asked
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.verify_mode = ssl.CERT_REQUIRED
        with open(asked["root"], "rb") as file:
            self.context.load_verify_locations(cadata=file.read())
        self.reports = asked.get("reports", {})
        self.handlers = Handlers()
        self.outbox = Outbox("probe", asked.get("most", 50))
        for text in asked.get("puts", ()):
            self.outbox.put(text.encode())
        self.clock = FastClock(asked.get("speed", 1))
        self.start_ms = time.ticks_ms()
        self.acked = self.refused = 0
        self.errors = []
        self.polls = 0
        self.most = {"handled": 0, "sent": 0, "clock": 0}

    def reached(self, session):
        found = {
            "acked": self.acked + session.acked,
            "messages": len(self.handlers.messages),
            "calls": len(self.handlers.calls),
            "wholes": len(self.handlers.wholes),
            "patches": len(self.handlers.patches),
            "idle": session.idle(),
            "reported": not self.reports,
            "refused": session.refused,
        }
        late = time.ticks_diff(time.ticks_ms(), self.start_ms) > LIMIT_MS
        return late or all(found[name] >= value for name, value in self.asked["goal"].items())

    def begin(self, session):
        session.begin()
        if "spare" in self.asked:
            self.ballast = ballast(self.asked["spare"])

    def poll(self, session):
        if "restless" in self.asked:
            self.reports["polls"] = self.polls
        handled, sent = self.handlers.count(), CountingLink.sends
        self.clock.calls = 0
        session.poll(20)
        self.later()
        self.polls += 1
        for name, value in (
            ("handled", self.handlers.count() - handled),
            ("sent", CountingLink.sends - sent),
            ("clock", self.clock.calls),
        ):
            self.most[name] = max(self.most[name], value)

    def later(self):
        topic = CountingLink.topic
        if "/messages/events/" in topic:
            for text in self.asked.pop("later", ()):
                self.outbox.put(text.encode())
        if "/reported/" in topic:
            self.reports.update(self.asked.pop("report_later", {}))

    def connect(self):
        """One connection; return whether the goal is reached."""
        asked = self.asked
        link = CountingLink(socket, time, self.context, "localhost", asked["port"], 15000)
        args = (link, asked["device_id"], self.outbox, self.reports, self.handlers, self.clock)
        session = Session(*args)
        renew_after = asked.get("renew_after", 1 << 20)
        try:
            link.connect(asked["device_id"], asked["user"], asked["password"], 60)
            self.begin(session)
            while not self.reached(session) and session.acked < renew_after:
                self.poll(session)
            self.errors.append(None)
            return self.reached(session)
        except (OSError, AziotError) as e:
            self.errors.append([type(e).__name__, e.errno if isinstance(e, OSError) else str(e)])
            return False
        finally:
            self.acked += session.acked
            self.refused = session.refused or self.refused
            link.disconnect()


def main(asked):
    run = Run(asked)
    for _ in range(asked.get("links", 1)):
        if run.connect():
            break
    handlers = run.handlers
    result = {
        "errors": run.errors,
        "acked": run.acked,
        "refused": run.refused,
        "left": len(run.outbox),
        "dropped": run.outbox.dropped,
        "reports": run.reports,
        "messages": handlers.messages,
        "calls": handlers.calls,
        "wholes": handlers.wholes,
        "patches": handlers.patches,
        "dups": CountingLink.dups,
        "polls": run.polls,
        "most": run.most,
    }
    print(json.dumps(result))


main(json.loads(sys.stdin.readline()))
