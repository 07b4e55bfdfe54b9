"""Individual enrollments for a whole batch of devices, ten a call: told, bounded, and repeatable.

Never writes over an enrollment: one that is there is told and passed over, so that a batch which
was interrupted completes when it is repeated. A call that may pass later is tried again, after as
long as the service asks for.
"""

import csv
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from . import keys
from .azure import MOST_AT_ONCE, Kind, NoKeys
from .azurecalls import Json, NotNow
from .custody import check_private, write_private
from .errors import ServiceError, ToolError, UsageError

_T = TypeVar("_T")
_TRIES = 6
_PAUSE_S = 2  # doubled with each try, where the service does not say
_CONFLICT = 409
_HEAD = ["registration_id", "primary_key", "secondary_key"]
_FIRST = (",".join(_HEAD) + "\n").encode()
_MOST_BYTES = 1 << 28  # of a file of keys: a million devices'


class BulkService(Protocol):
    """What a batch asks of azure.Service."""

    def bulk(self, mode: str, documents: Sequence[Json]) -> dict[str, tuple[int, str]]:
        """See azure.Service."""

    def key_pair(self, kind: Kind, name: str) -> tuple[str, str]:
        """See azure.Service."""


@dataclass
class Outcome:
    """What became of a batch, by registration id; refused: with the service's words."""

    enrolled: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many ids it is of."""
        return len(self.enrolled) + len(self.already) + len(self.refused)

    def without(self, whys: Mapping[str, str]) -> None:
        """Take note of those that are there, but whose keys the service does not have."""
        self.enrolled = [name for name in self.enrolled if name not in whys]
        self.already = [name for name in self.already if name not in whys]
        self.refused |= whys


def enroll(
    service: BulkService,
    documents: Iterable[Json],
    progress: Callable[[Outcome, Sequence[str]], None],
    say: Callable[[str], None],
    wait: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Create the enrollments; progress is told after each call, with the ids that are enrolled.

    Raise ServiceError if the service does not answer, or refuses a call as a whole.
    """
    outcome = Outcome()
    for part in _tens(documents):
        names = [str(one["registrationId"]) for one in part]
        refused = patient(partial(service.bulk, "create", part), say, wait)
        for name in names:
            _sort(outcome, name, refused)
        progress(outcome, [name for name in names if name not in outcome.refused])
    return outcome


def patient(
    call: Callable[[], _T], say: Callable[[str], None], wait: Callable[[float], None] = time.sleep
) -> _T:
    """Make a call, and again while the service says "not now": 6 times at most, then raise."""
    for attempt in range(_TRIES - 1):
        try:
            return call()
        except NotNow as error:
            pause_s = _PAUSE_S << attempt if error.wait_s is None else max(1, error.wait_s)
            say(f"{error}; again in {pause_s} s")
            wait(pause_s)
    return call()


class KeysFile:
    """A CSV of keys, for its owner alone: new, or one that an interrupted batch left.

    Grows by whole lines; a line that a cut left half written is taken away. Raise ToolError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.exists():
            self.names = self._taken_up()
        else:
            write_private(path, _FIRST.decode())
            self.names = set()

    def add(
        self, service: BulkService, names: Iterable[str], say: Callable[[str], None]
    ) -> dict[str, str]:
        """Fetch the keys of those that are not in it yet; return who has none, and why."""
        rows, without = [], {}
        for name in names:
            if name not in self.names:
                try:
                    pair = patient(partial(service.key_pair, "enrollments", name), say)
                    rows.append([name, *pair])
                except NoKeys as error:
                    without[name] = str(error)
        if rows:
            self._append(rows)
        return without

    def _append(self, rows: list[list[str]]) -> None:
        try:
            with self._path.open("a", encoding="ascii", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ToolError(f"{self._path} cannot be written: {error.strerror}") from None
        self.names.update(row[0] for row in rows)

    def _taken_up(self) -> set[str]:
        what = "a batch's keys"
        try:
            with self._path.open("r+b") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
                    raise UsageError(f"{self._path} is not a file of {what}")
                check_private(found, self._path, what)
                raw = file.read()
                if len(raw) < len(_FIRST) and _FIRST.startswith(raw):  # cut as it was made
                    file.write(_FIRST[len(raw) :])
                    return set()
                whole = raw[: raw.rfind(b"\n") + 1]
                names = set(_names(self._path, whole))
                file.truncate(len(whole))
        except OSError as error:
            why = error.strerror or "it is not a file"  # a pipe's has none
            raise ToolError(f"{self._path} cannot be read: {why}") from None
        return names


def _names(path: Path, raw: bytes) -> Iterator[str]:
    if not raw.startswith(_FIRST):
        raise UsageError(f"{path} is another file: keys are not added to it; name a new one")
    for line in raw[len(_FIRST) :].decode("ascii", "replace").splitlines():
        row = line.split(",")  # none of the three may have a comma, or need a quote
        if len(row) != len(_HEAD):
            raise UsageError(f"{path} has a line that is not a device's keys; name a new file")
        yield keys.registration_id(row[0])


def _sort(outcome: Outcome, name: str, refused: Mapping[str, tuple[int, str]]) -> None:
    if name not in refused:
        outcome.enrolled.append(name)
        return
    code, words = refused[name]
    if code // 1000 == _CONFLICT:
        outcome.already.append(name)
    else:
        outcome.refused[name] = f"{words} (code {code})"


def _tens(documents: Iterable[Json]) -> Iterator[list[Json]]:
    left = iter(documents)
    while part := list(islice(left, MOST_AT_ONCE)):
        yield part


def check(outcome: Outcome) -> None:
    """Raise ServiceError if a device of the batch was refused."""
    if outcome.refused:
        raise ServiceError(
            f"{len(outcome.refused)} of {outcome.count} devices were refused, each is named "
            "above; correct that, and repeat the same command: it goes on with what is missing"
        )
