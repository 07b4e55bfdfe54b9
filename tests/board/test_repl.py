"""The raw REPL: what a board answers, and what every kind of port that is no board leads to."""

import hashlib
import json
import os
import pty
import re
import select
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firstlight import serialport, virtual
from firstlight.errors import BoardError, UsageError
from firstlight.repl import BoardExecError, Repl

BANNER = b"raw REPL; CTRL-B to exit\r\n>"


@contextmanager
def port_that(answers: Callable[[bytes], bytes | None], rest: bytes = b"") -> Iterator[str]:
    """A terminal with no board: answers gives what it says to what it hears, None: it is gone.

    rest: what it says over and over from its first raw paste on.
    """
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    path, over = os.ttyname(theirs), threading.Event()

    def serve() -> None:
        try:
            while (answer := answers(os.read(ours, 4096))) is not None:
                os.write(ours, answer)
                while rest and answer.startswith(b"R\x01") and not over.is_set():
                    if select.select([], [ours], [], 0.05)[1]:
                        os.write(ours, rest)
        except OSError:
            return
        os.close(ours)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield path
    over.set()
    os.close(theirs)
    thread.join(5)


def test_a_board_says_what_it_is(repl: Repl) -> None:
    board = repl.implementation()
    assert (board.name, board.platform, board.mpy & 0xFF) == ("micropython", "linux", 6)
    assert board.version >= (1, 28, 0)


def test_main_is_interrupted_and_no_soft_reset_happens(powered: virtual.VirtualBoard) -> None:
    with Repl(powered.port or "") as repl:
        repl.write_file(
            "/main.py", b"import time\nn = 5\nprint('bu' + 'sy')\nwhile True: time.sleep_ms(1)"
        )
        repl.reset()
    powered.read_console_until("busy", 10)
    with Repl(powered.port or "") as repl:
        assert repl.exec("print(n)").strip() == b"5"


