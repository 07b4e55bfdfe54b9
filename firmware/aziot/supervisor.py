"""Where to connect next, with which key, and how long to wait before: Microsoft's table.

Decisions only, from what happened and the time that is passed in; nothing here waits, connects
or reads a clock (protocol.md 3.1; azure/iot-dps/how-to-reprovision).

    what happened                            next                        after
    booted with an assignment kept           hub                         at once
    booted with none                         DPS                         at once
    hub refused us (CONNACK 2, 4, 5)         DPS                         at once; again: backoff
    hub not reached, lost, or busy           hub, DPS after 15 - 30 min  backoff
    DPS assigned                             hub                         at once
    DPS 401, a secondary key is there        DPS with the other key      at once; again: slowly
    DPS 401, 403, 404, disabled, failed      DPS                         slowly
    DPS 429, 5xx, not reached                DPS                         backoff, or retry-after
    DPS failed, asked out of patience        the hub that is kept        as above
"""

from ._const import const
from .backoff import delay_s
from .errors import Refused, ServiceError

HUB = const(0)
DPS = const(1)

_PATIENCE_S = const(900)  # and once more as much by jitter, before DPS is asked about a hub
_SLOW_FLOOR_S = const(600)
_SLOW_CAP_S = const(3600)


class Supervisor:
    """What a board does next. keys: how many it has, 1 or 2.

    step: HUB or DPS; key: 0 for the primary, 1 for the secondary.
    """

    def __init__(self, assigned: bool, keys: int) -> None:
        self.step = HUB if assigned else DPS
        self.key = 0
        self._keys = keys
        self._tried = 1  # how many of the keys, since one was last good
        self._attempt = 0
        self._lost_at: float | None = None  # since when the hub has not been reached
        self._impatient = False  # DPS is asked though nobody refused the hub that is kept

    def assigned(self) -> None:
        """DPS gave a hub. The count of failures stays: only the hub itself ends it."""
        self.step = HUB
        self._tried = 1
        self._impatient = False

    def connected(self) -> None:
        """The hub acknowledged a message: to be let in is not enough, when it is over quota."""
        self._attempt = 0
        self._tried = 1
        self._lost_at = None

    def failed(self, error: Exception, now_s: float, jitter: float) -> float:
        """Take a failure of the current step; return the seconds to wait before the next one.

        now_s: seconds of any clock that only goes forward; jitter: random, 0 <= jitter < 1.
        """
        wait_s = self._hub_failed(error, now_s, jitter)
        if wait_s is None:
            wait_s = self._dps_failed(error, jitter)
        self._attempt += 1
        retry_after_s = error.retry_after_s if isinstance(error, ServiceError) else None
        return max(wait_s, retry_after_s or 0)

    def _hub_failed(self, error: Exception, now_s: float, jitter: float) -> float | None:
        if self.step != HUB:
            return None
        wait_s = delay_s(self._attempt, jitter)
        if isinstance(error, Refused) and not error.transient:
            self.step = DPS
            self._impatient = False
            return wait_s if self._attempt else 0
        if self._lost_at is None:
            self._lost_at = now_s
        elif now_s - self._lost_at > _PATIENCE_S * (1 + jitter):
            self.step = DPS
            self._impatient = True
            self._lost_at = None  # if DPS names the same hub, it has its patience again
        return wait_s

    def _dps_failed(self, error: Exception, jitter: float) -> float:
        if self._impatient:
            self.step = HUB
        if not isinstance(error, ServiceError) or error.transient:
            return delay_s(self._attempt, jitter)
        if error.status == 401 or isinstance(error, Refused):
            self.key = (self.key + 1) % self._keys
            self._tried += 1
            if self._tried <= self._keys:
                return 0
        return delay_s(self._attempt, jitter, _SLOW_FLOOR_S, _SLOW_CAP_S)
