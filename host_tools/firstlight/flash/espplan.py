"""What esptool is told, as data: arguments in esptool 5's spelling, and how long each may take.

Does no I/O, and starts nothing. A unit's application never runs between the commands of one plan:
it would write to the flash (NVS, its file system) before what was written is read back.
"""

import re
from collections.abc import Sequence

from ..errors import UsageError
from .pieces import Piece

SECTOR = 4096  # bytes that the flash erases at once
_CHIP = re.compile(r"esp32([a-z]{1,2}\d{1,2})?")
_PORT = re.compile(r"[^-\s\0][^\0]{0,1023}")
_BAUDS = (9600, 5_000_000)
# esptool's own limits: 120 s for erasing a chip, 8 s for the MD5 of 1 MB, some 20 s for a board
# that does not answer (esptool/loader.py).
_CONNECT_S, _ERASE_S, _CHECK_S_PER_MB = 40.0, 150.0, 10.0
_SLOWER = 3.0  # than the baud rate alone: what a bad line may take
_ID_S = 40.0
SILENCE_S = 160.0  # longer than any single thing that esptool waits for without a word


def commands(
    chip: str,
    port: str,
    files: Sequence[tuple[int, str]],
    *,
    erase: bool,
    verify: bool,
    baud: int,
) -> list[list[str]]:
    """The arguments of each call of esptool, in order; none if there is nothing to do.

    chip: as board.json's mcu. files: an offset in the flash and a path, each. write-flash compares
    an MD5 of every piece by itself; verify: it is read once more, after another start. Raises
    UsageError.
    """
    _check(chip, port, baud)
    places = [word for offset, path in sorted(files) for word in (hex(offset), path)]
    as_is = ["--flash-mode", "keep", "--flash-freq", "keep", "--flash-size", "keep"]
    plan = []
    if files:
        plan.append(["write-flash", *as_is, *["--erase-all"] * erase, *places])
    elif erase:
        plan.append(["erase-flash"])
    if files and verify:
        plan.append(["verify-flash", *as_is, *places])
    heads = [_head(chip, port, baud, is_last=words is plan[-1]) for words in plan]
    return [head + words for head, words in zip(heads, plan, strict=True)]


def flash_id(chip: str, port: str) -> list[str]:
    """The arguments that have the chip's MAC told, and its flash's size.

    The ROM can: no stub is sent there for that.
    """
    _check(chip, port, 115200)
    return ["--chip", chip, "--port", port, "--after", "hard-reset", "--no-stub", "flash-id"]


def limit_s(words: Sequence[str], size: int, baud: int) -> float:
    """Seconds that this call of esptool may take at most. size: of all pieces, in bytes."""
    if "flash-id" in words:
        return _ID_S
    seconds = _CONNECT_S + _CHECK_S_PER_MB * size / 2**20
    if "write-flash" in words:
        seconds += _SLOWER * size * 10 / baud + _CHECK_S_PER_MB * size / 2**20
    if "--erase-all" in words or "erase-flash" in words:
        seconds += _ERASE_S
    return seconds


def check_pieces(pieces: Sequence[Piece]) -> None:
    """Raise UsageError for pieces that cannot be written side by side, in whole sectors."""
    end, before = 0, ""
    for piece in sorted(pieces, key=lambda piece: piece.offset):
        if not piece.data:
            raise UsageError(f"{piece.name} is empty: there is nothing to write")
        if piece.offset < 0 or piece.offset % SECTOR:
            raise UsageError(
                f"{piece.name} would begin at {piece.offset:#x}, "
                f"and the flash is written from multiples of {SECTOR:#x}"
            )
        if piece.offset < end:
            raise UsageError(f"{piece.name} and {before} would both be at {piece.offset:#x}")
        end, before = -(-piece.end // SECTOR) * SECTOR, piece.name


def _head(chip: str, port: str, baud: int, *, is_last: bool) -> list[str]:
    after = "hard-reset" if is_last else "no-reset"
    return ["--chip", chip, "--port", port, "--baud", str(baud), "--after", after]


def _check(chip: str, port: str, baud: int) -> None:
    if not _CHIP.fullmatch(chip):
        raise UsageError(f"{chip[:32]} is not a chip that esptool flashes")
    if not _PORT.fullmatch(port):
        raise UsageError(f"not a port's name: {port[:64]!r}")
    least, most = _BAUDS
    if not least <= baud <= most:
        raise UsageError(f"the baud rate must be from {least} to {most}, not {baud}")
