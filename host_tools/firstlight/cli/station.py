"""A line's set-up from its options: all is read, checked and fetched before a unit is touched.

Prints what it fetches; asks for secrets where they are kept, once.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from .. import boards, keys
from ..boards import Board
from ..errors import UsageError
from ..flash.flashing import Options
from ..flash.pieces import Piece
from ..flash.whole import pieces
from ..inject import checked
from ..labels import check
from ..labels import template as templates
from ..line.seats import Seats, Wanted, parse
from ..line.station import Flashing, Labelling, Station
from ..record.record import Record
from ..stage import StagedFile, plan
from .contents import files_from, image_from
from .credentials import of_line
from .identity import document_from, roots_from_wishes
from .inject import with_app
from .record import record_url

_TEMPLATE = re.compile(r"[^{}]*\{serial(:0?[1-9]?d?)?\}[^{}]*")


@contextmanager
def opened(kinds: tuple[str, ...], wishes: Mapping[str, Any]) -> Iterator[Station]:
    """The station that the options describe, its record open. Raise ToolError before any work."""
    wanted = _wanted(kinds)
    document = document_from(wishes)
    if not document.keys() & {"wifi", "ethernet"}:
        raise UsageError("no unit could reach its hub: name a network, --wifi or --ethernet")
    naming = _naming(wishes["template"])
    credentials = of_line(wishes)  # before a child process is started: it gets the environment
    first = naming(1) if naming else "unit"  # one is made to see that it can be, and forgotten
    checked(document | {"registration_id": first} | credentials.make(first).section)
    made: dict[str, Any] = {
        "document": document,
        "credentials": credentials,
        "files": _files(wishes),
        "seats": Seats(wanted),
        "wanted": _stages(wishes),
        "flashing": None if wishes["no_flash"] else _flashing(wanted, wishes),
        "options": Options(wishes["erase"], not wishes["no_verify"], wishes["baud"]),
        "naming": naming,
        "again": wishes["again"],
        "first_boot_s": float(wishes["first_boot_s"] or 0),
        "labelling": _labelling(wanted, wishes),
    }
    with Record.open(record_url(wishes["record_source"]), wishes["station"]) as record:
        yield Station(record=record, **made)


def _wanted(kinds: tuple[str, ...]) -> list[Wanted]:
    if not kinds:
        raise UsageError(f"name what the line makes: one or more of {', '.join(boards.names())}")
    return [parse(text, boards.load(text.partition("=")[0])) for text in kinds]


def _stages(wishes: Mapping[str, Any]) -> tuple[str, ...]:
    chosen = {
        "flash": not wishes["no_flash"],
        "inject": True,
        "prove": True,
        "boot": bool(wishes["first_boot_s"]),
        "unit": True,
        "label": wishes["labels"] is not None,
    }
    return tuple(stage for stage, is_wanted in chosen.items() if is_wanted)


def _files(wishes: Mapping[str, Any]) -> Callable[[bool], list[StagedFile]]:
    roots = roots_from_wishes(wishes)

    @lru_cache(maxsize=2)
    def files(loads_mpy: bool) -> list[StagedFile]:
        return with_app(plan(loads_mpy and not wishes["source"], roots), wishes["app"])

    files(True)  # what cannot be had is told now
    return files


def _flashing(wanted: list[Wanted], wishes: Mapping[str, Any]) -> Callable[[Board], Flashing]:
    """Fetch and check every kind's image now; what a unit gets depends on its flash's size."""
    named = _images(wishes["images"], [one.board for one in wanted])
    if wishes["sha256"] and len(wanted) > 1:
        raise UsageError("--sha256 is of one image; put it into the kinds' board.json instead")
    images = {}
    for board in {one.board.id: one.board for one in wanted}.values():
        asked = {**wishes, "image": named.get(board.id)}
        images[board.id] = image_from(board, asked)
        files_from(board, images[board.id], asked)

    @lru_cache(maxsize=32)
    def made(board: Board) -> Flashing:
        image = images[board.id]
        parts = pieces(board, image, files_from(board, image, wishes))
        return Flashing(parts, _hash(parts))

    for one in wanted:
        made(one.board)
    return made


def _hash(parts: list[Piece]) -> str:
    whole = sha256()
    for piece in parts:
        whole.update(piece.offset.to_bytes(8, "big") + len(piece.data).to_bytes(8, "big"))
        whole.update(piece.data)
    return whole.hexdigest()


def _images(given: tuple[str, ...], kinds: list[Board]) -> dict[str, Path]:
    """--image FILE for the one kind, or BOARD=FILE for each."""
    found = {}
    known = {board.id for board in kinds}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or name not in boards.names():
            if len(known) > 1:
                raise UsageError(f"--image {text}: say which kind it is for, as BOARD=FILE")
            name, path = next(iter(known)), text
        if name not in known:
            raise UsageError(f"--image {text}: this line makes no {name}")
        found[name] = Path(path)
    return found


def _naming(template: str | None) -> Callable[[int], str] | None:
    """What makes a registration id of a serial number; raise UsageError for a bad template."""
    if template is None:
        return None

    def named(serial: int) -> str:
        return keys.registration_id(template.format(serial=serial))

    if not _TEMPLATE.fullmatch(template):
        raise UsageError("--name needs one {serial}, as in sensor-{serial:06d}")
    named(1)  # what DPS would refuse is told now
    return named


def _labelling(wanted: list[Wanted], wishes: Mapping[str, Any]) -> Labelling | None:
    if wishes["labels"] is None:
        return None
    template = templates.load(wishes["label_template"]) if wishes["label_template"] else None
    check(wishes["forms"], template, [one.board.product for one in wanted])
    return Labelling(wishes["labels"], tuple(wishes["forms"]), template)
