"""Runs on MicroPython: a Device whose phases do what it is told; prints each step, as JSON.

On standard input: {"kept": bool, "phases": [[name, what], ...]}: what is "ok", or the error to
raise. The phases are modules that this makes, in place of wifi.py, sntp.py, register.py and
serve.py; each lasts 15 minutes.
"""

import json
import sys

from aziot.errors import Refused, ServiceError
from device import Device

ERRORS = {
    "lost": lambda: OSError(110),
    "401": lambda: ServiceError("DPS: no", 401),
    "CONNACK 5": lambda: Refused(5),
}
PHASE_MS = 900000
PERIOD = 1 << 30  # of a board's ticks


class Clock:
    now = 0

    def ticks_ms(self):
        return self.now % PERIOD

    def ticks_diff(self, a, b):
        return (a - b + PERIOD // 2) % PERIOD - PERIOD // 2


class Board:
    clock = Clock()
    at = 0

    def unix_time(self):
        return self.at

    def jitter(self):
        return 0.5


class Phase:
    def __init__(self, name, script, ran):
        self.name, self.script, self.ran = name, script, ran

    def run(self, device):
        Board.clock.now += PHASE_MS
        self.ran.append(self.name)
        name, what = self.script.pop(0)
        assert name == self.name, self.name + " ran where another was due: " + name
        if what != "ok":
            raise ERRORS[what]()
        if name == "sntp":
            device.board.at = 1800000000
        elif name == "register":
            device.plan.assigned()


def main(asked):
    ran, waits = [], []
    script = asked["phases"]
    me = {"symmetric_key": {"primary": ""}}
    device = Device(me, {"hub": "h"} if asked["kept"] else {}, None, Board(), lambda *_: None)
    while script:
        for name in ("wifi", "sntp", "register", "serve"):
            sys.modules[name] = Phase(name, script, ran)
        waits.append(device.step())
    print(json.dumps({"ran": ran, "waits": waits}))


main(json.loads(sys.stdin.readline()))
