"""A board that lives by supervisor.py's plans, for its tests, on a clock of its own."""

import json

from aziot.errors import ServiceError
from aziot.supervisor import after, begin

HUB, DPS = 0, 1
LOST = OSError(110)
BUSY = ServiceError("busy", 500, None, None, None, True)
ABSENT = ServiceError("no such enrollment", 404, 404201)
UNKNOWN = ServiceError("no", 401, 401002)


class Board:
    """What device.py does with its plan; the clock is asked when that is wished."""

    def __init__(self, assigned=True, keys=1, jitter=0.5, wrong_s=0):
        self.plan = begin(assigned, keys)
        self.now_s = 5
        self.jitter = jitter
        self.wrong_s = wrong_s  # what the clock is found wrong by, the next time it is asked
        self.asked = 0
        self.clock()

    def take(self, event, what=None):
        before = json.dumps(self.plan)
        plan = after(self.plan, event, what, self.now_s, self.jitter)
        assert json.dumps(self.plan) == before, "changed what it was given"
        self.plan = plan
        return plan["wait_s"]

    def clock(self):
        self.asked += 1
        self.take("clock", self.wrong_s)
        self.wrong_s = 0

    def fails(self, error, pause_s=0):
        """The step fails; return the wait, the clock asked if that comes first."""
        self.now_s += pause_s
        wait_s = self.take("failed", error)
        if self.plan["sync"] and not wait_s:
            self.clock()
            wait_s = self.plan["wait_s"]
        self.now_s += wait_s
        if self.plan["sync"]:
            self.clock()
        return wait_s

    @property
    def step(self):
        return self.plan["step"]
