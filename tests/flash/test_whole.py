"""All that is written to a unit, taken apart again by littlefs-python."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from firstlight import boards
from firstlight.errors import UsageError
from firstlight.flash import images, standin, uf2
from firstlight.flash.filesystem import littlefs
from firstlight.flash.partitions import read
from firstlight.flash.pieces import Image, Piece
from firstlight.flash.whole import merged, pieces
from firstlight.stage import StagedFile
from tests.flash.imagery import (
    STARTS_AT,
    contents,
    genuine_esp32,
    image,
    mounted,
    pico_image,
    without_vfs,
)

ESP32, PICO, PICO2, VIRTUAL = (
    boards.load(name) for name in ("ESP32_GENERIC", "RPI_PICO_W", "RPI_PICO2_W", "VIRTUAL")
)
# Sizes on both sides of every bound that littlefs has: nothing, inlined, a block, many.
FILES = [
    StagedFile(f"/aziot/deep/{size}.bin", bytes(i % 251 for i in range(size)))
    for size in (0, 1, 127, 128, 129, 255, 256, 511, 512, 513, 1022, 1024, 4095, 4096, 9000, 70000)
] + [StagedFile("/main.py", b"print(1)", keep=True)]
WANTED = {file.path: file.data for file in FILES}


@pytest.fixture(scope="module")
def genuine() -> Image:
    return image(ESP32, genuine_esp32().read_bytes())


def at(offset: int, parts: Sequence[Piece]) -> Piece:
    (found,) = [part for part in parts if part.offset == offset]
    return found


def test_an_esp32_gets_the_image_and_a_file_system_where_its_table_says(genuine: Image) -> None:
    parts = pieces(ESP32, genuine, FILES)
    assert at(STARTS_AT, parts).data == genuine.data
    files = at(0x200000, parts).data
    assert len(files) == 0x200000
    assert contents(files) == WANTED


def test_one_file_for_an_esp32_holds_the_original_bytes_and_the_file_system(
    genuine: Image,
) -> None:
    data = merged(ESP32, genuine, FILES)
    assert data.startswith(genuine.data)
    assert set(data[len(genuine.data) : 0x200000 - STARTS_AT]) == {0xFF}
    assert contents(data[0x200000 - STARTS_AT :]) == WANTED
    assert len(data) == (4 << 20) - STARTS_AT
    assert images.version(ESP32, data) == (1, 16, 0)
    images.check(ESP32, data)
    assert pieces(ESP32, image(ESP32, data), []) == [Piece(STARTS_AT, data, "MicroPython")]


@pytest.mark.parametrize("flash_mb", [4, 8])
def test_where_the_table_has_no_vfs_the_files_fill_the_rest_of_the_flash(
    genuine: Image, flash_mb: int
) -> None:
    board = replace(ESP32, flash_bytes=flash_mb << 20)
    newer = image(board, without_vfs(genuine.data))
    files = at(0x190000, pieces(board, newer, FILES)).data
    assert len(files) == (flash_mb << 20) - 0x190000
    assert contents(files) == WANTED


@pytest.mark.parametrize(
    ("board", "offset", "size"),
    [(PICO, 0x12C000, 848 * 1024), (PICO2, 0x180000, 2560 * 1024)],
    ids=lambda value: getattr(value, "id", ""),
)
def test_an_rp2_gets_its_file_system_at_the_flashs_end(
    board: boards.Board, offset: int, size: int
) -> None:
    assert board.uf2 is not None
    original = pico_image(board)
    parts = uf2.pieces(merged(board, original, FILES), board.uf2)
    assert at(0, parts).data == at(0, uf2.pieces(original.data, board.uf2)).data
    files = at(offset, parts).data
    assert len(files) == size
    assert offset + size == board.flash_bytes
    assert contents(files) == WANTED


def test_a_virtual_board_gets_the_file_system_alone() -> None:
    assert contents(merged(VIRTUAL, None, FILES)) == WANTED


@pytest.mark.parametrize("name", ["VIRTUAL_ESP32", "VIRTUAL_PICO_W"])
def test_a_virtual_board_that_is_flashed_gets_what_stands_for_its_micropython(name: str) -> None:
    board = boards.load(name)
    made = merged(board, None, FILES)
    images.check(board, made)
    parts = pieces(board, None, FILES)
    assert pieces(board, standin.image(board), FILES) == parts
    assert contents(parts[-1].data) == WANTED
    if name == "VIRTUAL_ESP32":
        assert read(made, STARTS_AT).file_system(board.flash_bytes).offset == parts[-1].offset


def test_a_real_board_gets_no_stand_in() -> None:
    with pytest.raises(UsageError, match="name an image"):
        standin.image(ESP32)


@pytest.mark.parametrize("board", [ESP32, PICO, VIRTUAL], ids=lambda board: board.id)
def test_the_superblock_says_what_micropythons_says(board: boards.Board) -> None:
    """As MicroPython's own mkfs has it; a newer form some MicroPython does not mount."""
    fs = mounted(littlefs(board, FILES, 1 << 20))
    said = fs.fs_stat()
    assert (said.disk_version, said.block_size, said.block_count) == (0x00020000, 4096, 256)
    assert (said.name_max, said.attr_max, said.file_max) == (255, 1022, 0x7FFFFFFF)


