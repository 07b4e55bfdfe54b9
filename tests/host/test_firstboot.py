"""A board's first boot, as its console tells it: only the hub's word counts."""

import os
import pty
import threading
import tty
from collections.abc import Callable, Iterator

import pytest

from firstlight import firstboot
from firstlight.errors import BoardError, ServiceError
from firstlight.firstboot import watch

Console = Callable[[bytes], str]
DONE = b"      61 ms  hub    acknowledged 1, waiting 0\r\n"


@pytest.fixture
def console() -> Iterator[Console]:
    """Give a port on which a board says so and so, again and again."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    over = threading.Event()

    def says(text: bytes) -> str:
        def speak() -> None:
            while not over.wait(0.05):
                os.write(ours, text)

        talker.append(threading.Thread(target=speak, daemon=True))
        talker[0].start()
        return os.ttyname(theirs)

    talker: list[threading.Thread] = []
    yield says
    over.set()
    for thread in talker:
        thread.join(5)
    os.close(theirs)
    os.close(ours)


def test_an_acknowledged_message_is_the_end(console: Console) -> None:
    heard: list[str] = []
    port = console(b'@firstlight {"sent": 0}\r\n\xff\x00 noise\r\n' + DONE)
    watch(port, 10, heard.append)
    assert heard == ["61 ms  hub    acknowledged 1, waiting 0"]


@pytest.mark.parametrize(
    "line",
    [
        b"       1 ms  hub    connected to acknowledged.azure-devices.net",
        b"       1 ms  app    acknowledged 1",
        b'@firstlight {"error": "acknowledged 1", "step": "hub"}',
    ],
)
def test_the_word_alone_is_not(console: Console, line: bytes) -> None:
    refusal = b"       9 ms  serve  failed: 401 hub: no; next in 300 s\r\n"
    with pytest.raises(ServiceError, match="it says: failed: 401 hub: no; next in 300 s"):
        watch(console(line + b"\r\n" + refusal), 20, lambda _: None)


def test_a_fault_is_a_last_word_too(console: Console) -> None:
    port = console(b"      43 ms  fault  this is a bug; reset in 41 s\r\n")
    with pytest.raises(ServiceError, match="it says: this is a bug; reset in 41 s"):
        watch(port, 20, lambda _: None)


def test_what_a_board_prints_does_not_steer_the_terminal(console: Console) -> None:
    heard: list[str] = []
    evil = b"       1 ms  app    \x1b[2J\x07\x9b" + b"x" * 5000
    watch(console(evil + b"\r\n" + DONE), 10, heard.append)
    assert all(line.isprintable() and len(line) <= 400 for line in heard)


@pytest.mark.parametrize("number", [b"9" * 5000, "\u0665".encode()])
def test_a_wait_that_is_no_number_is_passed_over(console: Console, number: bytes) -> None:
    watch(
        console(b" 1 ms  dps    failed: x; next in " + number + b" s\r\n" + DONE),
        10,
        lambda _: None,
    )


def test_silence_is_the_boards_fault(console: Console) -> None:
    with pytest.raises(BoardError, match="says nothing"):
        watch(console(b""), 0.5, lambda _: None)


def test_a_board_that_is_pulled_out_is_not_waited_for_to_the_end(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firstboot, "_AWAY_S", 0.3)
    port = console(b"       1 ms  wifi   on the network as 10.0.0.1\r\n")
    with pytest.raises(BoardError, match="/dev/ttyGONE is gone"):
        watch("/dev/ttyGONE", 30, lambda _: None)
    with pytest.raises(ServiceError):
        watch(port, 0.5, lambda _: None)
