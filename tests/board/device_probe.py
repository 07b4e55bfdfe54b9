"""Runs on MicroPython: a Device whose phases do what it is told; prints each step, as JSON.

On standard input: {"kept": bool, "phases": [[name, what], ...]}: what is "ok", or the error to
raise, or for "clock" by how many seconds it was wrong. The phases are modules that this makes, in
place of wifi.py, clock.py, register.py and serve.py; each lasts 15 minutes. The rest is real.
"""

import json
import sys

from aziot import supervisor
from aziot.errors import Refused, ServiceError
from device import Device

ERRORS = {
    "lost": lambda: OSError(110),
    "401": lambda: ServiceError("DPS: no", 401),
    "CONNACK 5": lambda: Refused(5),
    "no memory": lambda: MemoryError("8192 bytes"),
}
OUTCOMES = {"wifi": None, "clock": 0, "register": "assigned", "serve": "renew"}
PHASE_MS = 900000
PERIOD = 1 << 30  # of a board's ticks


class Clock:
    now = PERIOD - PHASE_MS

    def ticks_ms(self):
        return self.now % PERIOD

    def ticks_add(self, a, b):
        return (a + b) % PERIOD

    def ticks_diff(self, a, b):
        return (a - b + PERIOD // 2) % PERIOD - PERIOD // 2

    def promise(self, limit_ms):
        self.promised = limit_ms


class Board:
    kept = None

    def jitter(self):
        return 0.5

    def recall(self):
        return self.kept

    def remember(self, raw, final):
        Board.kept = raw

    def load(self, name):
        return None


class Phase:
    def __init__(self, name, script, ran):
        self.name, self.script, self.ran = name, script, ran

    def run(self, device):
        device.clock.now += PHASE_MS
        self.ran.append(self.name)
        name, what = self.script.pop(0)
        assert name == self.name, self.name + " ran where another was due: " + name
        if what in ERRORS:
            raise ERRORS[what]()
        device.served = name == "serve"
        return int(what) if name == "clock" and what != "ok" else OUTCOMES[name]


def board(kept, clock, said):
    """Return a device as wake.py makes it, its app.py taken on and its roots read."""
    device = Device()
    device.me = {"ethernet": None}
    device.kept = {"hub": "h"} if kept else {}
    device.board, device.clock = Board(), clock
    device.say = lambda step, text: said.append(str(text))
    device.keys = ["primary", "secondary"]
    device.plan = supervisor.begin(kept, 1)
    device.outbox, device.reports, device.reset = [], {}, "power on"
    device.work = device.wish = None
    device.trusts, device.on_trial, device.old_roots = "roots", False, 0
    device.phase = device.error = ""
    device.sent, device.served = 0, False
    device.lean, device.dropped = False, 0
    device.at_ms, device.up_s, device.woke_s = clock.ticks_ms(), 0, 0
    return device


def main(asked):
    ran, waits, said = [], [], []
    script = asked["phases"]
    device = board(asked["kept"], Clock(), said)
    device.call = lambda module, name, *args: (
        Device.call(device, module, name, *args) if module != "hire" else None
    )
    while script:
        for name in ("wifi", "clock", "register", "serve"):
            sys.modules[name] = Phase(name, script, ran)
        waits.append(device.step())
    print(json.dumps({"ran": ran, "waits": waits, "said": said, "up_s": device.up_s}))


main(json.loads(sys.stdin.readline()))
