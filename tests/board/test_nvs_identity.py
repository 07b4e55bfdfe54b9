"""An identity that Espressif's generator put into NVS, read by boards/VIRTUAL's own reader."""

import json
from base64 import b64encode

import pytest

from firstlight import boards, inject, roots, stage, virtual
from firstlight.errors import ProofError
from firstlight.flash.filesystem import littlefs
from firstlight.flash.nvsimage import LONGEST, nvs_image
from firstlight.repl import Repl

FLASHED, INJECTED = b"f" * 32, b"i" * 32
SIZE = 0x6000
FILES = stage.plan(True, roots.azure_roots())


def document(key: bytes, name: str = "esp32-flashed") -> dict[str, object]:
    pair = {"primary": b64encode(key).decode()}
    return {
        "version": 1,
        "id_scope": "0ne00111111",
        "registration_id": name,
        "symmetric_key": pair,
        "wifi": [{"ssid": "no such network"}],
    }


def flash_nvs(board: virtual.VirtualBoard, raw: bytes) -> None:
    """What esptool would write to 0x9000."""
    (board.folder / "nvs.img").write_bytes(nvs_image(raw, SIZE))


@pytest.fixture
def with_firmware(board: virtual.VirtualBoard) -> virtual.VirtualBoard:
    """A board that was flashed with every file but an identity, off."""
    flash = board.folder / "flash.img"
    flash.write_bytes(littlefs(boards.load("VIRTUAL"), FILES, flash.stat().st_size))
    return board


def test_a_board_boots_with_the_identity_it_was_flashed_with_and_an_injection_replaces_it(
    with_firmware: virtual.VirtualBoard,
) -> None:
    board = with_firmware
    room = LONGEST - len(inject.checked(document(FLASHED) | {"payload": {"x": ""}}))
    raw = inject.checked(document(FLASHED) | {"payload": {"x": "x" * room}})
    assert len(raw) == LONGEST
    flash_nvs(board, raw)
    with board:
        board.read_console_until("esp32-flashed", 10)
        with Repl(board.port or "") as repl:
            stored = repl.exec("import board\nprint(board.load('identity').decode())")
            assert json.loads(stored) == json.loads(raw)
            inject.prove(repl, b64encode(FLASHED).decode(), inject.IN_NVS)
            with pytest.raises(ProofError, match="does not hold the key"):
                inject.prove(repl, b64encode(INJECTED).decode(), inject.IN_NVS)

            inject.inject(repl, document(INJECTED, "esp32-injected"), FILES, lambda _: None)
            assert repl.exec("print(board.load('identity'))").strip() == b"None"
            with pytest.raises(ProofError, match="could not sign"):
                inject.prove(repl, b64encode(FLASHED).decode(), inject.IN_NVS)
            repl.reset()
        board.read_console_until("esp32-injected", 10)


def test_a_file_that_was_injected_holds_whatever_was_flashed_since(
    with_firmware: virtual.VirtualBoard,
) -> None:
    board = with_firmware
    flash_nvs(board, inject.checked(document(FLASHED)))
    with board, Repl(board.port or "") as repl:
        repl.write_file("/identity.json", inject.checked(document(INJECTED, "esp32-injected")))
        repl.reset()
        board.read_console_until("esp32-injected", 10)


def test_a_flashed_identity_that_is_none_is_told_as_none(
    with_firmware: virtual.VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = with_firmware
    monkeypatch.setattr("firstlight.flash.nvsimage._check", lambda raw: None)
    flash_nvs(board, b'{"version": 1')
    with board:
        board.read_console_until("no identity", 10)
