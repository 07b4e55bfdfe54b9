"""The real esptool, and the boot loaders of five chips as esp32-mock-bootloader plays them."""

import os
import pty
import random
import re
import sys
import tty
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import serial
from littlefs import LittleFS

from firstlight import boards
from firstlight.errors import BoardError
from firstlight.flash import esptool
from firstlight.flash.nvsimage import nvs_image, pieces_with_identity
from firstlight.flash.pieces import Piece

from .espmock import Chip, Fault, locked, own_macs

KINDS = ("", "_S2", "_S3", "_C3", "_C6")
CLASSROOM = "thonnycontrib/thonny_etboard_firmware/etboard/firmware"
FILES_AT, FAR_AT = 0x200000, 0x3F0000
IDENTITY = (
    b'{"version": 1, "id_scope": "0ne00111111", "registration_id": "esp32-1",'
    b' "symmetric_key": {"primary": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="}}'
)
EARLIER = b"what was there before"


@pytest.fixture(autouse=True)
def _macs() -> Iterator[None]:
    with own_macs():
        yield


def noise(size: int) -> bytes:
    """Bytes that cannot be compressed, so that they go over the wire as they are."""
    return random.Random(size).randbytes(size)


def genuine_image() -> bytes:
    """MicroPython for an ESP32 with 4 MB, as a plug-in for a classroom's board carries it."""
    found = sorted((Path(sys.prefix) / "images" / CLASSROOM).glob("*.bin"))
    if not found and os.environ.get("CI") != "true":
        pytest.skip("the genuine image is missing: make setup")
    return found[0].read_bytes()


def file_system() -> bytes:
    fs = LittleFS(block_size=4096, block_count=32, disk_version=0x00020000, prog_size=32)
    with fs.open("/main.py", "w") as file:
        file.write("print('first light')\n")
    return bytes(fs.context.buffer)


def written(
    port: str, kind: str, pieces: Sequence[Piece], *, erase: bool = False, verify: bool = False
) -> tuple[list[float], list[str]]:
    """Have a chip written. Return how it went on, and what was said."""
    steps: list[float] = []
    said: list[str] = []
    board = boards.load(f"ESP32_GENERIC{kind}")
    esptool.write(
        board,
        port,
        pieces,
        erase=erase,
        verify=verify,
        baud=460800,
        progress=steps.append,
        say=said.append,
    )
    return steps, said


def test_a_tray_is_written_side_by_side_though_one_unit_is_pulled_out() -> None:
    """The first gets genuine MicroPython, an identity and files, the others keep what they had."""
    image, files = genuine_image(), file_system()
    bare = [Piece(FILES_AT, files, "files"), Piece(0x1000, image, "MicroPython")]
    whole = pieces_with_identity(boards.load("ESP32_GENERIC"), bare, IDENTITY)
    small = [Piece(0x10000, noise(30_001), "image")]
    macs = [bytes((0x24, 0x0A, 0xC4, 0, 0, n)) for n in range(6)]
    with ExitStack() as tray, ThreadPoolExecutor(6) as pool:
        chips = [
            tray.enter_context(Chip(f"esp32{kind[1:].lower()}", mac))
            for kind, mac in zip(KINDS, macs, strict=False)
        ]
        for chip in chips:
            chip.flash[FAR_AT : FAR_AT + len(EARLIER)] = EARLIER
        pulled = tray.enter_context(Chip("esp32", macs[5], Fault(cut_after=30_000)))
        lost = pool.submit(written, pulled.port, "", [Piece(0x1000, noise(90_000), "image")])
        first = pool.submit(written, chips[0].port, "", whole, erase=True, verify=True)
        ports = [(chip.port, kind) for chip, kind in zip(chips, KINDS, strict=True)]
        others = [pool.submit(written, port, kind, small) for port, kind in ports[1:]]
        for other in others:
            other.result()
        ids = [
            esptool.chip(boards.load(f"ESP32_GENERIC{kind}"), port)
            for port, kind in (ports[1], ports[4])
        ]
        steps, said = first.result()
        error = lost.exception()

    end = 0x1000 + len(image)
    assert chips[0].flash[0x1000:0x9000] == image[:0x8000]
    assert chips[0].flash[0x9000:0xF000] == nvs_image(IDENTITY, 0x6000)
    assert chips[0].flash[0xF000:end] == image[0xE000:]
    assert chips[0].flash[FILES_AT : FILES_AT + len(files)] == files
    assert chips[0].flash[FAR_AT : FAR_AT + len(EARLIER)] == b"\xff" * len(EARLIER)
    for chip in chips[1:]:
        assert chip.flash[0x10000 : 0x10000 + 30_001] == small[0].data
        assert chip.flash[FAR_AT : FAR_AT + len(EARLIER)] == EARLIER
    assert ids == [esptool.Chip(macs[1], 4 << 20), esptool.Chip(macs[4], 4 << 20)]

    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    assert len({round(step, 2) for step in steps}) > 20
    assert re.fullmatch(r"ESP32-\S+ \(revision v\S+\), MAC 24:0a:c4:00:00:00", said[0])
    assert said[1:] == [
        "erasing the whole flash",
        "MicroPython and identity: written, its MD5 in the flash is right",
        "files: written, its MD5 in the flash is right",
        "read back: the flash holds what was written",
    ]
    assert isinstance(error, BoardError)
    assert re.search(r"was lost at \d\d% of the writing, and does not start now", str(error))


def test_bits_that_flip_on_the_way_are_written_right_or_told() -> None:
    piece = Piece(0x1000, noise(60_000), "image")
    faults = [Fault(flipped=(30_000, 52_000)), Fault(flipped=(25_000, 25_001, 41_000))]
    with ExitStack() as tray, ThreadPoolExecutor(2) as pool:
        chips = [tray.enter_context(Chip("esp32", b"abcdef", fault)) for fault in faults]
        done = [pool.submit(written, chip.port, "", [piece]) for chip in chips]
        errors = [one.exception() for one in done]
    for chip, error in zip(chips, errors, strict=True):
        assert chip.heard > max(chip.fault.flipped)
        is_right = chip.flash[0x1000 : 0x1000 + 60_000] == piece.data
        assert is_right if error is None else isinstance(error, BoardError)


def test_a_board_of_another_kind_is_told_and_not_written_to() -> None:
    with Chip("esp32s3", b"abcdef") as chip:
        with pytest.raises(BoardError) as told:
            written(chip.port, "", [Piece(0x1000, noise(5000), "image")], erase=True)
        assert str(told.value).startswith(f"an ESP32-S3 is on {chip.port}, not an ESP32: put")
        assert set(chip.flash) == {0xFF}


def test_a_locked_chip_is_told_and_not_written_to() -> None:
    with locked(), Chip("esp32c3", b"abcdef") as chip:
        with pytest.raises(BoardError, match=r"is locked .+: set the board aside"):
            written(chip.port, "_C3", [Piece(0, noise(5000), "image")])
        assert set(chip.flash) == {0xFF}


def test_ports_that_are_not_there_or_in_use_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "esptool.py").write_text("raise SystemExit('not the esptool that is meant')")
    monkeypatch.chdir(tmp_path)
    board = boards.load("ESP32_GENERIC")
    with pytest.raises(BoardError, match=r"there is no port \S+: plug the board in"):
        esptool.chip(board, str(tmp_path / "ttyUSB9"))
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    port = os.ttyname(theirs)
    with (
        serial.Serial(port, exclusive=True),
        pytest.raises(BoardError, match=f"{port} is in use by another program: close it"),
    ):
        esptool.chip(board, port)
    os.close(ours)
    os.close(theirs)
