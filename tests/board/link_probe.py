"""Runs on MicroPython: one Link against one peer; prints what happened, as JSON.

On standard input: {"port", "root", "timeout_ms", "action", "longest"?, "keepalive_s"?, "again"?}
"""

import json
import socket
import ssl
import sys
import time

import wake

from aziot.link import Link

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
    link.publish("a/b", b"{}", qos=1)


def flood(link, got):  # more than the sockets' buffers hold, to a peer that does not read
    for _ in range(20000):
        link.publish("a/b", FILLER)


def receive(link, got):
    while not got:
        link.check_msg(200)


def listen(link, got):  # until the peer is found to be gone
    while True:
        link.check_msg(50)


def wrap(link, got):  # packet ids, past the last one
    link.pid = 65533
    for _ in range(4):
        publish(link, got)


ACTIONS = {
    "publish": publish,
    "flood": flood,
    "receive": receive,
    "listen": listen,
    "wrap": wrap,
}


def act(link, action, got):
    link.set_callback(
        lambda topic, body: (
            got.append((str(topic, "utf-8"), str(body, "utf-8"))) if len(got) < 8 else None
        )
    )
    link.connect("dev-1", "user", *link.probe)
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
    result["got"] = got
    return result


def main(asked):
    context = wake.context(ssl, asked["root"].rpartition("/")[0] + "/")
    link = Link(
        TwoAddresses(asked["first_port"]) if "first_port" in asked else socket,
        time,
        context,
        asked.get("host", "localhost"),
        asked["port"],
        asked["timeout_ms"],
        asked.get("longest", 8192),
    )
    link.probe = (asked.get("password", "secret"), asked.get("keepalive_s", 60))
    results = [attempt(link, asked["action"])]
    if asked.get("again"):
        results.append(attempt(link, "publish"))
    link.disconnect()
    print(json.dumps(results))


main(json.loads(sys.stdin.readline()))
