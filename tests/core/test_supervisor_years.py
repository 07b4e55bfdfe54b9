"""supervisor.py through simulated years: whatever happens to a board, it finds its way back.

A world in which time jumps from event to event: a network, a time server, DPS, a hub, each with
its troubles, and a board that does what device.py does with its plan. All chance is one seeded
row of numbers, the same on both interpreters.
"""

import json

from aziot.errors import ProtocolError, Refused, ServiceError
from aziot.supervisor import after, begin

MINUTE, HOUR, DAY = 60, 3600, 86400
TOKEN = 2880  # a session's life
LOST = OSError(110)
ABSENT = ServiceError("disabled", 200)
UNKNOWN = ServiceError("no", 401, 401002)
BUSY = ServiceError("busy", 500, None, None, None, True)
THROTTLED = ServiceError("slow down", 429, 429001, None, 30, True)
FOREIGN = ProtocolError("TLS: not our root")

# Of each trouble: how long it lasts at the least and at the most, and within which time after its
# end the board is served again. README's bounds: a wait, and the attempts around it.
TRY = 6 * MINUTE  # network, clock, hub, DPS and hub again, each up to its own limit
SOON = 5 * MINUTE + TRY
SLOW = HOUR + TRY
TROUBLES = {
    "no network": (MINUTE, 6 * DAY, SOON),
    "no hub": (MINUTE, 2 * DAY, SOON),
    "busy hub": (MINUTE, 5 * HOUR, SOON),
    "mute hub": (MINUTE, 5 * HOUR, SOON),  # it lets us in, and acknowledges nothing
    "no Azure": (MINUTE, 2 * DAY, SOON),
    "foreign Azure": (MINUTE, DAY, SOON),
    "no DPS": (MINUTE, DAY, SOON),
    "busy DPS": (MINUTE, DAY, SOON),
    "the hub moves": (0, 0, TRY),  # and the old one knows us no more
    "the hub moves far away": (0, 0, 40 * MINUTE + TRY),  # and the old one is gone
    "the hub moves, no DPS": (MINUTE, DAY, SOON),
    "the hub moves, busy DPS": (MINUTE, DAY, SOON),
    "disabled": (HOUR, 20 * DAY, SLOW),
    "disabled at the hub": (HOUR, 20 * DAY, SLOW),
    "no enrollment, the hub moves": (HOUR, 9 * DAY, SLOW),
    "no enrollment, no hub": (HOUR, 9 * DAY, SOON),
    "the other key": (0, 0, TRY),
    "no key": (HOUR, 9 * DAY, SLOW),
    "a wrong clock": (0, 0, TRY),
    "a wrong clock, no time": (HOUR, 3 * DAY, SLOW),
    "a lying clock": (HOUR, 3 * DAY, SLOW),
    "a wedged radio": (0, 0, 10 * MINUTE),
    "a wedged board": (0, 0, 4 * HOUR + 5 * MINUTE + TRY),
}
DPS_AN_HOUR = 30


class Chance:
    """Numbers by a linear congruence (Numerical Recipes'): the same everywhere."""

    def __init__(self, seed):
        self.state = seed

    def number(self):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) / 16777216

    def between(self, least, most):
        return least + int((most - least) * self.number())


class World:
    """What a board meets. trouble: a name of TROUBLES or ""; wrong_s: its clock's error."""

    def __init__(self, seed):
        self.chance = Chance(seed)
        self.trouble = ""
        self.hub = 0
        self.key = 0  # the good one
        self.wrong_s = 0
        self.wedged = ""

    def begins(self, trouble):
        self.trouble = trouble
        if "moves" in trouble:
            self.hub += 1
        if trouble == "the other key":
            self.key ^= 1
        if "a wrong clock" in trouble:
            self.wrong_s = self.chance.between(10 * MINUTE, DAY)
        if trouble.startswith("a wedged"):
            self.wedged = trouble

    def network(self):
        return LOST if self.trouble == "no network" else None

    def time(self):
        """Return the seconds that the clock moved, 0 if nobody answers."""
        if self.trouble == "a lying clock":  # two servers that do not agree
            self.wrong_s = 0 if self.wrong_s else 400
            return 400
        if self.wedged or self.trouble in ("no Azure", "a wrong clock, no time"):
            return 0
        moved_s, self.wrong_s = self.wrong_s, 0
        return moved_s

    def unreachable(self):
        if self.wedged or self.trouble == "no Azure":
            return LOST
        return FOREIGN if self.trouble == "foreign Azure" else None

    def knows(self, key):
        return key == self.key and self.trouble != "no key" and self.wrong_s < 5 * MINUTE

    def dps(self, key):
        """Return what DPS says: an error, or the hub's number."""
        if self.unreachable():
            return self.unreachable()
        if "no DPS" in self.trouble:
            return LOST
        if "busy DPS" in self.trouble:
            return THROTTLED if self.chance.number() < 0.5 else BUSY
        if not self.knows(key):
            return UNKNOWN
        return ABSENT if self.trouble == "disabled" or "enrollment" in self.trouble else self.hub

    def serve(self, hub, key):
        """Return what a hub says: an error, or None and it serves."""
        if self.unreachable():
            return self.unreachable()
        if self.trouble in ("no hub", "no enrollment, no hub"):
            return LOST
        if hub != self.hub and self.trouble == "the hub moves far away":
            return LOST
        if hub != self.hub or not self.knows(key) or self.trouble.startswith("disabled"):
            return Refused(5)
        return {"busy hub": Refused(3), "mute hub": LOST}.get(self.trouble)


