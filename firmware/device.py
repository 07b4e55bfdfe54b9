"""One board's life: join the network, set the clock, register if need be, serve the hub. Again.

The loop and its order; what to do next is supervisor.py's to decide, and every wait belongs to
the part that waits. Never ends but in leave.py: a bug there is answered with a reset, too.

What is not needed all the time is loaded for a call and let go after it: the phases (wifi.py or
ethernet.py, clock.py, register.py, serve.py), and what they call for. Registering happens once in
a board's life, and its code would take the memory that the hub's TLS session is in want of.
"""

import gc
import sys

from aziot._const import const
from aziot.errors import AziotError
from aziot.link import Link

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from outbox import Outbox
    from watchdog import WatchedClock
    from work import Work

_TOKEN_S = const(3600)  # what the SDKs ask for (protocol.md 1.4)
_LIMIT_MS = const(30000)  # of each of a link's waits
_LONGEST = const(8192)  # bytes of a packet that comes
_KEEPALIVE_S = const(240)  # what azure-sdk-for-c suggests; the most a hub heeds is 1177
_TURN_MS = const(1000)  # app.py's, while the board waits
_PHASE_MS = const(600000)  # within which a phase ends, or a peer answers: each wait is less
_AWAKE_S = const(120)  # beyond that, a board that sleeps between its samples waits asleep


