"""Flashing a chip of the ESP32 family: the real esptool, as a child process.

Never imports esptool (GPL-2.0-or-later), and never writes over a chip of another kind. What is
written is right when this returns: esptool compared an MD5 of every piece in the chip's flash.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..boards import Board
from ..errors import BoardError, UsageError
from . import child, espplan
from .espwords import Words
from .handover import handed_over
from .pieces import Piece

# -P: a file esptool.py in the working folder is not meant. -u: each line when it is said.
_ESPTOOL = [sys.executable, "-P", "-u", "-m", "esptool"]
_PLAIN = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "400", "PYTHONUTF8": "1"}
_READ_BACK = 0.05  # of the progress that verify-flash takes


def write(  # noqa: PLR0913  what every way of flashing may be told
    board: Board,
    port: str,
    pieces: Sequence[Piece],
    *,
    erase: bool,
    verify: bool,
    baud: int,
    progress: Callable[[float], None],
    say: Callable[[str], None],
) -> None:
    """Write pieces to the flash of the chip on port, and start it.

    erase: all of the flash before, else only where pieces go. verify: read once more after another
    start. progress is called with 0.0 to 1.0, several times a second; what it raises stops the
    flashing, as Ctrl-C does. Raises UsageError before anything is touched, BoardError later.
    """
    espplan.check_pieces(pieces)
    _check_loader(board)
    words, size = Words(port, pieces, say), sum(len(piece.data) for piece in pieces)
    most = 1.0 - _READ_BACK * verify
    with handed_over([piece.data for piece in pieces]) as handed:
        files = [(p.offset, path) for p, path in zip(pieces, handed.paths, strict=True)]
        plan = espplan.commands(board.mcu, port, files, erase=erase, verify=verify, baud=baud)
        for arguments in plan:
            limit_s = espplan.limit_s(arguments, size, baud)
            _run(arguments, words, lambda: progress(words.done * most), limit_s, handed.fds)
    if words.checked != len(pieces) or (verify and words.read_back != len(pieces)):
        raise BoardError(
            f"what was written to the board on {port} could not be checked: set the board aside"
        )
    progress(1.0)
    if verify and pieces:
        say("read back: the flash holds what was written")


@dataclass(frozen=True)
class Chip:
    """What a chip tells of itself. id: the 6 bytes of its MAC, machine.unique_id() of an ESP32.

    flash_bytes: the size of its flash; None: esptool does not know that flash.
    """

    id: bytes
    flash_bytes: int | None


def chip(board: Board, port: str) -> Chip:
    """Ask the chip on port what it is; it is reset. Raises BoardError, also for another kind."""
    _check_loader(board)
    words = Words(port, (), lambda _: None)
    arguments = espplan.flash_id(board.mcu, port)
    _run(arguments, words, lambda: None, espplan.limit_s(arguments, 0, 0), ())
    if words.mac is None:
        raise BoardError(f"the board on {port} does not tell its MAC: try again")
    return Chip(words.mac, words.flash_bytes)


def _run(
    arguments: Sequence[str],
    words: Words,
    step: Callable[[], None],
    limit_s: float,
    fds: Sequence[int],
) -> None:
    """One call of esptool. Raise what to tell of it if it fails."""

    def hear(line: str) -> None:
        words.hear(line)
        step()

    words.begin()
    argv = [*_ESPTOOL, *arguments]
    silence_s = espplan.SILENCE_S
    try:
        code = child.run(argv, hear, silence_s=silence_s, limit_s=limit_s, fds=fds, env=_PLAIN)
    except child.Stalled:
        raise words.stalled() from None
    if code < 0:
        raise words.ended(-code)
    if code != 0:
        raise words.failure()


def _check_loader(board: Board) -> None:
    if board.loader != "esptool":
        raise UsageError(f"esptool does not flash a {board.id}: its loader is {board.loader}")
