"""Faults on demand: what is to go wrong, where, for whom and how often; and whether it does now.

Pure: no sockets, no clock of its own, no chance but what a seed gives. Carrying a fault out is the
business of those who carry bytes and answers (mqtt/trouble.py, threshold.py, answers.py).

    faults.add(parse_text("poll-answer refuse status=429 device=esp32-a1b2c3 times=2"))
    for hit in faults.pick("poll-answer", ANSWER, Whom(device="esp32-a1b2c3")): ...
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..answers import Json, RandomBytes
from ..events import Emit, event
from .points import DOOR, POINTS
from .specs import BadFault, Fault
from .table import LONGEST_S

MAX_FAULTS = 1000
_MAX_PAYLOADS = 1000


@dataclass(frozen=True)
class Whom:
    """Whose moment it is. Empty where it is not known, as the device before its CONNECT."""

    device: str = ""
    hub: str = ""
    part: str = ""
    over: str = ""
    address: str = ""


@dataclass(frozen=True)
class Hit:
    """A fault that strikes now, and its id."""

    id: str
    fault: Fault

    @property
    def do(self) -> str:
        return self.fault.do

    @property
    def args(self) -> Json:
        return self.fault.args


class _Entry:
    """A fault with its counts. number: its place in the order of adding."""

    def __init__(self, number: int, fault: Fault) -> None:
        self.number, self.fault = number, fault
        self.matches = self.hits = 0

    @property
    def id(self) -> str:
        return f"f{self.number}"

    @property
    def left(self) -> int | None:
        times = self.fault.when["times"]
        return None if times is None else times - self.hits

    def strikes(self) -> bool:
        """Count a match; whether the fault strikes."""
        when = self.fault.when
        self.matches += 1
        number = self.matches - when["after"]
        if number <= 0 or number % when["every"] or self.left == 0:
            return False
        if when["probability"] < 1 and _chance(when["seed"], self.matches) >= when["probability"]:
            return False
        self.hits += 1
        return True

    def document(self) -> Json:
        """The fault, its id and its counts."""
        counts = {"matches": self.matches, "hits": self.hits, "left": self.left}
        return {"id": self.id} | self.fault.document() | counts


class Faults:
    """All faults of a local Azure.

    is_set: whether any can still strike; is_set_at_door: any at accept or hello. payloads: what
    devices sent when they registered, by registration id, kept only while wants_payloads.
    """

    def __init__(self, emit: Emit, clock: Callable[[], float], random_bytes: RandomBytes) -> None:
        self._emit, self.clock, self.random_bytes = emit, clock, random_bytes
        self._entries: dict[str, _Entry] = {}
        self._by_point: dict[tuple[str, str], list[_Entry]] = {}
        self._last = 0
        self.is_set = self.is_set_at_door = self.wants_payloads = False
        self.payloads: dict[str, Any] = {}

    def add(self, fault: Fault) -> Json:
        """Set a fault; return its document. Raise BadFault if there are too many."""
        if len(self._entries) >= MAX_FAULTS:
            used = next((entry.id for entry in self._entries.values() if entry.left == 0), None)
            if used is None:
                raise BadFault(f"there are {MAX_FAULTS} faults already; clear some")
            del self._entries[used]
        self._last += 1
        entry = _Entry(self._last, fault)
        self._entries[entry.id] = entry
        self._index()
        return entry.document()

    def all(self) -> list[Json]:
        """Every fault that was not cleared, oldest first; used-up ones too."""
        return [entry.document() for entry in self._entries.values()]

    def get(self, id: str) -> Json | None:
        """One fault's document."""
        entry = self._entries.get(id)
        return entry.document() if entry else None

    def clear(self, id: str | None = None) -> bool:
        """Take away one fault, or all; whether there was one. What it holds, it holds on."""
        found = id is None or id in self._entries
        if id is None:
            self._entries.clear()
        else:
            self._entries.pop(id, None)
        self._index()
        return found

    def pick(self, point: str, stage: str, whom: Whom) -> list[Hit]:
        """What strikes at this point now, oldest first; each is counted and told."""
        names = (point, *POINTS[point].within)
        found = [entry for name in names for entry in self._by_point.get((name, stage), ())]
        hits = [
            Hit(entry.id, entry.fault)
            for entry in sorted(found, key=lambda entry: entry.number)
            if _is_for(entry.fault, whom) and entry.strikes()
        ]
        for hit in hits:
            self._tell(hit, point, whom)
        if any(self._entries[hit.id].left == 0 for hit in hits):
            self._index()
        return hits

    def remember(self, registration_id: str, payload: Any) -> None:
        """Keep a payload for a fault of the action `payload`."""
        self.payloads.pop(registration_id, None)
        self.payloads[registration_id] = payload
        if len(self.payloads) > _MAX_PAYLOADS:
            del self.payloads[next(iter(self.payloads))]

    def _index(self) -> None:
        self._by_point = {}
        for entry in self._entries.values():
            if entry.left != 0:
                place = entry.fault.at, entry.fault.action.stage
                self._by_point.setdefault(place, []).append(entry)
        self.is_set = bool(self._by_point)
        self.is_set_at_door = any(stage == DOOR for _, stage in self._by_point)
        self.wants_payloads = any(
            entry.fault.do == "payload" and entry.left != 0 for entry in self._entries.values()
        )
        if not self.wants_payloads:
            self.payloads.clear()

    def _tell(self, hit: Hit, point: str, whom: Whom) -> None:
        who = whom.device or whom.hub or whom.address or "?"
        what = f"{hit.id} strikes at {point}: {hit.fault}"
        self._emit(event(self.clock(), "fault", who, what, fault=hit.id))


def delay_s(hits: list[Hit]) -> float:
    """How long faults delay, in all: an hour at most."""
    return min(LONGEST_S, sum(float(hit.args["seconds"]) for hit in hits if hit.do == "delay"))


def no_faults() -> Faults:
    """For a service that nobody tells to fail."""
    return Faults(lambda _: None, lambda: 0.0, bytes)


def _is_for(fault: Fault, whom: Whom) -> bool:
    # Registration ids and host names have no case, and a fault is for both of a device's ids.
    if POINTS[fault.at].way == DOOR and fault.whom["over"] is None and whom.over != "mqtt":
        return False  # or nobody could clear it over HTTPS
    for name, wanted in fault.whom.items():
        if wanted is not None and wanted.lower() != getattr(whom, name).lower():
            return False
    return True


def _chance(seed: int, number: int) -> float:
    """From 0 to 1, by the seed and the number alone."""
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)