class Device:
    """A board with an identity; wake.py makes it.

    me: of identity.check(); kept: the assignment, {} for none; board: firmware/board.py, or what
    offers the same; say(step, text) prints one line; plan: supervisor.py's, and in it
    "again", certificate.py's; keys: base64, none with an X.509 identity.

    outbox: messages that the hub has not acknowledged; reports: reported properties that it has
    not taken; reset: why the board started; work: app.py, falsy until it is loaded; nic: the
    network's interface, False for one that could not be made; wish: what ends serving ("renew",
    "reprovision", "sleep"); asked: the last wish to provision anew that was followed;
    operation_id: of a registration, as it is kept; lean: whether app.py waits until DPS has
    answered, because it left no memory for that; dropped: messages, before the last reset.

    phase: what is being done; error: the last one, until the hub acknowledges something again;
    sent: messages acknowledged since the start; served: whether any was since the plan was made;
    trusts: a TLS context, None for one to be made; on_trial: whether its roots have yet to reach
    the hub; old_roots: above 0 if those before them have their turn (trust.py); proof: what TLS
    shows of an X.509 identity, certificate.py's, None for keys; up_s: seconds since the start,
    deep sleep included; woke_s: what it was when the board woke.
    """

    me: dict
    kept: dict
    board: "Any"
    clock: "WatchedClock"
    say: "Callable[[str, str], None]"
    plan: dict
    keys: list[str]
    outbox: "Outbox"
    reports: dict
    reset: str
    work: "Work"
    nic: "Any"
    wish: str | None
    asked: str | None
    operation_id: str | None
    lean: bool
    dropped: int
    phase: str
    error: str
    sent: int
    served: bool
    trusts: "Any"
    on_trial: bool
    old_roots: int
    proof: "Any" = None
    at_ms: int
    up_s: int
    woke_s: int

    def live(self) -> None:
        """Do one thing after the other; never return."""
        try:
            while True:
                self.rest(self.step())
                gc.collect()
        except Exception as e:  # a bug of ours, or no memory
            gc.collect()
            self.call("leave", "fault", self, e)

    def step(self) -> int:
        """Do the next thing, up to its end or its failure. Return the seconds to wait then."""
        event = "offline"
        if self.kept and not self.work and not (self.lean and self.plan["step"]):
            # From now on the board measures, connected or not.
            self.call("hire", "run", self)
        if self.trusts is None:
            self.call("trust", "equip", self)
        try:
            self._run("ethernet" if self.me["ethernet"] else "wifi")
            if self.plan["sync"]:
                event = "timeless"
                self.decide("clock", self._run("clock"))
                if self.plan["wait_s"]:  # for a refusal that only now counts
                    return int(self.plan["wait_s"])
            event = "failed"
            if self.proof:
                self.call("certificate", "choose", self)
            outcome = self._run("register" if self.plan["step"] else "serve")
            self.decide("renew" if outcome == "sleep" else outcome, None)
            if outcome == "sleep":
                self.call("leave", "sleep", self, self.work.measured())
        except (OSError, AziotError, MemoryError) as e:
            gc.collect()
            self.call("trouble", "take", self, event, e)
        return int(self.plan["wait_s"])

    def rest(self, wait_s: int) -> None:
        """Let the time pass, and measure meanwhile; or leave this life, if it is time to."""
        if self.plan["reset"]:
            self.call("leave", "reset", self, "nothing answers")
        late = self.up_s + wait_s > self.woke_s + _AWAKE_S
        if late and wait_s and self.work and self.work.sleeps:
            self.call("leave", "sleep", self, max(wait_s * 1000, self.work.measured()))
        left_ms = wait_s * 1000
        self.clock.promise(left_ms + _PHASE_MS)
        until_ms = self.clock.ticks_add(self.clock.ticks_ms(), left_ms)
        while left_ms > 0:
            if self.work:
                self.work.tick()
                left_ms = min(left_ms, self.work.measured(), _TURN_MS)
            self.clock.sleep_ms(left_ms)
            left_ms = self.clock.ticks_diff(until_ms, self.clock.ticks_ms())

    def connect(self, host: str, name: str, user: str, resource: str, policy: str = "") -> Link:
        """Return a link to host, connected with a fresh token for resource; X.509 needs none."""
        expires_at = self.board.unix_time() + _TOKEN_S
        gc.collect()
        longest = min(_LONGEST, gc.mem_free() // 3)  # what is longer is passed over
        link = Link(
            self.board.net, self.clock, self.trusts, host, self.me["port"], _LIMIT_MS, longest
        )
        password: str | None = None
        if self.keys:
            key = self.keys[self.plan["key"]]
            password = self.call("aziot.sas", "token", resource, key, expires_at, policy)
        link.connect(name, user, password, _KEEPALIVE_S)
        return link

    def progress(self) -> None:
        """Let the watchdog know that something has come of it: a peer answered."""
        self.clock.promise(_PHASE_MS)

    def report(self, name: str, value: "Any") -> None:
        """Have a reported property of the component `firstlight` set."""
        self.reports["firstlight"] = (self.reports.get("firstlight") or {}) | {name: value}

    def tell(self) -> None:
        """Print the status line, which is not worth a reset where there is no memory for it."""
        try:
            self.call("status", "tell", self)
        except MemoryError:
            pass

    def turn(self) -> None:
        """Keep count of the time: the clock's ticks wrap after six days."""
        passed_ms = self.clock.ticks_diff(self.clock.ticks_ms(), self.at_ms)
        self.up_s += passed_ms // 1000
        self.at_ms = self.clock.ticks_add(self.at_ms, passed_ms // 1000 * 1000)

    def call(self, module: str, name: str, *args: "Any") -> "Any":
        """Call a function of a module that is needed seldom."""
        try:
            __import__(module)
            return getattr(sys.modules[module], name)(*args)
        finally:
            let_go(module, "aziot.record", "aziot.backoff", "certificate")

    def decide(self, event: str, what: "Any") -> None:
        """Have the supervisor make a new plan of what happened."""
        self.turn()
        jitter = self.board.jitter()
        for happened in (["alive"] if self.served else []) + [event]:
            self.plan = self.call(
                "aziot.supervisor", "after", self.plan, happened, what, self.up_s, jitter
            )
        self.served = False

    def _run(self, phase: str) -> "Any":
        self.progress()
        self.phase = phase
        self.call("notes", "note", self.board, phase)
        self.tell()
        try:
            return self.call(phase, "run", self)
        finally:  # what a phase that did not fit into memory had loaded already, too
            let_go("aziot.session", "aziot.provision", "aziot.dps")


def let_go(*names: str) -> None:
    """Give back the memory of modules that are not needed again soon."""
    for name in names:
        if sys.modules.pop(name, None):
            package, _, leaf = name.rpartition(".")
            if package:
                delattr(sys.modules[package], leaf)
    gc.collect()
