"""esptool's words, understood: progress, what was checked, and what to do when it fails."""

import pytest

from firstlight.errors import BoardError, ToolError, UsageError
from firstlight.flash.espwords import Words
from firstlight.flash.pieces import Piece

PORT = "/dev/ttyUSB0"
CONNECTED = "Connected to ESP32 on /dev/ttyUSB0:"


def heard(*lines: str, said: list[str] | None = None) -> Words:
    pieces = [Piece(0x1000, bytes(0x3000), "MicroPython"), Piece(0x10000, bytes(0x1000), "files")]
    words = Words(PORT, pieces, (said if said is not None else []).append)
    for line in lines:
        words.hear(line)
    return words


def test_progress_counts_the_bytes_of_all_pieces() -> None:
    words = heard("Writing at 0x00002000 \u2501\u2578   33.3% 4.00kB/12.00kB [0s] ")
    assert words.done == 0.25
    words.hear("\x1b[2KWriting at 0x00010800 \u2501 50.0% 2.00kB/4.00kB [0s]")
    assert words.done == 0.875
    words.hear("Writing at 0x00002000 a retry goes back, the bar does not")
    assert words.done == 0.875


def test_a_chip_with_a_long_mac_is_known_by_its_base() -> None:
    said: list[str] = []
    words = heard(
        "Chip type:          ESP32-C6 (QFN40) (revision v0.0)",
        "MAC:                60:55:f9:ff:fe:f9:72:1c",
        "BASE MAC:           60:55:f9:f9:72:1c",
        "MAC_EXT:            ff:fe",
        said=said,
    )
    assert words.mac == bytes.fromhex("6055f9f9721c")
    assert said == ["ESP32-C6 (QFN40) (revision v0.0), MAC 60:55:f9:f9:72:1c"]


def test_a_board_that_was_exchanged_meanwhile_is_noticed() -> None:
    words = heard("MAC:     00:11:22:33:44:55")
    words.begin()
    with pytest.raises(BoardError, match="another board is on /dev/ttyUSB0"):
        words.hear("MAC:     00:11:22:33:44:56")


@pytest.mark.parametrize(
    "line",
    [
        "Chip type:          ESP32-C3 in Secure Download Mode",
        "WARNING: Security features enabled, so not changing any flash settings.",
    ],
)
def test_a_locked_chip_that_esptool_would_write_to_is_refused(line: str) -> None:
    with pytest.raises(BoardError, match="the chip on /dev/ttyUSB0 is locked"):
        heard(CONNECTED, line)


def test_a_chip_that_esptool_would_write_to_on_trust_is_refused() -> None:
    with pytest.raises(BoardError, match="is not an ESP32, nor any that is known"):
        heard(
            "WARNING: This chip doesn't appear to be an ESP32 (read chip magic value 0x12345678). "
            "Probably it is unsupported by this version of esptool. Will attempt to continue."
        )


FATAL = "ERROR: A fatal error occurred: "


@pytest.mark.parametrize(
    ("lines", "told", "kind"),
    [
        (["This chip is ESP32-S3, not ESP32. Wrong chip argument?"], "an ESP32-S3 is on", None),
        (["Failed to connect to ESP32: No serial data received."], "hold the board's BOOT", None),
        (
            ["Failed to connect to ESP32: Wrong boot mode detected (0x13)! The chip needs to be"],
            "hold the board's BOOT",
            None,
        ),
        (
            ["Could not open COM7, the port is busy or doesn't exist.", "([Errno 13] could not"],
            "dialout",
            None,
        ),
        (
            ["Could not open COM7, the port is busy or doesn't exist.", "(Access is denied.)"],
            "in use by another program",
            None,
        ),
        (
            ["Could not open P, the port is busy or doesn't exist.", "([Errno 5] Input/output)"],
            "could not be opened: plug",
            None,
        ),
        (
            ["File '/dev/fd/7' (length 9) at 0x9000 will not fit in 2097152 bytes of flash"],
            "more flash than the 2097152 bytes",
            None,
        ),
        (["Active security features detected, erasing flash is disabled"], "is locked", None),
        (["This command (0xa) is not supported in Secure Download Mode"], "is locked", None),
        (["'/dev/fd/7' is not an ESP32-S3 image. Use --force"], "not for the chip", UsageError),
        (
            ["'x' requires chip revision v3.0 or higher (this chip is revision v1.0). Use"],
            "needs revision v3.0 or higher of the chip, and the one on /dev/ttyUSB0 is v1.0",
            UsageError,
        ),
        (["MD5 of file does not match data in flash!"], "does not hold what was written", None),
        (["Unable to verify flash chip connection (x)."], "does not reach its flash", None),
        (["Failed to set baud rate 921600. The driver may not"], "--baud 115200", None),
    ],
)
def test_a_known_failure_is_told_with_what_to_do_next(
    lines: list[str], told: str, kind: type[ToolError] | None
) -> None:
    error = heard("esptool v5.6.0", FATAL + lines[0], *lines[1:]).failure()
    assert type(error) is (kind or BoardError)
    assert told in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "last",
    [
        FATAL + "No more data to read from the serial port. This can have many causes",
        FATAL + "Failed to connect to ESP32: No serial data received.",
        FATAL + "The chip stopped responding.",
        "ERROR: A serial exception error occurred: write failed: [Errno 5] Input/output error",
    ],
)
def test_a_board_that_goes_away_while_it_is_written_is_told_as_that(last: str) -> None:
    words = heard(CONNECTED, "Writing at 0x00002000 25%", "Lost connection, retrying...", last)
    assert "was lost at 25% of the writing, and does not start now" in str(words.failure())
    assert "answered, and then was lost" in str(heard(CONNECTED, last).failure())


def test_a_connection_that_came_back_is_not_what_failed_later() -> None:
    words = heard(CONNECTED, "Lost connection, retrying...", FATAL + "MD5 of file does not match!")
    assert "does not hold what was written" in str(words.failure())


def test_an_esptool_that_a_signal_ended_is_not_the_boards_fault() -> None:
    told = str(heard(CONNECTED, "Writing at 0x00002000 25%").ended(9))
    assert "ended by signal 9" in told
    assert "does not start now" in told
    assert "set the board aside" not in told


def test_a_missing_esptool_is_not_the_boards_fault() -> None:
    error = heard("/usr/bin/python: No module named esptool").failure()
    assert type(error) is ToolError
    assert "pip install esptool" in str(error)


def test_of_an_unknown_failure_the_last_words_are_told_without_paths() -> None:
    error = heard(CONNECTED, FATAL + "Strange things in '/tmp/secret/7' happen.").failure()
    assert "failed on /dev/ttyUSB0 (Strange things in a file happen.): try again" in str(error)
    assert "it said nothing" in str(heard().failure())


def test_what_esptool_says_is_kept_within_bounds() -> None:
    words = heard(*[f"line {n} " + "x" * 5000 for n in range(500)])
    assert len(str(words.failure())) < 300
    assert sum(map(len, words._lines)) < 20_000
