"""A file system image into a virtual board: it becomes its flash at the next reset.

The board is named by the link FOLDER/port, since its folder is where its flash lies. Never writes
to the flash of a board that runs.
"""

import time
from collections.abc import Callable
from pathlib import Path

from ..errors import BoardError, UsageError
from ..repl import Repl
from ..unitfolder import FLASH_FILE, NEXT_FLASH_FILE, PORT_LINK, VIRTUAL, Settings, is_locked
from ..wholefile import write_whole

_START_S = 15.0
_LOOK_S = 0.02


def write(
    port: str, data: bytes, progress: Callable[[float], None], say: Callable[[str], None]
) -> None:
    """Let data become the flash of the virtual board whose FOLDER/port that is, and start it.

    data: as many bytes as the flash has. progress: from 0.0 to 1.0. Raise UsageError for another
    port or size, BoardError for a board that is off or does not obey.
    """
    folder = folder_of(port)
    size = flash_bytes(folder)
    if len(data) != size:
        raise UsageError(f"the board in {folder} has a flash of {size} bytes, not of {len(data)}")
    after = folder / NEXT_FLASH_FILE
    _put(after, data)
    progress(0.5)
    say("written; the board starts from it with its next reset")
    _reset(port, folder)
    _await_start(after, Path(port), folder)
    progress(1.0)


def folder_of(port: str) -> Path:
    """The folder of the board that is on. Raise UsageError if that is not a virtual board's port.

    Raise BoardError if the board is off.
    """
    path = Path(port)
    if path.name != PORT_LINK or not (path.parent / FLASH_FILE).exists():
        raise UsageError(
            f"{port} does not tell which virtual board it belongs to: name the port in the "
            f"board's folder, FOLDER/{PORT_LINK}"
        )
    kind = Settings.load(path.parent).kind
    if kind != VIRTUAL:
        raise UsageError(f"the board in {path.parent} is a {kind}: name that, not {VIRTUAL}")
    if not is_locked(path.parent):
        raise BoardError(
            f"the virtual board in {path.parent} is off: firstlight virtual on {path.parent}"
        )
    return path.parent


def flash_bytes(folder: Path) -> int:
    """The size of a virtual board's flash."""
    try:
        return (folder / FLASH_FILE).stat().st_size
    except OSError as error:
        raise BoardError(f"the flash in {folder} cannot be read: {error.strerror}") from None


def _put(path: Path, data: bytes) -> None:
    """Write in one step, so that a board that starts now takes all of it, or none."""
    try:
        write_whole(path, data)
    except OSError as error:
        raise BoardError(f"{path} cannot be written: {error.strerror}") from None


def _reset(port: str, folder: Path) -> None:
    try:
        with Repl(port) as repl:
            repl.reset()
    except BoardError as error:
        raise BoardError(
            f"{error}: switch the virtual board in {folder} off and on, and it starts from what "
            "was written"
        ) from None


def _await_start(after: Path, port: Path, folder: Path) -> None:
    until = time.monotonic() + _START_S
    while after.exists() or not port.exists():
        if time.monotonic() > until:
            raise BoardError(
                f"the virtual board in {folder} did not start from what was written: switch it "
                "off and on"
            )
        time.sleep(_LOOK_S)
