"""Runs on MicroPython: registrations over links, one after the other; prints them as JSON.

On standard input: {"port", "root", "links", "limit_ms"}
"""

import json
import socket
import ssl
import sys
import time

import trust
from aziot import dps
from aziot.errors import AziotError, ServiceError
from aziot.link import Link
from aziot.provision import provision

lines = []


def attempt(asked, context, operation_id):
    link = Link(socket, time, context, "localhost", asked["port"], 20000)
    registration = dps.Registration("dev-1", None, operation_id)
    result = {"error": None}
    try:
        link.connect("dev-1", "user", "secret", 60)
        found = provision(
            link, registration, time, asked["limit_ms"], 0.5, lambda step, text: lines.append(text)
        )
        result["found"] = found[:2]
    except ServiceError as e:
        result = {"error": str(e), "retry_after_s": e.retry_after_s, "transient": e.transient}
    except (AziotError, OSError) as e:
        result = {"error": repr(e)}
    result["closed"] = link.sock is None
    return result, registration.operation_id


def main(asked):
    context = trust.trusting(ssl, asked["root"].rpartition("/")[0] + "/")
    results = []
    operation_id = None
    for _ in range(asked["links"]):
        result, operation_id = attempt(asked, context, operation_id)
        results.append(result)
    print(json.dumps({"results": results, "lines": lines}))


main(json.loads(sys.stdin.readline()))
