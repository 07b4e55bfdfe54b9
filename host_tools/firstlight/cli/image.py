"""`firstlight image`: one file that holds MicroPython and the firmware, to write a board once.

Puts options together; what lies where, flash/ knows. Never puts an identity into the file: it is
for many boards.
"""

import hashlib
from pathlib import Path
from typing import Any

import click

from ..boards import Board
from ..errors import UsageError
from ..flash.pieces import Image
from ..flash.whole import merged
from ..stage import StagedFile
from ..wholefile import write_whole
from .contents import content_options, files_from, image_from, kind_from
from .identity import root_option


@click.command()
@click.argument("board")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write: .bin, or .uf2 for an RP2.",
)
@content_options
@root_option
@click.option("--no-firmware", is_flag=True, help="MicroPython alone, without the files.")
def image(board: str, out: Path, **wishes: Any) -> None:
    """Make one file that holds MicroPython and the firmware for a BOARD, but no identity.

    Each board is written once with it, and gets its identity afterwards: `firstlight inject`
    finds every file in place. The same input makes the same file, so its SHA-256 can be kept.
    For VIRTUAL the file is the flash of a virtual board.

    \b
    Examples:
      firstlight image ESP32_GENERIC --out esp32.bin
      firstlight image RPI_PICO_W --image my-build.uf2 --app app.py --out pico.uf2
      esptool --chip esp32 write-flash 0x1000 esp32.bin
    """
    kind = kind_from(board, wishes)
    made = image_from(kind, wishes)
    files = [] if wishes["no_firmware"] else files_from(kind, made, wishes)
    data = merged(kind, made, files)
    _write(out, data, 0o600 if kind.loader == "virtual" else 0o644)
    click.echo(f"{out}: {len(data)} bytes, {_told(kind, made, files)}")
    click.echo(f"SHA-256 {hashlib.sha256(data).hexdigest()}")


def _told(kind: Board, made: Image | None, files: list[StagedFile]) -> str:
    what = [f"MicroPython from {made.source}"] if made else []
    what += [f"{len(files)} files"] if files else []
    place = {
        "esptool": f"to be written at {kind.flash_offset or 0:#x}",
        "uf2": f"to be copied onto the drive {kind.uf2.board_id if kind.uf2 else ''}",
    }.get(kind.loader, "a virtual board's flash.img")
    return f"{' and '.join(what)}, {place}"


def _write(out: Path, data: bytes, mode: int) -> None:
    """Write in one step: nobody flashes half a file. A virtual flash will hold a key one day."""
    if out.exists() and not out.is_file():
        raise UsageError(f"cannot write {out}: it is not a file")  # as root: never /dev/null
    try:
        write_whole(out, data, mode)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from None
