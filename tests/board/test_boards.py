"""The facts about kinds of board."""

import json
from pathlib import Path

import pytest

from firstlight import boards
from firstlight.errors import UsageError


def test_every_known_board_loads() -> None:
    assert boards.names() == ["ESP32_GENERIC", "RPI_PICO_W", "VIRTUAL"]
    assert [boards.load(name).mcu for name in boards.names()] == ["esp32", "rp2040", "virtual"]
    assert boards.load("ESP32_GENERIC").flash_offset == 0x1000
    assert boards.load("RPI_PICO_W").flash_offset is None


def test_the_default_registration_id_is_made_from_the_chips() -> None:
    chip = bytes.fromhex("A1B2C3D4E5F6")
    assert boards.load("ESP32_GENERIC").registration_id(chip) == "esp32-a1b2c3d4e5f6"


@pytest.mark.parametrize("name", ["", "ESP32", "../boards/VIRTUAL", "esp32_generic", "x" * 999])
def test_an_unknown_board_is_refused_and_the_known_ones_named(name: str) -> None:
    with pytest.raises(UsageError, match="known are ESP32_GENERIC, RPI_PICO_W, VIRTUAL"):
        boards.load(name)


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
    ],
)
def test_a_wrong_fact_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    facts = {"id": "X", "port": "p", "mcu": "m", "vendor": "v", "product": "q", "features": []}
    path = tmp_path / "board.json"
    path.write_text(json.dumps(facts))
    assert boards.parse("X", path).features == ()
    path.write_text(json.dumps({**facts, **change}))
    with pytest.raises(UsageError):
        boards.parse("X", path)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff"])
def test_a_torn_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "board.json"
    path.write_bytes(raw)
    with pytest.raises(UsageError):
        boards.parse("X", path)
