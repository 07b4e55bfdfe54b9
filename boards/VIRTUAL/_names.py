"""socket, with a DNS that a test can spoil while the board runs: dns.json in the board's folder.

{"localhost": ["127.0.0.9"], "*": []}     addresses; none: not found; "*": every other name
"""

import json

import _wires
import usocket
from usocket import *  # noqa: F403

_EAI_NONAME = -2


def getaddrinfo(host, port, *rest):
    try:
        with _wires.open_file("dns.json", "r") as file:
            names = json.load(file)
    except OSError:
        names = {}
    addresses = names.get(host, names.get("*", [host]))
    found = []
    for address in addresses:
        found += usocket.getaddrinfo(address, port, *rest)
    if not found:
        raise OSError(_EAI_NONAME)
    return found
