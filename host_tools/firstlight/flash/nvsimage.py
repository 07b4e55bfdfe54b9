"""An identity in an ESP32's NVS partition, for lines that flash everything at once.

Made by Espressif's own generator, in memory: the identity holds a key, and never touches a disk.
The firmware reads it where there is no /identity.json (wake.py), with nvsstore.py: namespace
"firstlight", a blob "identity" of at most 4000 bytes. An injection later takes its place.
"""

import io
from collections.abc import Sequence
from dataclasses import replace

from aziot import identity as document
from aziot.errors import IdentityError

from ..boards import Board
from ..errors import UsageError
from . import partitions
from .pieces import Piece

NAMESPACE, KEY = "firstlight", "identity"
LONGEST = 4000  # bytes: firmware/nvsstore.py's, of this one name
PARTITION = "nvs"
_PAGE = 4096
_LEAST = 3 * _PAGE  # of a partition that can be written to


def nvs_image(identity: bytes, size: int) -> bytes:
    """An NVS partition of size bytes that holds an identity document and nothing else.

    Raises UsageError for a document that is wrong or too long, and for a size that no NVS has.
    """
    _check(identity)
    if size % _PAGE or size < _LEAST:
        raise UsageError(
            f"an NVS partition has at least {_LEAST} bytes, in pages of {_PAGE}, not {size}"
        )
    from esp_idf_nvs_partition_gen import nvs_partition_gen as generator  # noqa: PLC0415  slow

    image = io.BytesIO()
    # The generator adds the page that NVS keeps free.
    nvs = generator.nvs_open(image, size - _PAGE, generator.Page.VERSION2)
    nvs.write_namespace(NAMESPACE)
    nvs.write_entry(KEY, identity, "binary")
    generator.nvs_close(nvs)
    return image.getvalue()


def pieces_with_identity(board: Board, pieces: Sequence[Piece], identity: bytes) -> list[Piece]:
    """Those pieces, and the identity where their own partition table has its NVS.

    pieces: with MicroPython's image among them, at the board's flash_offset. Raises UsageError if
    there is none, or if it holds an NVS of its own.
    """
    _check(identity)  # before anything is said of the image
    place = _place(board, pieces)
    nvs = Piece(place.offset, nvs_image(identity, place.size), "identity")
    over = [one for one in pieces if one.offset < nvs.end and nvs.offset < one.end]
    if not over:
        return [*pieces, nvs]
    return [_joined(one, nvs) if one in over else one for one in pieces]


def _place(board: Board, pieces: Sequence[Piece]) -> partitions.Partition:
    image = next((one for one in pieces if one.offset == board.flash_offset), None)
    if image is None or board.loader != "esptool":
        raise UsageError(
            f"an identity is flashed to an ESP32 together with its image: a {board.id} "
            "gets its own by injection"
        )
    return partitions.read(image.data, image.offset).find(PARTITION)


def _joined(image: Piece, nvs: Piece) -> Piece:
    """An image that fills the space where NVS lies, with the identity in it."""
    start, end = nvs.offset - image.offset, nvs.end - image.offset
    if start < 0 or image.data[start:end] != b"\xff" * len(nvs.data):
        raise UsageError(
            f"{image.name} has something of its own where NVS lies: take the image as it was "
            "downloaded, not one that was read from a board"
        )
    data = image.data[:start] + nvs.data + image.data[end:]
    return replace(image, data=data, name=f"{image.name} and {nvs.name}")


def _check(identity: bytes) -> None:
    if len(identity) > LONGEST:
        raise UsageError(
            f"the identity has {len(identity)} bytes, and at most {LONGEST} can be flashed with "
            "the image: leave networks, the payload or a CSR out, or inject it after flashing"
        )
    try:
        document.load(identity)
    except IdentityError as error:
        raise UsageError(f"the identity is refused: {error}") from None
