"""Runs on MicroPython: one Link against one peer; prints what happened, as JSON.

On standard input: {"port", "root", "timeout_ms", "action", "longest"?, "keepalive_s"?, "again"?,
"more_tries"?}
"""

import errno
import json
import os
import select
import socket
import ssl
import sys
import time


class Watch:
    """The select and time modules; notes how long sleeps may be, and who looks at the clock."""

    POLLIN = select.POLLIN
    POLLOUT = select.POLLOUT

    def __init__(self):
        self.longest_ms = 0
        self.unseen = 0  # sleeps in a row without a look at the clock
        self.most_unseen = 0

    def poll(self):
        return WatchedPoll(self)

    def slept(self, limit_ms):
        self.longest_ms = max(self.longest_ms, limit_ms)
        self.unseen += 1
        self.most_unseen = max(self.most_unseen, self.unseen)

    def ticks_ms(self):
        self.unseen = 0
        return time.ticks_ms()

    ticks_add = staticmethod(time.ticks_add)
    ticks_diff = staticmethod(time.ticks_diff)


class WatchedPoll:
    def __init__(self, watch):
        poller = select.poll()
        self.register = poller.register
        self.modify = poller.modify
        self._poller = poller
        self._watch = watch

    def poll(self, limit_ms):
        self._watch.slept(limit_ms)
        return self._poller.poll(limit_ms)


watch = sys.modules["select"] = Watch()
import trust  # noqa: E402
from aziot.link import Link  # noqa: E402

FILLER = b"x" * 4096


class TwoAddresses:
    """The socket module, with a host that has another address, at another port, before its own."""

    SOCK_STREAM = socket.SOCK_STREAM
    socket = socket.socket

    def __init__(self, port):
        self.port = port

    def getaddrinfo(self, host, port, family, kind):
        return [socket.getaddrinfo(host, p, family, kind)[0] for p in (self.port, port)]


def publish(link, got):
    """One message at QoS 1, until it is acknowledged: to be demanded is the caller's, as here."""
    pid = link.send("a/b", b"{}", False)
    since_ms = time.ticks_ms()
    while link.acked != pid:
        link.check_msg(100)
        if time.ticks_diff(time.ticks_ms(), since_ms) > link.patience_ms:
            link.close()
            raise OSError(errno.ETIMEDOUT)


def flood(link, got):  # more than the sockets' buffers hold, to a peer that does not read
    for _ in range(20000):
        link.send("a/b", FILLER, False)


def receive(link, got):
    while not got:
        link.check_msg(200)


def listen(link, got):  # until the peer is found to be gone
    while True:
        link.check_msg(50)


def quiet(link, got):  # one long wait for a message that does not come
    since_ms = time.ticks_ms()
    while time.ticks_diff(time.ticks_ms(), since_ms) < 2500:
        link.check_msg(60000)


def two(link, got):  # the second message is here with the first: no wait for it
    while not got:
        link.check_msg(200)
    since_ms = time.ticks_ms()
    link.check_msg(60000)
    got.append(time.ticks_diff(time.ticks_ms(), since_ms))


def part(link, got):  # the message comes in two parts: no call waits for the second
    most_ms = 0
    while not got:
        since_ms = time.ticks_ms()
        link.check_msg(100)
        most_ms = max(most_ms, time.ticks_diff(time.ticks_ms(), since_ms))
    got.append(most_ms)


def wrap(link, got):  # packet ids, past the last one
    for call in (publish, lambda link, got: link.subscribe("a/b")):
        link.pid = 65534
        publish(link, got)
        call(link, got)


def send(link, got):  # without waiting; then again, as a duplicate
    got.append(link.acked)
    first = link.send("a/b", b"one", False)
    second = link.send("a/b", b"two", True)
    got += [first, second, link.acked]
    while link.acked != second:
        link.check_msg(200)


ACTIONS = {
    "publish": publish,
    "flood": flood,
    "receive": receive,
    "listen": listen,
    "wrap": wrap,
    "send": send,
    "quiet": quiet,
    "two": two,
    "part": part,
}


def act(link, action, got):
    link.set_callback(
        lambda topic, body: (
            got.append((str(topic, "utf-8"), str(body, "utf-8"))) if len(got) < 8 else None
        )
    )
    link.connect("dev-1", "user", *link.probe)
    assert link.acked == 0, "a PUBACK of another connection"
    if action != "connect":
        link.subscribe("$dps/registrations/res/#", 1)
        ACTIONS[action](link, got)


def attempt(link, action):
    got = []
    start_ms = time.ticks_ms()
    result = {"error": None}
    try:
        act(link, action, got)
    except Exception as e:
        result = {"error": type(e).__name__, "text": str(e), "errno": getattr(e, "errno", None)}
        result["code"] = getattr(e, "code", None)
    result["ms"] = time.ticks_diff(time.ticks_ms(), start_ms)
    result["closed"] = link.sock is None
    result["open"] = len(os.listdir("/proc/self/fd"))
    result["got"] = got
    result["sleep_ms"] = watch.longest_ms
    result["unseen"] = watch.most_unseen
    aziot = sys.modules["aziot"]
    result["let_go"] = "aziot.opening" not in sys.modules and not hasattr(aziot, "opening")
    return result


def main(asked):
    context = trust.trusting(ssl, asked["root"].rpartition("/")[0] + "/")
    link = Link(
        TwoAddresses(asked["first_port"]) if "first_port" in asked else socket,
        watch,
        context,
        asked.get("host", "localhost"),
        asked["port"],
        asked["timeout_ms"],
        asked.get("longest", 8192),
    )
    link.patience_ms = asked["timeout_ms"]
    link.probe = (asked.get("password", "secret"), asked.get("keepalive_s", 60))
    results = [attempt(link, asked["action"]) for _ in range(1 + asked.get("more_tries", 0))]
    if asked.get("again"):
        results.append(attempt(link, "publish"))
    link.disconnect()
    print(json.dumps(results))


main(json.loads(sys.stdin.readline()))
