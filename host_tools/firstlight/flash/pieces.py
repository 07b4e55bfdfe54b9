"""An image, and a piece: bytes, and where in a chip's flash they belong.

Does no I/O.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from ..errors import UsageError


@dataclass(frozen=True)
class Image:
    """MicroPython for one kind of board: a .bin that begins at its flash_offset, or a .uf2.

    board: the kind's name; sha256: of the data, hexadecimal; source: the path or address.
    For a virtual board, whose MicroPython is the PC's, it is a file system instead.
    """

    board: str
    data: bytes
    sha256: str
    source: str


@dataclass(frozen=True)
class Piece:
    """Bytes for the chip's flash. offset: of their first, in bytes from the flash's start.

    name: what they are, for people. An address that the chip maps its flash to (the RP2040's
    0x10000000) is no part of the offset.
    """

    offset: int
    data: bytes
    name: str

    @property
    def end(self) -> int:
        """The offset of the first byte behind the piece."""
        return self.offset + len(self.data)


def in_order(pieces: Iterable[Piece]) -> list[Piece]:
    """The pieces by rising offset. Raise UsageError if two of them claim the same bytes."""
    ordered = sorted(pieces, key=lambda piece: piece.offset)
    for low, high in pairwise(ordered):
        if low.end > high.offset:
            raise UsageError(
                f"the {low.name} reaches to {low.end:#x} of the flash, and the {high.name} begins "
                f"at {high.offset:#x}: name an image of MicroPython without files for this board"
            )
    return ordered
