"""What all units of a line share: the record, credentials, images, files, and what is wanted.

Made once, before the first unit is touched; read by every unit's thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..boards import Board
from ..flash.flashing import Options
from ..flash.pieces import Piece
from ..record.record import Record
from ..stage import StagedFile
from .credentials import Credentials
from .seats import Seats

Json = dict[str, Any]


@dataclass(frozen=True)
class Flashing:
    """What a kind of board is flashed with. image: the hash of all pieces together."""

    pieces: Sequence[Piece]
    image: str


@dataclass(frozen=True)
class Labelling:
    """Where labels go, and in which forms. template: None for the built-in one."""

    folder: Path
    forms: tuple[str, ...]
    template: Any = None


@dataclass(frozen=True, repr=False)
class Station:
    """A line's set-up. Has no repr: its document may hold a Wi-Fi password.

    wanted: the stages that each unit goes through (stages.STAGES). document: the identity, but
    for name and credential. files: those of the firmware, as .mpy (True) or as source. naming:
    makes a registration id of a serial number; None: of the kind and the chip. first_boot_s: how
    long a unit may take to its first telemetry. flashing: what a board, with its unit's
    flash_bytes, is flashed with; None: the line flashes nothing.
    """

    record: Record
    seats: Seats
    wanted: tuple[str, ...]
    document: Json
    credentials: Credentials
    files: Callable[[bool], list[StagedFile]]
    flashing: Callable[[Board], Flashing] | None = None
    options: Options = field(default_factory=Options)
    naming: Callable[[int], str] | None = None
    again: bool = False
    first_boot_s: float = 120.0
    labelling: Labelling | None = None
