"""One unit as the screen shows it. Pure."""

from dataclasses import dataclass
from typing import Literal

State = Literal["working", "passed", "failed", "skipped", "waiting", "gone"]


@dataclass(frozen=True)
class Row:
    """What is known of the unit at a seat. progress: of its stage, 0.0 to 1.0; None: not known.

    message: what it is doing, or what is to be done with it.
    """

    seat: str
    board: str
    name: str
    stage: str
    progress: float | None
    state: State
    message: str
