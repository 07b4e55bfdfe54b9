"""What goes into a board's flash, as options: MicroPython's image, and the firmware's files.

Checks and fetches before any board is touched.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import click

from .. import boards
from ..boards import Board
from ..errors import UsageError
from ..flash.images import obtain, version
from ..flash.pieces import Image
from ..inject import OLDEST
from ..stage import StagedFile, plan
from .identity import roots_from_wishes
from .inject import with_app

_MB = 1 << 20
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option(
        "--image",
        type=_FILE,
        help="MicroPython's image; by default upstream's, which is fetched once and kept.",
    ),
    click.option(
        "--sha256",
        metavar="HEX",
        help="What the image's SHA-256 must be, over all that is recorded.",
    ),
    click.option(
        "--flash-size",
        "flash_mb",
        type=click.IntRange(1, 64),
        metavar="MB",
        help="The size of an ESP32's flash, if not the kind's usual one: the file system fills "
        "it.",
    ),
    click.option("--app", type=_FILE, help="Your app.py instead of the example."),
    click.option(
        "--source",
        is_flag=True,
        help="Files as .py, not compiled: to debug with, or for a MicroPython of your own that "
        "takes no .mpy of version 6.",
    ),
)


def content_options(verb: Any) -> Any:
    """--image, --sha256, --flash-size, --app and --source."""
    return reduce(lambda done, option: option(done), reversed(_OPTIONS), verb)


def kind_from(name: str, wishes: Mapping[str, Any]) -> Board:
    """The board of that name, with the flash that --flash-size gives it."""
    kind = boards.load(name)
    if not wishes["flash_mb"]:
        return kind
    if kind.filesystem is not None:
        raise UsageError(f"--flash-size is for an ESP32: a {kind.id}'s files have a fixed place")
    return replace(kind, flash_bytes=wishes["flash_mb"] * _MB)


def image_from(kind: Board, wishes: Mapping[str, Any]) -> Image | None:
    """The image of --image, or upstream's; None for a board that has its MicroPython elsewhere."""
    if kind.loader == "virtual" and wishes["image"]:
        raise UsageError(f"a {kind.id} takes no --image: its MicroPython is this PC's")
    if kind.firmware is None and wishes["image"] is None:
        if wishes["sha256"]:
            raise UsageError("--sha256 is of an image: name one by --image")
        return None
    return obtain(kind, wishes["image"], wishes["sha256"], None, click.echo)


def files_from(kind: Board, made: Image | None, wishes: Mapping[str, Any]) -> list[StagedFile]:
    """The firmware's files. Raise UsageError if the image's MicroPython is too old for them."""
    found = version(kind, made.data) if made else None
    if found is not None and found < OLDEST:
        has, needs = (".".join(map(str, numbers)) for numbers in (found, OLDEST))
        raise UsageError(f"the image holds MicroPython {has}, and this firmware needs {needs}")
    return with_app(plan(not wishes["source"], roots_from_wishes(wishes)), wishes["app"])
