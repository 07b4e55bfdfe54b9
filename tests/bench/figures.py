"""What measurements come to: the least, the middle and the most of them, their ratios, a verdict.

Pure. A ratio is of two readings of the same round, so that what slows the machine slows both.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

_T = TypeVar("_T")
_NAME_WIDTH, _WIDTH = 32, 10


@dataclass(frozen=True)
class Size:
    """How much is measured. per_round: devices; processes: of clients, at each server.

    is_quick: too little to judge by.
    """

    rounds: int = 7
    per_round: int = 600
    devices: int = 10_000
    senders: int = 20
    messages: int = 500
    processes: int = 2
    is_quick: bool = False


QUICK = Size(
    rounds=1, per_round=12, devices=24, senders=4, messages=20, processes=1, is_quick=True
)


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    least: float
    middle: float
    most: float

    def columns(self, digits: int) -> list[str]:
        """As they are printed."""
        return [f"{value:.{digits}f}" for value in (self.least, self.middle, self.most)]


@dataclass(frozen=True)
class Target:
    """Something that must hold. is_met: None if too little was measured to say."""

    what: str
    found: str
    is_met: bool | None

    def text(self) -> str:
        """One line."""
        verdict = {True: "met", False: "MISSED", None: "not judged"}[self.is_met]
        return f"{verdict:10}  {self.what}: {self.found}"


def spread(values: Sequence[float]) -> Spread:
    """Of one value or more."""
    return Spread(min(values), median(values), max(values))


def ratios(values: Sequence[float], of: Sequence[float]) -> Spread:
    """values / of, round by round."""
    return spread([value / base for value, base in zip(values, of, strict=True)])


def exit_code(targets: Iterable[Target]) -> int:
    """1 if a target was missed."""
    return int(any(target.is_met is False for target in targets))


def table(
    title: str,
    readings: Mapping[str, Sequence[_T]],
    take: Callable[[_T], float],
    digits: int = 0,
) -> str:
    """One figure of every reading, a row for each name."""
    rows = [
        row(name, spread([take(reading) for reading in found]).columns(digits))
        for name, found in readings.items()
    ]
    return "\n".join([row(title, ["least", "median", "most"]), *rows, ""])


def row(name: str, columns: Iterable[str]) -> str:
    """A line of a table."""
    return f"{name:{_NAME_WIDTH}}" + "".join(f"{text:>{_WIDTH}}" for text in columns)
