"""The flash image, judged by littlefs-python: each reads what the other wrote."""

from pathlib import Path

from littlefs import LittleFS

from firstlight import virtual
from firstlight.repl import Repl

_BLOCK = 4096


def opened(image: bytes, disk_version: int = 0) -> LittleFS:
    """disk_version 0: the newest that littlefs-python knows."""
    fs = LittleFS(
        block_size=_BLOCK,
        block_count=len(image) // _BLOCK,
        disk_version=disk_version,
        name_max=255,
        prog_size=32,
        read_size=32,
        lookahead_size=32,
        mount=False,
    )
    fs.context.buffer = bytearray(image)
    return fs


def test_littlefs_reads_what_the_board_wrote(powered: virtual.VirtualBoard) -> None:
    data = bytes(range(256)) * 40
    with Repl(powered.port or "") as repl:
        repl.write_file("/folder/data.bin", data)
    powered.power_off()
    fs = opened((powered.folder / "flash.img").read_bytes())
    fs.mount()
    assert fs.listdir("/") == ["folder"]
    with fs.open("/folder/data.bin", "rb") as file:
        assert file.read() == data


def test_the_board_reads_what_littlefs_wrote(tmp_path: Path) -> None:
    board = virtual.make(tmp_path)
    fs = opened(bytes((tmp_path / "flash.img").stat().st_size), 0x00020000)
    fs.format()
    fs.mount()
    with fs.open("/main.py", "w") as file:
        file.write("print('written by', 'littlefs')")
    (tmp_path / "flash.img").write_bytes(fs.context.buffer)
    with board:
        board.read_console_until("written by littlefs", 10)


def test_a_damaged_flash_is_never_formatted(powered: virtual.VirtualBoard) -> None:
    with Repl(powered.port or "") as repl:
        repl.write_file("/kept", b"x" * 5000)
    powered.power_off()
    image = bytearray((powered.folder / "flash.img").read_bytes())
    image[: 2 * _BLOCK] = bytes(2 * _BLOCK)
    (powered.folder / "flash.img").write_bytes(image)
    with powered:
        powered.read_console_until("OSError", 10)
    assert (powered.folder / "flash.img").read_bytes() == image
