"""What a unit has behind it, and what comes next: read from the record's entries alone. Pure.

    flash -> (identify) -> inject -> prove -> boot -> unit -> label

`unit` is the row that says that the unit is a device now; it is there once. To identify a unit
leaves nothing behind, so it is no stage of the record: it is done each time.

What was begun and not done counts as not done, and so does what it may have undone: a unit that
is flashed anew has lost its identity. A unit that was finished once is only mended, whatever
image the line flashes today, and whatever it gives its units to prove themselves with.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

STAGES = ("flash", "inject", "prove", "boot", "unit", "label")
# Facts that say with what a unit was made: the fingerprint of a group's key, or of a CA's root.
MADE_WITH = ("group_key", "authority")
_LASTING = ("unit", "label")  # what no stage undoes


class Noted(Protocol):
    """As much of a record's entry as says what comes next."""

    @property
    def stage(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def facts(self) -> dict[str, str]: ...


def remaining(
    history: Iterable[Noted], wanted: Sequence[str], image: str, key: str = ""
) -> list[str]:
    """Return the stages among wanted that are still to do, in order.

    history: the unit's entries, oldest first. image: the hash of what the line flashes. key: the
    fingerprint of the group key or the CA that the line injects with; "": any.
    """
    done: dict[str, dict[str, str]] = {}  # stage to what was noted of it
    torn: set[str] = set()
    for entry in history:
        if entry.stage not in STAGES:
            continue
        if entry.outcome == "done":
            done[entry.stage] = entry.facts
            # What was begun before the unit was proven a device is settled by that.
            torn = set() if entry.stage == "unit" else torn - {entry.stage}
        elif entry.outcome in ("begun", "failed"):
            torn |= _undone_by(entry.stage, done)
            done = {stage: facts for stage, facts in done.items() if stage not in torn}
    if "unit" in done:
        return [s for s in wanted if s in torn or (s == "label" and s not in done)]
    if "flash" in wanted and done.get("flash", {}).get("image", "") != image:
        done = {}
    stale = _undone_by("inject", done) if key and _differs(done.get("inject", {}), key) else set()
    return [stage for stage in wanted if stage not in done or stage in stale]


def injected(history: Iterable[Noted]) -> dict[str, str]:
    """The facts of the injection that the unit's identity came from; none: not known."""
    found: dict[str, str] = {}
    for entry in history:
        if (entry.stage, entry.outcome) == ("inject", "done"):
            found = entry.facts
    return found


def made_with(facts: Mapping[str, str]) -> tuple[str, str]:
    """Which of MADE_WITH an injection had, and the fingerprint; "" and "": not known."""
    return next(((name, facts[name]) for name in MADE_WITH if facts.get(name)), ("", ""))


def finished(history: Iterable[Noted]) -> bool:
    """Whether the unit was a device once, whatever became of it."""
    return any(entry.stage == "unit" and entry.outcome == "done" for entry in history)


def _differs(facts: Mapping[str, str], key: str) -> bool:
    return made_with(facts)[1] not in ("", key)


def _undone_by(stage: str, done: Iterable[str]) -> set[str]:
    """The stage itself, and what was done that it may undo."""
    if stage in _LASTING:
        return {stage}
    later = STAGES[STAGES.index(stage) :]
    return {stage} | {one for one in later if one in done and one not in _LASTING}
