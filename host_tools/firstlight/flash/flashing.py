"""One door to every way of flashing: the board's kind says which.

Only chooses; what is written, and how, the modules behind the door know.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..boards import Board
from ..errors import UsageError
from . import esptool, uf2, uf2drive, virtualflash
from .choice import Target, uf2_of
from .pieces import Piece, in_order
from .uf2drive import BENCH

_SECTOR = 4096  # what a boot ROM erases at a time

Progress = Callable[[float], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Where the board is: its serial port, or its boot loader, by its drive if that is mounted.

    Neither, for a board that is flashed by UF2: the one that comes into its boot loader.
    """

    port: str | None
    volume: Target | None = None


@dataclass(frozen=True)
class Options:
    """How to write. erase: all of the flash before, else only what the pieces take up.

    verify: read it back once more, where the way of flashing can. baud: of esptool. timeout_s: for
    a board to come into its UF2 boot loader.
    """

    erase: bool = False
    verify: bool = True
    baud: int = 460800
    timeout_s: float = BENCH.loader_s


def flash(
    board: Board,
    place: Place,
    pieces: Sequence[Piece],
    options: Options,
    progress: Progress,
    say: Say,
) -> None:
    """Write pieces to the flash of the board at that place, and start it.

    progress: from 0.0 to 1.0. Raise UsageError before anything is touched, BoardError later; each
    says what to do.
    """
    if not pieces:
        raise UsageError(f"there is nothing to write to a {board.id}: no image and no files")
    if board.loader == "uf2":
        uf2drive.write(
            board,
            port=place.port,
            volume=place.volume,
            uf2=_uf2_file(board, pieces, options.erase),
            progress=progress,
            say=say,
            bench=replace(BENCH, loader_s=options.timeout_s),
        )
    elif board.loader == "esptool":
        esptool.write(
            board,
            _port(board, place),
            pieces,
            erase=options.erase,
            verify=options.verify,
            baud=options.baud,
            progress=progress,
            say=say,
        )
    else:
        port = _port(board, place)
        virtualflash.write(port, _virtual_flash(port, pieces), progress, say)


def _uf2_file(board: Board, pieces: Sequence[Piece], erase: bool) -> bytes:
    blanks = _blanks(pieces, board.flash_bytes or 0) if erase else ()
    return uf2.build([*pieces, *blanks], uf2_of(board))


def _virtual_flash(port: str, pieces: Sequence[Piece]) -> bytes:
    """A virtual board's whole flash: there is no other way to write one."""
    data = bytearray(b"\xff" * virtualflash.flash_bytes(virtualflash.folder_of(port)))
    for piece in pieces:
        if piece.end > len(data):
            raise UsageError(
                f"the {piece.name} needs {piece.end} bytes of flash, and the board on {port} has "
                f"{len(data)}: make one with a larger flash"
            )
        data[piece.offset : piece.end] = piece.data
    return bytes(data)


def _port(board: Board, place: Place) -> str:
    if place.port is None:
        raise UsageError(f"a {board.id} is flashed over its serial port: name it with --port")
    return place.port


def _blanks(pieces: Sequence[Piece], end: int) -> Iterator[Piece]:
    """What erases the rest of the flash: a UF2 boot loader erases only where it writes."""
    at = 0
    for piece in in_order(pieces):
        start, after = piece.offset // _SECTOR * _SECTOR, -(-piece.end // _SECTOR) * _SECTOR
        if at < start:
            yield Piece(at, b"\xff" * (start - at), "rest of the flash")
        at = max(at, after)
    if at < end:
        yield Piece(at, b"\xff" * (end - at), "rest of the flash")
