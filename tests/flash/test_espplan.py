"""What esptool is told: decided without a board."""

import pytest

from firstlight.errors import UsageError
from firstlight.flash import espplan
from firstlight.flash.pieces import Piece

PORT = "/dev/ttyUSB0"
FILES = [(0x200000, "/dev/fd/8"), (0x1000, "/dev/fd/7")]
AS_IS = "--flash-mode keep --flash-freq keep --flash-size keep"


def planned(*, erase: bool, verify: bool, files: bool = True) -> list[str]:
    plan = espplan.commands(
        "esp32c3", PORT, FILES if files else [], erase=erase, verify=verify, baud=460800
    )
    return [" ".join(words) for words in plan]


def test_one_call_erases_writes_and_starts_the_board() -> None:
    head = "--chip esp32c3 --port /dev/ttyUSB0 --baud 460800 --after hard-reset"
    places = "0x1000 /dev/fd/7 0x200000 /dev/fd/8"
    keep, fresh = planned(erase=False, verify=False), planned(erase=True, verify=False)
    assert keep == [f"{head} write-flash {AS_IS} {places}"]
    assert fresh == [f"{head} write-flash {AS_IS} --erase-all {places}"]


def test_the_application_does_not_run_between_writing_and_reading_back() -> None:
    write, verify = planned(erase=False, verify=True)
    assert "--after no-reset write-flash" in write
    assert "--after hard-reset verify-flash" in verify
    assert write.partition(AS_IS)[2] == verify.partition(AS_IS)[2]


def test_without_pieces_it_only_erases_or_does_nothing() -> None:
    (erase,) = planned(erase=True, verify=True, files=False)
    assert erase.endswith("--after hard-reset erase-flash")
    assert planned(erase=False, verify=True, files=False) == []


def test_the_mac_is_read_without_a_stub() -> None:
    words = espplan.flash_id("esp32s2", PORT)
    assert words[:4] == ["--chip", "esp32s2", "--port", PORT]
    assert words[-2:] == ["--no-stub", "flash-id"]


@pytest.mark.parametrize(
    ("chip", "port", "baud"),
    [
        ("rp2040", PORT, 115200),
        ("auto", PORT, 115200),
        ("esp32", "--before=no-reset", 115200),
        ("esp32", "", 115200),
        ("esp32", "a\0b", 115200),
        ("esp32", PORT, 0),
        ("esp32", PORT, 9_999_999),
    ],
)
def test_what_is_no_chip_port_or_rate_never_reaches_a_command_line(
    chip: str, port: str, baud: int
) -> None:
    with pytest.raises(UsageError):
        espplan.commands(chip, port, FILES, erase=False, verify=False, baud=baud)


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ([Piece(0x1000, b"", "files")], "files is empty"),
        ([Piece(0x1001, b"x", "files")], "from multiples of 0x1000"),
        ([Piece(-0x1000, b"x", "files")], "from multiples of 0x1000"),
        ([Piece(0, bytes(0x1001), "a"), Piece(0x1000, b"x", "b")], "b and a would both"),
    ],
)
def test_pieces_that_cannot_lie_side_by_side_are_refused(pieces: list[Piece], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        espplan.check_pieces(pieces)


def test_pieces_may_touch() -> None:
    espplan.check_pieces([Piece(0x2000, b"x", "b"), Piece(0, bytes(0x1001), "a")])


def test_a_slow_line_and_an_erased_flash_get_more_time() -> None:
    quick, slow = (espplan.limit_s(["write-flash"], 4 << 20, baud) for baud in (921_600, 115_200))
    assert slow > (4 << 20) * 10 / 115_200 > quick - espplan.limit_s(["verify-flash"], 4 << 20, 1)
    assert espplan.limit_s(["write-flash", "--erase-all"], 0, 9600) >= 120
    assert espplan.limit_s(espplan.flash_id("esp32", PORT), 0, 0) < 60
