"""Runs on MicroPython: one Session over one or two links; prints what happened, as JSON.

On standard input: {"port", "root", "timeout_ms", "life_ms", "interval_ms", "links"}
"""

import json
import socket
import ssl
import sys
import time

import wake

from aziot.link import Link
from aziot.session import Session

lines = []
samples = []


def sample():
    samples.append(None)
    count = len(samples)
    if count == 2:
        return {"long": "x" * 9000}
    if count == 3:
        raise ZeroDivisionError("sensor")
    return {"count": count}


def say(step, text):
    lines.append(text)


def main(asked):
    context = wake.context(ssl, asked["root"].rpartition("/")[0] + "/")
    session = Session(sample, asked["interval_ms"], time)
    errors = []
    for _ in range(asked["links"]):
        link = Link(socket, time, context, "localhost", asked["port"], asked["timeout_ms"])
        try:
            link.connect("dev-1", "user", "secret", 60)
            session.serve(link, "dev-1", asked["life_ms"], say, lambda: None)
            errors.append(None)
        except OSError as e:
            errors.append(e.errno)
        link.disconnect()
    print(json.dumps({"errors": errors, "lines": lines, "sent": session.sent}))


main(json.loads(sys.stdin.readline()))
