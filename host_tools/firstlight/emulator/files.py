"""Writing files whole: beside their place, then into it.

A secret is readable by its owner alone from the moment its file exists.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Paper:
    """A file to be. mode: 0o644 for all to read, 0o600 for its owner alone."""

    path: Path
    text: str = field(repr=False)
    mode: int = 0o644

    @property
    def beside(self) -> Path:
        """Where it is written first."""
        return self.path.with_name(f".{self.path.name}.{os.getpid()}")


def write_all(*papers: Paper) -> None:
    """Write every file, then put each into its place, in this order.

    Raise OSError naming the file that could not be had; nothing is left beside the others.
    """
    try:
        for step in (_write, _swap):
            for paper in papers:
                _named(step, paper)
    except BaseException:
        for paper in papers:
            paper.beside.unlink(missing_ok=True)
        raise


def _named(step: Callable[[Paper], None], paper: Paper) -> None:
    try:
        step(paper)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(paper.path)) from None


def _write(paper: Paper) -> None:
    paper.beside.unlink(missing_ok=True)
    descriptor = os.open(paper.beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, paper.mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(paper.text)


def _swap(paper: Paper) -> None:
    paper.beside.replace(paper.path)
