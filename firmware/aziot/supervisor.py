"""Where to connect next, with which key, and how long to wait before: Microsoft's table.

Decisions only, from what is known, what happened, and the time and the chance that are passed in;
nothing here waits, connects, reads a clock or changes what it was given (protocol.md 3.1;
azure/iot-dps/how-to-reprovision). What is known is a plan: a dict that JSON can hold.

    what happened                           next                             after
    booted with an assignment kept          hub, the clock first             at once
    booted with none                        DPS, the clock first             at once
    no network, or no plausible time        the same                         backoff
    ... each second time                    the same, the radio restarted    backoff
    hub not reached, lost, or busy          hub; DPS after 15 - 30 min       backoff
    hub refused us (CONNACK 2, 4, 5)        DPS                              at once
    ... again, though DPS had named it      DPS                              backoff, to an hour
    DPS assigned                            hub                              at once
    DPS 429, 5xx, not reached, ...          DPS; if the hub that is kept     backoff, retry-after
                                            did not refuse us: that hub
    DPS 401, and a key is left to try       DPS with the other key           at once
    DPS 401, 403, 404, disabled, failed     DPS; if a hub is kept: that hub  slowly
    ... and no hub had refused us           the hub, patient again           backoff
    hub or DPS silent, each third failure   the same, the radio restarted    the same
    refused for who we are, and the clock   the same, the clock first        at once
    was not asked for a minute
    ... it was wrong by a minute            the same                         at once
    ... it was right, or nobody knows       as if refused only now
    the token's life is over                hub; each day the clock first    at once
    asked to provision anew                 DPS; the hub is kept             at once
    the hub acknowledged something          the same, nothing held against it
    nobody has answered for 2 - 4 hours     a reset

Backoff: 5 s, twice as long each time, to 5 minutes at the most. Slowly: 10 minutes, to an hour.
"""

from ._const import const
from .backoff import delay_s
from .errors import Refused, ServiceError

_TYPING = const(0)
if _TYPING:
    from typing import Any

_HUB = const(0)
_DPS = const(1)

_PATIENCE_S = const(900)  # before DPS is asked about a hub, and by jitter up to ...
_MORE_S = const(600)  # ... so much more; the last wait of 5 minutes makes half an hour of it
_SILENCE_S = const(7200)  # likewise, before the board is reset
_SLOW_S = const(1200)  # half of it is the shortest wait of the slow path
_HOUR_S = const(3600)
_DAY_S = const(86400)
_CLOCK_S = const(60)  # what a clock may be wrong by, and how old its setting may be
_DOUBT = const(2)  # for sync: a refusal waits for the clock's answer


def begin(assigned: bool, keys: int) -> dict:
    """Return the plan of a board that boots. assigned: it knows a hub; keys: it has, 1 or 2.

    step: 0 the hub, 1 DPS; key: 0 or 1; sync: ask for the time before; radio: restart the network
    interface before; reset: reset the board now; wait_s: seconds before any of it, 0 to 3600.
    The rest is after()'s own.
    """
    return {
        "step": _HUB if assigned else _DPS,
        "key": 0,
        "sync": True,
        "radio": False,
        "reset": False,
        "wait_s": 0,
        "keys": keys,
        "tried": 0,  # keys that DPS refused in a row
        "hub": int(assigned),  # 0: none is kept; else 1 + how often it refused us since it served
        "failed": 0,  # steps, since the hub served
        "misses": 0,  # of the network or the time, in a row
        "dps_at": 0,  # when patience with the hub ends; 0: it is not being tried
        "reset_at": 0,  # when silence ends in a reset; 0: not known yet
        "clock": 0,  # when the clock was asked for last
    }


