"""One board's life: join the network, set the clock, register if need be, serve the hub. Again.

The loop and its order; what to do next is supervisor.py's to decide, and every wait belongs to
the part that waits. Never ends but by a fault of its own, which main.py answers with a reset.

What only one phase needs is loaded for it and let go after it (wake.py, wifi.py, sntp.py,
register.py, serve.py): registering happens once in a board's life, and its code would take the
memory that the hub's TLS session is in want of.
"""

import gc
import sys

from aziot._const import const
from aziot.backoff import delay_s
from aziot.errors import AziotError
from aziot.link import Link
from aziot.sas import token
from aziot.supervisor import DPS, Supervisor

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from aziot.session import Session

_TOKEN_S = const(3600)  # what the SDKs ask for (protocol.md 1.4)
_KEEPALIVE_S = const(240)  # what azure-sdk-for-c suggests; the most a hub heeds is 1177
_EARLIEST_AT = const(1767225600)  # 2026-01-01: no board that runs this was made before


class Device:
    """A board with an identity.

    me: of identity.check(); kept: the assignment, {} for none; context: for TLS; board:
    firmware/board.py, or what offers the same; say(step, text) prints one line. session: the
    telemetry's, once begun; operation_id: of a registration that was cut off.
    """

    def __init__(
        self,
        me: dict,
        kept: dict,
        context: "Any",
        board: "Any",
        say: "Callable[[str, str], None]",
    ) -> None:
        self.me = me
        self.kept = kept
        self.board = board
        self.say = say
        self.session: Session | None = None
        self.operation_id: str | None = None
        keys = me["symmetric_key"]
        self._keys = [keys[name] for name in ("primary", "secondary") if name in keys]
        self._context = context
        self.plan = Supervisor(bool(kept), len(self._keys))
        self._synced = False  # whether a server told us the time, since something last failed
        self._misses = 0  # how often in a row the network or the clock failed
        self._at_ms = board.clock.ticks_ms()
        self._up_s = 0.0  # seconds since the start, of a clock that never jumps

    def step(self) -> float:
        """Do the next thing, up to its end or its failure. Return the seconds to wait then."""
        phase = "wifi"
        try:
            self._run(phase)
            phase = "sntp"
            if not self._synced:
                self._sync(phase)
            self._misses = 0
            phase = "register" if self.plan.step == DPS else "serve"
            self._run(phase)
            return 0
        except (OSError, AziotError) as e:
            self._synced = False  # a wrong clock looks like a wrong key, or a wrong certificate
            wait_s = self._after(e, phase)
            told = e if isinstance(e, AziotError) else "OSError %s" % e
            self.say(phase, "failed: %s; next in %d s" % (told, wait_s))
            return wait_s

    def _sync(self, phase: str) -> None:
        """Ask for the time; without an answer go on with a clock that is plausible."""
        try:
            self._run(phase)
            self._synced = True
        except (OSError, AziotError) as e:
            if self.board.unix_time() < _EARLIEST_AT:
                raise
            self.say(phase, "no answer (%s); the clock is plausible" % e)

    def _after(self, error: Exception, phase: str) -> float:
        """Return how long to wait: on the way to Azure it is ours to say, beyond it the plan's."""
        now_ms = self.board.clock.ticks_ms()
        self._up_s += self.board.clock.ticks_diff(now_ms, self._at_ms) / 1000
        self._at_ms = now_ms
        if phase in ("wifi", "sntp"):
            self._misses += 1
            return delay_s(self._misses - 1, self.board.jitter())
        return self.plan.failed(error, self._up_s, self.board.jitter())

    def connect(self, host: str, name: str, user: str, resource: str, policy: str = "") -> Link:
        """Return a link to host, connected with a fresh token for resource."""
        board = self.board
        expires_at = board.unix_time() + _TOKEN_S
        link = Link(board.net, board.clock, self._context, host, self.me["port"])
        password = token(resource, self._keys[self.plan.key], expires_at, policy)
        link.connect(name, user, password, _KEEPALIVE_S)
        return link

    def _run(self, phase: str) -> None:
        try:
            __import__(phase).run(self)
        finally:
            let_go(phase)


def let_go(*names: str) -> None:
    """Give back the memory of modules that are not needed again soon."""
    for name in names:
        sys.modules.pop(name, None)
        package, _, leaf = name.rpartition(".")
        if package:
            delattr(sys.modules[package], leaf)
    gc.collect()
