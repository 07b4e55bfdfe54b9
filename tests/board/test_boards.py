"""The facts about kinds of board."""

import json
from pathlib import Path

import pytest
from esptool.targets import CHIP_DEFS

from firstlight import boards
from firstlight.errors import UsageError

KNOWN = [
    "ESP32_GENERIC",
    "ESP32_GENERIC_C3",
    "ESP32_GENERIC_C6",
    "ESP32_GENERIC_S2",
    "ESP32_GENERIC_S3",
    "RPI_PICO2_W",
    "RPI_PICO_W",
    "VIRTUAL",
    "VIRTUAL_ESP32",
    "VIRTUAL_PICO_W",
]


def test_every_known_board_loads() -> None:
    assert boards.names() == KNOWN
    loaded = {name: boards.load(name) for name in KNOWN}
    assert {name: board.mcu for name, board in loaded.items()} == {
        "ESP32_GENERIC": "esp32",
        "ESP32_GENERIC_C3": "esp32c3",
        "ESP32_GENERIC_C6": "esp32c6",
        "ESP32_GENERIC_S2": "esp32s2",
        "ESP32_GENERIC_S3": "esp32s3",
        "RPI_PICO2_W": "rp2350",
        "RPI_PICO_W": "rp2040",
        "VIRTUAL": "virtual",
        "VIRTUAL_ESP32": "esp32",
        "VIRTUAL_PICO_W": "rp2040",
    }
    assert {board.loader for board in loaded.values()} == set(boards.LOADERS)


@pytest.mark.parametrize("name", [name for name in KNOWN if name.startswith("ESP32")])
def test_an_esp32s_image_begins_where_esptool_says_its_boot_loader_is(name: str) -> None:
    board = boards.load(name)
    assert board.flash_offset == CHIP_DEFS[board.mcu].BOOTLOADER_FLASH_OFFSET
    assert (board.loader, board.filesystem, board.uf2) == ("esptool", None, None)
    assert (board.flash_bytes or 0) % (4 << 20) == 0


@pytest.mark.parametrize("name", [name for name in KNOWN if not name.startswith("VIRTUAL")])
def test_a_real_boards_image_is_upstreams_of_that_name(name: str) -> None:
    board = boards.load(name)
    assert board.firmware is not None
    kind = "uf2" if board.loader == "uf2" else "bin"
    assert board.firmware.url == (
        f"https://micropython.org/resources/firmware/{name}-20260406-v1.28.0.{kind}"
    )
    assert board.usb


def test_the_default_registration_id_is_made_from_the_chips() -> None:
    chip = bytes.fromhex("A1B2C3D4E5F6")
    assert boards.load("ESP32_GENERIC").registration_id(chip) == "esp32-a1b2c3d4e5f6"


@pytest.mark.parametrize("name", ["", "ESP32", "../boards/VIRTUAL", "esp32_generic", "x" * 999])
def test_an_unknown_board_is_refused_and_the_known_ones_named(name: str) -> None:
    with pytest.raises(UsageError, match=r"known are ESP32_GENERIC, .*RPI_PICO_W, VIRTUAL"):
        boards.load(name)


PLACE = {"offset": "0x12c000", "size": "0xd4000", "block": 4096, "prog": 256}
LOADER = {"board_id": "RPI-RP2", "family": "0xe48bff56", "base": "0x10000000"}
OWN: dict[str, object] = {
    "loader": "uf2",
    "usb": ["2e8a:0005"],
    "flash_bytes": 2097152,
    "filesystem": PLACE,
    "uf2": LOADER,
    "firmware": {"url": "https://host/firmware.uf2", "sha256": "0" * 64},
}
FACTS = {"id": "X", "port": "p", "mcu": "m", "vendor": "v", "product": "q", "features": []}


def parsed(folder: Path, facts: object) -> boards.Board:
    path = folder / "board.json"
    path.write_text(json.dumps(facts))
    return boards.parse("X", path)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "OTHER"},
        {"mcu": "ESP 32"},
        {"mcu": 5},
        {"features": "WiFi"},
        {"features": [1]},
        {"deploy_options": []},
        {"deploy_options": {"flash_offset": "4096x"}},
        {"vendor": ""},
        {"firstlight": None},
        {"firstlight": []},
    ],
)
def test_a_wrong_fact_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    facts = {**FACTS, "firstlight": OWN}
    assert parsed(tmp_path, facts).filesystem == boards.FileSystem(0x12C000, 0xD4000, 4096, 256)
    with pytest.raises(UsageError):
        parsed(tmp_path, {**facts, **change})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"loader": "jtag"}, "loader must be one of esptool, uf2, virtual"),
        ({"loader": None}, "loader must be text"),
        ({"loader": "esptool"}, "flash_offset must be there"),
        ({"usb": "303a:1001"}, "usb must be a list"),
        ({"usb": ["303A:1001"]}, "lowercase"),
        ({"flash_bytes": "2 MB"}, "flash_bytes must be a number"),
        ({"flash_bytes": -1}, "flash_bytes"),
        ({"flash_bytes": True}, "flash_bytes"),
        ({"flash_bytes": 1 << 20}, "filesystem must be within flash_bytes"),
        ({"flash_bytes": None}, "for the loader uf2"),
        ({"filesystem": None}, "for the loader uf2"),
        ({"uf2": None}, "for the loader uf2"),
        ({"uf2": {**LOADER, "family": 1 << 32}}, "family must be a number"),
        ({"uf2": {**LOADER, "board_id": ""}}, "board_id must be text"),
        ({"filesystem": {**PLACE, "offset": 512}}, "whole blocks"),
        ({"filesystem": {**PLACE, "size": 0}}, "whole blocks"),
        ({"filesystem": {**PLACE, "block": 512}}, "whole blocks"),
        ({"filesystem": {**PLACE, "prog": 100}}, "a divisor of 4096"),
        ({"filesystem": {**PLACE, "prog": 0}}, "a divisor of 4096"),
        ({"filesystem": [1]}, "filesystem must be an object or null"),
        ({"firmware": {"url": "file:///etc/passwd"}}, "an http or https address"),
        ({"firmware": {"url": "https://[x"}}, "an http or https address"),
        ({"firmware": {"url": 1}}, "url must be text"),
        ({"firmware": {"url": "http://h/f", "sha256": "F" * 64}}, "lowercase hexadecimal"),
    ],
)
def test_a_wrong_fact_of_ours_is_refused_and_named(
    tmp_path: Path, change: dict[str, object], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        parsed(tmp_path, {**FACTS, "firstlight": {**OWN, **change}})


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff"])
def test_a_torn_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "board.json"
    path.write_bytes(raw)
    with pytest.raises(UsageError):
        boards.parse("X", path)