def test_a_board_that_hears_several_tries_at_once_is_told_things_once(
    powered: virtual.VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that looks up a name, or shakes hands over TLS, heeds no Ctrl-C for seconds."""
    busy = "import micropython, time\nmicropython.kbd_intr(-1)\nprint('bu' + 'sy')\n"
    busy += "time.sleep(0.6)\nmicropython.kbd_intr(3)\n"
    with Repl(powered.port or "") as repl:
        repl.write_file("/main.py", busy.encode())
        repl.reset()
    powered.read_console_until("busy", 10)
    monkeypatch.setattr(serialport, "_TRY_S", 0.2)
    with Repl(powered.port or "") as repl:
        assert repl.exec("print(6 * 7)").strip() == b"42"


def test_the_board_is_left_in_its_friendly_repl(powered: virtual.VirtualBoard) -> None:
    seen = len(powered.console)
    with Repl(powered.port or "") as repl:
        repl.exec("x = 1")
    with Repl(powered.port or "") as repl:
        repl._transport.serial.write(b"\x02")
        repl._transport.deadline = float("inf")
        repl._transport.serial.write(b"print('frien' + 'dly')\r")
        assert repl._transport.read_until(1, b"friendly\r\n").endswith(b"friendly\r\n")
    assert b"x = 1" not in powered.console[seen:]


def test_a_file_is_written_once_and_whole(repl: Repl) -> None:
    data = bytes(range(256)) * 30
    assert repl.write_file("/deep/er/data.bin", data) is True
    assert repl.write_file("/deep/er/data.bin", data) is False
    digest = hashlib.sha256(data).hexdigest()
    assert repl.hashes(["/deep/er/data.bin", "/none"]) == {
        "/deep/er/data.bin": digest,
        "/none": "",
    }
    assert repl.write_file("/deep/er/data.bin", b"") is True
    assert repl.list_folder("/deep/er") == ["data.bin"]
    repl.remove("/deep/er/data.bin")
    repl.remove("/deep/er/data.bin")
    assert repl.list_folder("/deep/er") == []
    assert repl.list_folder("/nowhere") == []


def test_a_full_board_is_told_and_keeps_the_old_file(tmp_path: Path) -> None:
    with virtual.make(tmp_path, flash_bytes=64 * 1024) as board, Repl(board.port or "") as repl:
        repl.write_file("/kept", b"old")
        with pytest.raises(BoardError, match="file system is full"):
            repl.write_file("/kept", bytes(80_000))
        assert repl.hashes(["/kept"])["/kept"] == hashlib.sha256(b"old").hexdigest()
        assert repl.list_folder("/") == ["kept"]


@pytest.mark.parametrize("path", ["a", "/a b", "/../x", "//x", "/x'y", "/" + "x" * 200])
def test_a_path_that_no_board_should_get_is_refused(repl: Repl, path: str) -> None:
    with pytest.raises(UsageError):
        repl.write_file(path, b"")


@pytest.mark.parametrize(
    ("printed", "ask"),
    [
        (b"[" * 60_000, Repl.implementation),
        (b'["micropython", [1, 28, 1e999], 6, "", ""]', Repl.implementation),
        (b'["micropython", [1, 28], 6, "", ""]', Repl.implementation),
        (b"5", Repl.implementation),
        (b"9" * 5000, Repl.free_bytes),
        (b"5", lambda repl: repl.list_folder("/")),
        (b"[" * 60_000, lambda repl: repl.list_folder("/")),
    ],
)
def test_what_no_board_would_say_is_told_as_that(
    monkeypatch: pytest.MonkeyPatch, printed: bytes, ask: Callable[[Repl], object]
) -> None:
    monkeypatch.setattr(Repl, "exec", lambda *_: printed)
    with pytest.raises(BoardError, match="does not"):
        ask(Repl("/dev/ttyUSB0"))


def test_what_a_board_says_of_itself_does_not_steer_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = ["micropython", [1, 28, 0], 6, "\x1b]0;x\x07" + "y" * 999, "esp32"]
    monkeypatch.setattr(Repl, "exec", lambda *_: json.dumps(told).encode())
    machine = Repl("/dev/ttyUSB0").implementation().machine
    assert machine.startswith("?]0;x?y")
    assert len(machine) < 200


def test_an_exception_is_told_without_its_words(repl: Repl) -> None:
    with pytest.raises(BoardExecError) as caught:
        repl.exec("raise ValueError('c2VjcmV0')")
    assert "ValueError" in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)
    with pytest.raises(BoardExecError) as full:
        repl.exec("raise OSError(5)")
    assert full.value.number == 5
    with pytest.raises(BoardExecError) as syntax:
        repl.exec("c2VjcmV0 = = 1")
    assert "c2VjcmV0" not in str(syntax.value)


def test_a_statement_that_does_not_end_costs_a_bounded_time(repl: Repl) -> None:
    with pytest.raises(BoardError, match="stopped answering"):
        repl.exec("while True: pass", timeout_s=0.5)


def test_a_board_that_prints_for_ever_costs_a_bounded_time(repl: Repl) -> None:
    with pytest.raises(BoardError, match="stopped answering"):
        repl.exec("while True: print('x' * 100)", timeout_s=1)


def test_a_silent_port_is_no_board(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        port_that(lambda _: b"") as path,
        pytest.raises(BoardError, match="answers as MicroPython"),
        Repl(path, patience_s=0.5),
    ):
        pass
    assert capfd.readouterr().out == ""


def test_a_port_that_echoes_or_babbles_is_no_board(capfd: pytest.CaptureFixture[str]) -> None:
    for answers in (lambda heard: heard, lambda _: b"\xff\x00raw REPL" * 99):
        with port_that(answers) as path, pytest.raises(BoardError), Repl(path, patience_s=1):
            pass
    assert capfd.readouterr().out == ""


def test_a_port_that_vanishes_is_told(powered: virtual.VirtualBoard) -> None:
    with Repl(powered.port or "", timeout_s=1) as repl:
        powered.power_off()
        with pytest.raises(BoardError, match="stopped answering"):
            repl.exec("print(1)")


def test_a_fake_that_vanishes_after_its_banner_is_told() -> None:
    heard: list[bytes] = []

    def answers(data: bytes) -> bytes | None:
        heard.append(data)
        word = re.search(rb"print\('(\w+)'", data)
        if word:
            return b"OK" + word[1] + b"\x04\x04>"
        return BANNER if b"\x05" not in data else None

    with port_that(answers) as path, Repl(path, timeout_s=1) as repl, pytest.raises(BoardError):
        repl.exec("print('c2VjcmV0')")
    assert any(b"\x05" in data for data in heard)


@pytest.mark.timeout(30)
def test_a_fake_that_grants_room_for_ever_and_none_at_all_is_told() -> None:
    def answers(data: bytes) -> bytes:
        word = re.search(rb"print\('(\w+)'", data)
        if word:
            return b"OK" + word[1] + b"\x04\x04>"
        return b"R\x01\0\0" + b"\x01" * 4096 if b"\x05" in data else BANNER

    with (
        port_that(answers, rest=b"\x01" * 512) as path,
        Repl(path, timeout_s=1) as repl,
        pytest.raises(BoardError, match="stopped answering"),
    ):
        repl.exec("print(1)")


def test_a_port_that_is_not_there_or_not_a_port_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for port, why in [
        (str(tmp_path / "none"), "there is no port"),
        (str(tmp_path / "file"), "not a serial port"),
        (str(tmp_path), "not a serial port"),
        ("", "no port"),
        ("nonsense://x", "not a port"),
    ]:
        with pytest.raises(BoardError, match=why), Repl(port):
            pass


def test_a_port_that_is_held_is_told(powered: virtual.VirtualBoard) -> None:
    with (
        Repl(powered.port or "") as first,
        pytest.raises(BoardError, match="in use"),
        Repl(powered.port or ""),
    ):
        pass
    with Repl(powered.port or "") as second:
        assert second.exec("print(3)").strip() == b"3"
    with pytest.raises(BoardError, match="closed"):
        first.exec("print(1)")