def after(plan: dict, event: str, what: "Any", now_s: float, jitter: float) -> dict:
    """Return what to do after an event, with plan left as it is.

    event, and what: "offline" the network is not joined, "timeless" there is no plausible time,
    "failed" the step did, each with its error; "clock" was asked, the seconds that it was wrong
    by, 0 if nobody knows; "assigned" by DPS; "alive": the hub acknowledged something; "renew" the
    token; "reprovision" was asked for: None. now_s: of any clock that only goes forward, and that
    goes on as long as the plan is kept; jitter: random, 0 <= jitter < 1.
    """
    plan = plan.copy()
    plan["radio"] = False
    plan["wait_s"] = 0
    heard = isinstance(what, ServiceError)
    misses = 0
    if event in ("offline", "timeless"):
        misses = plan["misses"] + 1
        plan["wait_s"] = wait_s = delay_s(misses - 1, jitter)
        plan["radio"] = not misses & 1
        if plan["dps_at"]:
            plan["dps_at"] += wait_s
    elif event == "failed":
        _failed(plan, what, now_s, jitter)
    else:
        heard = what != 0
        _passed(plan, event, what, now_s, jitter)
    plan["misses"] = misses
    if heard or not plan["reset_at"]:
        plan["reset_at"] = now_s + _SILENCE_S * (1 + jitter)
    plan["reset"] = now_s >= plan["reset_at"]
    return plan


def _passed(plan: dict, event: str, what: "Any", now_s: float, jitter: float) -> None:
    """Take what is no failure."""
    if event == "clock":
        doubt = plan["sync"] == _DOUBT
        plan["sync"] = False
        plan["clock"] = now_s
        if doubt and what < _CLOCK_S:
            _failed(plan, Refused(5), now_s, jitter)
        elif doubt:
            plan["clock"] += _HOUR_S  # above suspicion: the next refusal counts
    elif event == "reprovision":
        plan["step"] = _DPS
        plan["hub"] = 1
    else:
        plan["step"] = _HUB
        plan["tried"] = plan["dps_at"] = 0
        if event != "assigned":
            plan["hub"] = plan["failed"] = 0
        plan["hub"] = plan["hub"] or 1
        if event == "renew":
            plan["sync"] = now_s - plan["clock"] > _DAY_S


def _failed(plan: dict, what: "Any", now_s: float, jitter: float) -> None:
    """Take a failure of the step. A refusal of who we are waits for a clock asked just now."""
    spoke = isinstance(what, ServiceError)
    final = spoke and not what.transient
    refused = final and (isinstance(what, Refused) or what.status == 401)
    plan["sync"] = now_s - plan["clock"] > _CLOCK_S
    if refused and plan["sync"]:
        plan["sync"] = _DOUBT
        return
    plan["wait_s"] = delay_s(plan["failed"], jitter)
    if plan["step"] == _HUB:
        _hub_failed(plan, refused, now_s, jitter)
    else:
        _dps_failed(plan, refused, final, jitter)
    plan["failed"] += 1
    plan["radio"] = isinstance(what, OSError) and plan["failed"] % 3 == 0
    if spoke:
        plan["wait_s"] = max(plan["wait_s"], what.retry_after_s or 0)


def _hub_failed(plan: dict, refused: bool, now_s: float, jitter: float) -> None:
    hub = plan["hub"]
    if not plan["dps_at"]:
        plan["dps_at"] = now_s + _PATIENCE_S + _MORE_S * jitter
    if refused:
        plan["hub"] += 1
        plan["wait_s"] = delay_s(hub - 2, jitter, 10, _HOUR_S) if hub > 1 else 0
    elif now_s + plan["wait_s"] < plan["dps_at"]:
        return
    else:
        plan["hub"] = 1
    plan["step"] = _DPS


def _dps_failed(plan: dict, refused: bool, final: bool, jitter: float) -> None:
    hub = plan["hub"]
    if refused:
        plan["key"] = (plan["key"] + 1) % plan["keys"]
        plan["tried"] = (plan["tried"] + 1) % plan["keys"]
        if plan["tried"]:
            plan["wait_s"] = 0
            return
    if hub != 1:
        if not final:
            return
        plan["wait_s"] = delay_s(plan["failed"], jitter, _SLOW_S, _HOUR_S)
    if hub:
        plan["step"] = _HUB
        plan["hub"] = 1
        plan["dps_at"] = 0
