"""An identity in an NVS image: placed by the image's own table, and refused in time.

That the image is one is judged in tests/board/test_nvs_identity.py, by another's reader.
"""

import json
import struct
from base64 import b64encode
from typing import Any

import pytest

from firstlight import boards
from firstlight.errors import UsageError
from firstlight.flash import nvsimage
from firstlight.flash.pieces import Piece

BOARD = boards.load("ESP32_GENERIC")
SIZE = 0x6000


def identity(**more: Any) -> bytes:
    pair = {"primary": b64encode(b"k" * 32).decode()}
    document = {"version": 1, "id_scope": "0ne00111111", "registration_id": "esp32-1"}
    return json.dumps(document | {"symmetric_key": pair} | more).encode()


def image(size: int = 0x10000, nvs: bytes = b"") -> Piece:
    """An image for 0x1000 with a table at 0x8000, and NVS at 0x9000."""
    data = bytearray(b"\xff" * size)
    entries = [(1, 2, 0x9000, SIZE, b"nvs"), (0, 0, 0x10000, 0x1F0000, b"factory")]
    for n, (kind, subkind, offset, length, label) in enumerate(entries):
        entry = struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subkind, offset, length, label, 0)
        data[0x7000 + 32 * n : 0x7000 + 32 * (n + 1)] = entry
    data[0x8000 : 0x8000 + len(nvs)] = nvs
    return Piece(0x1000, bytes(data), "MicroPython")


@pytest.mark.parametrize("size", [0x3000, SIZE, 0x10000])
def test_an_image_has_the_partitions_size_and_holds_the_document_once(size: int) -> None:
    made = nvsimage.nvs_image(identity(), size)
    assert len(made) == size
    assert made.count(b"symmetric_key") == 1
    assert made[-4096:] == b"\xff" * 4096  # the page that NVS keeps free


def test_the_longest_identity_fits() -> None:
    room = nvsimage.LONGEST - len(identity(payload={"x": ""}))
    longest = identity(payload={"x": "x" * room})
    assert len(longest) == 4000
    nvsimage.nvs_image(longest, 0x3000)
    with pytest.raises(UsageError, match="has 4001 bytes, and at most 4000 can be flashed"):
        nvsimage.nvs_image(longest + b" ", SIZE)


def test_a_short_chain_fits_and_one_that_does_not_is_told_what_to_leave_out() -> None:
    def certified(size: int) -> bytes:
        section = {"chain": [b64encode(bytes(size)).decode()] * 3, "key": "a2V5", "csr": "Y3Ny"}
        whole = json.loads(identity()) | {"x509": section}
        del whole["symmetric_key"]
        return json.dumps(whole).encode()

    assert nvsimage.nvs_image(certified(700), 0x3000).count(b'"x509"') == 1
    with pytest.raises(UsageError, match=r"leave networks, the payload or a CSR out, or inject"):
        nvsimage.nvs_image(certified(1100), SIZE)


@pytest.mark.parametrize("size", [0, 0x2000, 0x6001, -0x6000])
def test_a_size_that_no_nvs_has_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match="at least 12288 bytes, in pages of 4096"):
        nvsimage.nvs_image(identity(), size)


def test_a_wrong_identity_is_refused_without_its_key() -> None:
    with pytest.raises(UsageError, match="identity is refused: registration_id") as told:
        nvsimage.nvs_image(identity(registration_id="ESP32"), SIZE)
    assert "a2tr" not in str(told.value)


def test_it_lies_where_the_images_table_says_and_inside_of_an_image_that_is_there() -> None:
    files = Piece(0x200000, b"files", "files")
    whole, kept = nvsimage.pieces_with_identity(BOARD, [image(), files], identity())
    assert kept == files
    assert whole.name == "MicroPython and identity"
    assert whole.data[0x8000:0xE000] == nvsimage.nvs_image(identity(), SIZE)
    assert whole.data[:0x8000] + whole.data[0xE000:] == image().data[:0x8000] + b"\xff" * 0x2000


def test_it_is_a_piece_of_its_own_beside_a_short_image() -> None:
    short = image(0x8000)
    assert nvsimage.pieces_with_identity(BOARD, [short], identity()) == [
        short,
        Piece(0x9000, nvsimage.nvs_image(identity(), SIZE), "identity"),
    ]


@pytest.mark.parametrize("pieces", [[image(nvs=b"theirs")], [image(0xA000)]])
def test_an_image_with_an_nvs_of_its_own_is_refused(pieces: list[Piece]) -> None:
    with pytest.raises(UsageError, match="MicroPython has something of its own where NVS lies"):
        nvsimage.pieces_with_identity(BOARD, pieces, identity())


def test_a_board_without_nvs_or_without_an_image_is_refused() -> None:
    with pytest.raises(UsageError, match="a RPI_PICO_W gets its own by injection"):
        nvsimage.pieces_with_identity(boards.load("RPI_PICO_W"), [], identity())
    with pytest.raises(UsageError, match="together with its image"):
        nvsimage.pieces_with_identity(BOARD, [Piece(0x200000, b"x", "files")], identity())
