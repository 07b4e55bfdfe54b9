"""Where the board's files lie: in a checkout beside this package's folder, installed beside it.

Knows paths and nothing else.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def firmware_folder() -> Path:
    """The folder that holds what goes onto a board, path for path."""
    return _place("firmware")


def boards_folder() -> Path:
    """The folder with one folder for each kind of board."""
    return _place("boards")


def _place(name: str) -> Path:
    checkout = _PACKAGE.parent.parent / name
    return checkout if checkout.is_dir() else _PACKAGE.parent / f"firstlight_{name}"