class Board:
    """What device.py does with a plan, its attempts as long as the real ones take."""

    def __init__(self, world, keys=2):
        self.world = world
        self.keys = keys
        self.now_s = 0
        self.hub = None
        self.served_at_s = None
        self.asked = []  # when DPS was asked, in the last hour
        self.most_asked = 0
        self.zeros = self.most_zeros = 0
        self.resets = 0
        self.boot()

    def boot(self):
        self.now_s += 10
        self.booted_s = self.now_s
        self.plan = begin(self.hub is not None, self.keys)

    def take(self, event, what=None):
        up_s = self.now_s - self.booted_s
        self.plan = after(self.plan, event, what, up_s, self.world.chance.number())
        wait_s = self.plan["wait_s"]
        assert 0 <= wait_s <= HOUR
        self.zeros = 0 if wait_s or event == "alive" else self.zeros + (event == "failed")
        self.most_zeros = max(self.most_zeros, self.zeros)

    def step(self, until_s):
        """One step as device.step(), and the wait after it; a session ends at until_s."""
        self.connect(until_s)
        self.now_s += self.plan["wait_s"]
        if self.plan["radio"] and self.world.wedged == "a wedged radio":
            self.world.wedged = ""
        if self.plan["reset"]:
            self.resets += 1
            self.world.wedged = ""
            self.boot()

    def connect(self, until_s):
        error = self.world.network()
        self.now_s += 20 if error else 3
        if error:
            self.take("offline", error)
            return
        if self.plan["sync"]:
            moved_s = self.world.time()
            self.now_s += 1 if moved_s else 15
            self.take("clock", moved_s)
            if self.plan["wait_s"]:
                return  # a refusal counts now
        if self.plan["step"]:
            self.register()
        else:
            self.serve(until_s)

    def register(self):
        self.asked = [at_s for at_s in self.asked if at_s > self.now_s - HOUR] + [self.now_s]
        self.most_asked = max(self.most_asked, len(self.asked))
        said = self.world.dps(self.plan["key"])
        self.now_s += 30 if said is LOST else 4
        if isinstance(said, Exception):
            self.take("failed", said)
        else:
            self.hub = said
            self.take("assigned")

    def serve(self, until_s):
        error = self.world.serve(self.hub, self.plan["key"])
        self.now_s += 31 if error is LOST else 2
        if error is None:
            if self.served_at_s is None:
                self.served_at_s = self.now_s
            self.take("alive")
            if until_s > self.now_s + TOKEN:
                self.now_s += TOKEN
                self.take("renew")
                return
            self.now_s = max(self.now_s, until_s)
            error = LOST
        self.take("failed", error)


def live(board, until_s):
    """Let the board live until then, and a last step beyond."""
    while board.now_s < until_s:
        board.step(until_s)


def back_s(board, trouble, lasts_s):
    """Return how long after the end of a trouble the board is served again."""
    world = board.world
    world.begins(trouble)
    start_s = board.now_s
    live(board, start_s + lasts_s)
    # The wait that the board is in began while the trouble was there: it ends at any moment of it.
    world.trouble = trouble if not TROUBLES[trouble][1] else ""
    end_s = start_s + lasts_s
    board.served_at_s = None
    while board.served_at_s is None:
        board.step(board.now_s)
        assert board.now_s < end_s + 2 * DAY, "never came back from " + trouble
    world.trouble = ""
    return board.served_at_s - end_s


def years(seed, count, step_s=15 * DAY):
    """Live so many years, with a random trouble now and then; return the board and its story."""
    board = Board(World(seed))
    chance = board.world.chance
    names = sorted(TROUBLES)
    story = []
    while board.now_s < count * 365 * DAY:
        live(board, board.now_s + chance.between(0, step_s))
        trouble = names[chance.between(0, len(names))]
        least_s, most_s, _ = TROUBLES[trouble]
        # most troubles are short, and some are long
        lasts_s = least_s + int((most_s - least_s) * chance.number() ** 4)
        story.append((trouble, back_s(board, trouble, lasts_s)))
    return board, story


def test_each_trouble_is_over_within_its_bound_at_whichever_moment_it_ends():
    board = Board(World(1))
    live(board, HOUR)
    chance = board.world.chance
    for trouble in sorted(TROUBLES):
        least_s, most_s, bound_s = TROUBLES[trouble]
        for n in range(6):
            lasts_s = chance.between(least_s, min(most_s, least_s + DAY // (1 + n * n)))
            found_s = back_s(board, trouble, lasts_s)
            assert found_s <= bound_s, (trouble, lasts_s, found_s)
            live(board, board.now_s + chance.between(0, 2 * HOUR))


def test_after_years_of_troubles_the_board_is_still_served():
    for seed in (2, 3):
        board, story = years(seed, 2)
        assert len(story) > 60
        for trouble, found_s in story:
            assert found_s <= TROUBLES[trouble][2], (seed, trouble, found_s)
        assert board.resets > 0


def test_dps_is_never_asked_more_often_than_its_quota_bears():
    for trouble in sorted(TROUBLES):
        board = Board(World(4))
        live(board, HOUR)
        board.world.begins(trouble)
        live(board, board.now_s + DAY)
        assert board.most_asked <= DPS_AN_HOUR, (trouble, board.most_asked)
        assert board.most_zeros <= 4, (trouble, board.most_zeros)


def test_two_lives_with_the_same_chances_are_the_same():
    first, second = years(5, 0.3), years(5, 0.3)
    assert first[1] == second[1]
    assert first[0].plan == second[0].plan


def test_a_plan_does_not_grow_with_the_years():
    board, _ = years(6, 1)
    assert len(json.dumps(board.plan)) < 300
