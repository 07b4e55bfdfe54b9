"""A UF2 file to an RP2 board: into its boot loader, onto its drive, and until it is back.

A board in its boot loader does not tell which chip it is, so it is known by its seat: the USB path
that its serial port had. Never writes to a board of another kind.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..boards import Board
from ..errors import BoardError, UsageError
from ..repl import Implementation, Repl
from ..serialport import open_port
from . import picotool
from .bootroms import Loader, loaders
from .choice import Target, check_kind, mine, nobody, not_mounted, uf2_of
from .copying import copy
from .ports import port_at, seat_of
from .volumes import HOST, Host, Volume, is_usb, volume_at, volumes

__all__ = ["BENCH", "Bench", "Volume", "volume_at", "volumes", "write"]

_LOOK_S = 0.05
_COPIED = 0.95  # of the progress; the rest is the board's start

T = TypeVar("T")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """Where a write looks, and how many seconds it waits.

    places: for drives; None: where the system mounts them. loader_s: for a board in its boot
    loader; mount_s: for its drive to be mounted by then; stall_s: for the drive to take the next
    piece; gone_s: for the drive to go; back_s: for the board's port to be back.
    """

    places: Sequence[Path] | None = None
    host: Host = HOST
    loader_s: float = 60.0
    mount_s: float = 5.0
    stall_s: float = 60.0
    gone_s: float = 20.0
    back_s: float = 30.0


BENCH = Bench()


def write(
    board: Board,
    *,
    port: str | None,
    volume: Target | None,
    uf2: bytes,
    progress: Callable[[float], None],
    say: Say,
    bench: Bench = BENCH,
) -> None:
    """Write a UF2 file to the board on port, or to the one that shows volume.

    port: its serial port, if it has one: the board is told to enter its boot loader, and is waited
    for afterwards. Neither: the one board that is in its boot loader, or that comes. progress:
    from 0.0 to 1.0. Raise BoardError or UsageError, saying what to do.
    """
    uf2_of(board)
    target: Target = volume or _Search(board, port, bench, say).run()
    check_kind(board, target.board_id, target.seat)
    if isinstance(target, Loader):
        _load(target, uf2, say)
    else:
        say(f"writing to {target.path}")
        mark = target.mark()
        copy(uf2, target.path, lambda done: progress(done * _COPIED), bench.stall_s)
        _await_gone(board, target, mark, bench)
    progress(_COPIED)
    if port:
        _await_back(port, target, bench, say)
    progress(1.0)


class _Search:
    """The way to a board in its boot loader."""

    def __init__(self, board: Board, port: str | None, bench: Bench, say: Say) -> None:
        self._board, self._port, self._bench, self._say = board, port, bench, say
        self._seat = seat_of(port) if port else ""
        self._places = bench.places
        if self._places is None and self._seat and not is_usb(self._seat):
            self._places = [Path(self._seat)]  # a virtual board's drive is in its folder
        self._others: frozenset[Target] = frozenset()
        self._bare_since: float | None = None

    def run(self) -> Target:
        """Send the board into its boot loader, if it has a port; wait for it there."""
        if self._port and ("://" in self._port or os.path.exists(self._port)):
            self._others = frozenset(self._there())
            self._enter(self._port)
        elif not self._there():
            self._say(f"waiting for a {self._board.product}: hold BOOTSEL and plug it in")
        found = _wait(self._look, self._bench.loader_s)
        if found is None:
            raise BoardError(nobody(self._seat, self._there(), self._bench.loader_s))
        return found

    def _enter(self, port: str) -> None:
        """Send the board into its boot loader; one that does not obey can be sent by hand."""
        open_port(port).close()  # a port in use, or not ours: no button helps with that
        try:
            with Repl(port) as repl:
                _check_running(self._board, repl.implementation())
                with suppress(BoardError):  # it may be gone before its answer is
                    repl.bootloader()
        except BoardError as error:
            self._say(f"{error}: unplug the board, hold BOOTSEL and plug it in again")

    def _look(self) -> Target | None:
        """The board's drive; its boot ROM, when that has had time to become one."""
        found = mine(self._there(), self._seat, self._others)
        if not isinstance(found, Loader):
            self._bare_since = None
            return found
        self._bare_since = self._bare_since or time.monotonic()
        return found if time.monotonic() - self._bare_since > self._bench.mount_s else None

    def _there(self) -> list[Target]:
        """The drives, and the boot ROMs whose drive nobody mounted, yet or ever."""
        found = volumes(self._places, self._bench.host)
        if self._places is not None:
            return list(found)
        seats = {one.seat for one in found}
        bare = loaders(self._bench.host)
        return [*found, *(one for one in bare if one.seat not in seats)]


def _check_running(board: Board, found: Implementation) -> None:
    """Raise UsageError if the board that runs is of another kind."""
    expected = {"unix": "linux"}.get(board.port, board.port)
    told = found.machine.lower()
    wrong_chip = board.port == "rp2" and "rp2" in told and board.mcu not in told
    if found.platform != expected or wrong_chip:
        raise UsageError(
            f"the board there is a {found.machine or found.platform}, not a {board.product}: plug "
            "in the right board, or name the kind that it is"
        )


def _load(loader: Loader, uf2: bytes, say: Say) -> None:
    tool = picotool.program()
    if tool is None:
        raise BoardError(not_mounted(loader))
    say(f"writing to {loader.board_id} at {loader.seat} with picotool")
    picotool.load(tool, uf2, loader)


def _await_gone(board: Board, volume: Volume, mark: object, bench: Bench) -> None:
    """Wait for the drive to go, which is all that a boot ROM tells of success.

    mark: the drive's, before it was written. One that is back has another.
    """
    if _wait(lambda: not volume.is_there(bench.host) or volume.mark() != mark, bench.gone_s):
        return
    raise BoardError(
        f"the board at {volume.seat} took the file but did not start from it: the file is not for "
        f"a {board.product}, or it is damaged; flash it again with another image"
    )


def _await_back(port: str, target: Target, bench: Bench, say: Say) -> None:
    def look() -> str | None:
        if isinstance(target, Volume) and target.is_there(bench.host):
            raise BoardError(
                f"the board at {target.seat} is in its boot loader again: what was written is "
                "nothing that it can start; flash it with an image of MicroPython"
            )
        if is_usb(target.seat):
            return port_at(target.seat)
        return port if "://" in port or os.path.exists(port) else None

    found = _wait(look, bench.back_s)
    if found is None:
        raise BoardError(
            f"the board at {target.seat} was written, but its serial port did not come back in "
            f"{bench.back_s:g} s: unplug it, and plug it in again"
        )
    if os.path.realpath(found) != os.path.realpath(port):
        say(f"the board is back as {found}")


def _wait(look: Callable[[], T], seconds: float) -> T:
    """What look finds, looking again and again for so long."""
    until = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < until:
        time.sleep(_LOOK_S)
    return found
