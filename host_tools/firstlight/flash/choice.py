"""Which of the boards in their boot loader is meant, and what to tell when that is not plain.

Never guesses: a file for one board on another is a unit that is lost for the day.
"""

from collections.abc import Collection, Sequence

from ..boards import Board, Uf2
from ..errors import UsageError
from .bootroms import Loader
from .volumes import Volume, is_usb

Target = Volume | Loader


def mine(found: Sequence[Target], seat: str, others: Collection[Target]) -> Target | None:
    """The one at the seat; without one, the only one that was not there before.

    seat: "" if it is not known. others: what was there before the board was sent to its boot
    loader. Raise UsageError if that leaves more than one.
    """
    left = [one for one in found if one.seat == seat] or [
        one for one in found if one not in others and not (is_usb(seat) and is_usb(one.seat))
    ]
    if len(left) > 1:
        raise UsageError(
            f"{len(left)} boards are in their boot loader ({listed(left)}), and it is not plain "
            "which one to write to: unplug all but one, or name its drive with --volume"
        )
    return left[0] if left else None


def uf2_of(board: Board) -> Uf2:
    """A board's UF2 boot loader. Raise UsageError if it has none."""
    if board.uf2 is None:
        raise UsageError(f"a {board.id} is not flashed by UF2")
    return board.uf2


def check_kind(board: Board, board_id: str, where: str) -> None:
    """Raise UsageError if what says that it is board_id is a board of another kind."""
    kind = uf2_of(board)
    if not board_id.startswith(kind.board_id):
        raise UsageError(
            f"the board at {where} says that it is {board_id}, and a {board.id} is "
            f"{kind.board_id}: plug in a {board.product}, or name the kind that it is"
        )


def nobody(seat: str, there: Sequence[Target], waited_s: float) -> str:
    """What to tell when no board came: which others are there, and what to do."""
    where = f" at {seat}" if seat else ""
    others = f" (there are: {listed(there)})" if there else ""
    return (
        f"no board came into its boot loader{where} in {waited_s:g} s{others}: unplug it, hold "
        "BOOTSEL, plug it in, and flash it again"
    )


def not_mounted(loader: Loader) -> str:
    """What to tell of a boot loader whose drive nobody mounted, where there is no picotool."""
    told = f"the board at {loader.seat} is in its boot loader, but "
    if loader.drive is None:
        return told + "shows no drive: install picotool, or try another cable or port"
    return told + (
        f"its drive is not mounted: udisksctl mount -b /dev/{loader.drive}, or install picotool; "
        "then flash it again"
    )


def listed(targets: Sequence[Target]) -> str:
    """Drives and boot ROMs by their places."""
    return ", ".join(
        f"{one.path} at {one.seat}" if isinstance(one, Volume) else f"{one.board_id} at {one.seat}"
        for one in targets
    )
