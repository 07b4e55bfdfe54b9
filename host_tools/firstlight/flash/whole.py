"""All that is written to a unit: MicroPython, and beside it the file system with the firmware.

Never changes a byte of MicroPython's image, and takes the file system's place from the image or
the board's own facts, never from a guess.
"""

from collections.abc import Sequence

from ..boards import Board
from ..errors import UsageError
from ..stage import StagedFile
from . import binaryinfo, partitions, standin, uf2
from .filesystem import littlefs
from .pieces import Image, Piece, in_order


def pieces(board: Board, image: Image | None, files: Sequence[StagedFile]) -> list[Piece]:
    """What is written to a unit, in rising order: the image, and the files if there are any.

    image None: the files alone, where their place is known without it; a virtual board that is
    flashed as a real one gets a stand-in. Raise UsageError if there is nothing to write, if the
    files do not fit beside the image, or if the image does not say where they would go.
    """
    if image is not None and image.board != board.id:
        raise UsageError(f"the image is for a {image.board}, and the board is a {board.id}")
    there = _present(board, image)
    parts = _micropython(board, there)
    if files:
        parts.append(_files(board, there, files))
    if not parts:
        raise UsageError(f"there is nothing to write to a {board.id}: no image and no files")
    _check_end(board, parts)
    return in_order(parts)


def merged(board: Board, image: Image | None, files: Sequence[StagedFile]) -> bytes:
    """The same as one file: a .bin for the board's flash_offset, a .uf2, or a virtual flash.

    What nobody claims of a .bin is as if erased, as in upstream's.
    """
    parts = pieces(board, image, files)
    if board.loader == "uf2" and board.uf2 is not None:
        return uf2.build(parts, board.uf2)
    start = board.flash_offset or 0
    data = bytearray(b"\xff" * (max(part.end for part in parts) - start))
    for part in parts:
        data[part.offset - start : part.end - start] = part.data
    return bytes(data)


def _present(board: Board, image: Image | None) -> Image | None:
    """The image; for a virtual board that is flashed as a real one, what stands in its place."""
    if image is None and board.port == "unix" and board.loader != "virtual":
        return standin.image(board)
    return image


def _micropython(board: Board, image: Image | None) -> list[Piece]:
    if image is None:
        return []
    if board.loader == "uf2" and board.uf2 is not None:
        return uf2.pieces(image.data, board.uf2)
    return [Piece(board.flash_offset or 0, image.data, "MicroPython")]


def _files(board: Board, image: Image | None, files: Sequence[StagedFile]) -> Piece:
    offset, size = _place(board, image)
    return Piece(offset, littlefs(board, files, size), "file system")


def _place(board: Board, image: Image | None) -> tuple[int, int]:
    """Offset and size of the file system: what the image says, else what the board's facts say."""
    if image is not None and board.uf2 is not None:
        said = binaryinfo.drive(uf2.pieces(image.data, board.uf2), board.uf2.base)
        if said is not None:
            return said
    if board.filesystem is not None:
        return board.filesystem.offset, board.filesystem.size
    if image is None:
        raise UsageError(
            f"where a {board.id} keeps its files, the image's partition table says: name the image"
        )
    table = partitions.read(image.data, board.flash_offset or 0)
    found = table.file_system(board.flash_bytes)
    return found.offset, found.size


def _check_end(board: Board, parts: Sequence[Piece]) -> None:
    end = max(part.end for part in parts)
    if board.flash_bytes is not None and end > board.flash_bytes:
        raise UsageError(
            f"the image needs {end} bytes of flash, and a {board.id} has {board.flash_bytes}"
        )