def test_the_same_input_makes_the_same_file(genuine: Image) -> None:
    assert merged(ESP32, genuine, FILES) == merged(ESP32, genuine, list(FILES))
    other = [*FILES[:-1], replace(FILES[-1], data=b"print(2)")]
    assert merged(ESP32, genuine, other) != merged(ESP32, genuine, FILES)


def test_without_files_the_image_is_written_as_it_is(genuine: Image) -> None:
    assert merged(ESP32, genuine, []) == genuine.data


@pytest.mark.parametrize("path", ["/identity.json", "/identity.next", "/identity.json.new"])
def test_an_identity_is_never_put_into_an_image(path: str) -> None:
    with pytest.raises(UsageError, match="one board's own"):
        pieces(VIRTUAL, None, [*FILES, StagedFile(path, b"{}")])


def test_files_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="do not fit into the board's file system of 868352"):
        pieces(PICO, pico_image(PICO), [StagedFile("/big", bytes(900_000))])


@pytest.mark.parametrize("path", ["/", "/main.py/x", "/" + "n" * 300])
def test_a_path_that_no_file_system_takes_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="is no path for a littlefs"):
        pieces(VIRTUAL, None, [*FILES, StagedFile(path, b"x")])


def test_an_image_that_has_its_files_already_takes_no_others(genuine: Image) -> None:
    whole = image(ESP32, merged(ESP32, genuine, FILES))
    with pytest.raises(UsageError, match=r"MicroPython reaches to 0x400000 .* without files"):
        pieces(ESP32, whole, FILES)
    pico = image(PICO, merged(PICO, pico_image(PICO), FILES))
    with pytest.raises(UsageError, match="without files"):
        pieces(PICO, pico, FILES)


@pytest.mark.parametrize(
    ("board", "given", "complaint"),
    [
        (ESP32, None, "partition table says: name the image"),
        (PICO, pico_image(PICO2), "for a RPI_PICO2_W, and the board is a RPI_PICO_W"),
        (replace(PICO, flash_bytes=1 << 20), pico_image(PICO), "has 1048576"),
    ],
    ids=["no image", "another's", "too small"],
)
def test_what_cannot_be_written_is_refused(
    board: boards.Board, given: Image | None, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        pieces(board, given, FILES)
    with pytest.raises(UsageError, match="nothing to write"):
        pieces(PICO, None, [])


def test_a_size_that_is_no_flashs_is_refused() -> None:
    with pytest.raises(UsageError, match="whole blocks"):
        littlefs(VIRTUAL, FILES, 4097)
