"""notes.py: what is known after a reset, and that no secret gets into it."""

import notes
from aziot.errors import ProtocolError, ServiceError


class Board:
    """A board of which only the notes' memory is played. wears: as an RP2's."""

    def __init__(self, wears=False):
        self.raw = b""
        self.cause = "power on"
        self.wears = wears
        self.writes = 0

    def recall(self):
        return self.raw

    def remember(self, raw, final):
        assert len(raw) <= 256
        if final or not self.wears:
            self.raw = raw
            self.writes += 1

    def reset_cause(self):
        return self.cause

    def booted(self, cause):
        self.cause = cause
        return notes.story(self)


def test_a_first_boot_has_no_story():
    assert Board().booted("power on") == {"reset": "power on", "boots": 1}


def test_a_bite_tells_the_phase_and_the_last_error():
    board = Board()
    board.booted("power on")
    notes.note(board, "wifi", OSError(113, "joined none of home: wrong password"))
    notes.note(board, "serve")
    assert board.booted("watchdog") == {
        "reset": "watchdog",
        "phase": "serve",
        "error": "OSError 113",
        "boots": 2,
    }
    assert board.booted("watchdog") == {"reset": "watchdog", "phase": "boot", "boots": 3}


def test_boots_are_counted_since_the_power_came():
    board = Board(wears=True)
    for cause, boots in (("power on", 1), ("reset", 2), ("reset", 3), ("power on", 1)):
        assert board.booted(cause)["boots"] == boots


def test_garbage_in_the_memory_is_no_story():
    for raw in (None, b"", b"\xff" * 256, b"\x00" * 64, b"{}"):
        board = Board()
        board.raw = raw
        assert board.booted("power on") == {"reset": "power on", "boots": 1}


def test_a_board_that_only_knows_of_a_reset_tells_which_by_its_note():
    board = Board(wears=True)
    board.booted("power on")
    notes.note(board, "serve", ProtocolError("odd"))
    assert board.writes == 1  # a note that costs wear is not made
    assert board.booted("reset")["reset"] == "watchdog"
    notes.note(board, "reset", ProtocolError("odd"), True)
    found = board.booted("reset")
    assert (found["reset"], found["error"]) == ("hard reset", "ProtocolError odd")
    notes.note(board, "fault", MemoryError(), True)
    assert board.booted("reset")["reset"] == "hard reset"
    notes.note(board, "sleep", None, True)
    assert board.booted("reset")["reset"] == "deep sleep"
    assert board.booted("reset")["reset"] == "watchdog"


def test_an_error_that_was_told_is_kept_as_it_was_told():
    board = Board(wears=True)
    notes.note(board, "reset", notes.told(ProtocolError("odd")), True)
    notes.note(board, "reset", "", True)
    assert board.booted("reset")["error"] == "ProtocolError odd"


def test_a_bite_while_a_reset_was_near_is_a_bite():
    board = Board()
    notes.note(board, "fault", MemoryError(), True)
    assert board.booted("watchdog")["reset"] == "watchdog"


def test_an_error_of_ours_is_told_in_its_words():
    refused = ServiceError("DPS: unauthorized", 401, 401000, "id-1")
    assert notes.told(refused) == "ServiceError " + str(refused)
    assert "401" in notes.told(refused)


def test_another_error_is_told_by_kind_and_number_alone():
    assert notes.told(OSError(12, "secret")) == "OSError 12"
    assert notes.told(OSError("secret")) == "OSError"
    assert notes.told(OSError()) == "OSError"
    assert notes.told(ValueError("secret")) == "ValueError"
    assert notes.told(MemoryError()) == "MemoryError"


def test_a_note_is_short_ascii_whatever_the_error_says():
    for text in ("x" * 1000, "\u00fc" * 500, '"\\\n\x00' * 100):
        error = notes.told(ProtocolError(text))
        assert len(error) <= 120
        assert all(32 <= b < 127 for b in error.encode())
        board = Board()
        notes.note(board, "serve", ProtocolError(text))
        assert board.booted("watchdog")["error"] == error
