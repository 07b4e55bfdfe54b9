"""A virtual board in fast time: waits are short, computing is not, and all else is the same."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firstlight import virtual
from firstlight.repl import Repl

Told = Callable[..., Any]
SPEED = 1000


def run(repl: Repl, code: str) -> Any:
    """Run lines on the board; what they print, as JSON."""
    return json.loads(repl.exec("import time, select, socket, ssl, machine, json\n" + code))


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Repl]:
    """The REPL of a board that waits a thousand times faster, TLS's buffers in its heap."""
    board = virtual.make(tmp_path / "board", unique_id=b"abc", wifi={"home": "secret"}, join_ms=50)
    tune(board, speed=SPEED, tls_in_heap=True)
    with board, Repl(board.port or "", timeout_s=10) as opened:
        yield opened


def tune(board: virtual.VirtualBoard, **settings: Any) -> None:
    path = board.folder / virtual.SETTINGS_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.fixture
def slow_echo() -> Iterator[int]:
    """The port of a UDP server that thinks for a fifth of a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            data, whence = sock.recvfrom(100)
            time.sleep(0.2)  # the PC's time: it is what is tested
            sock.sendto(data, whence)

        threading.Thread(target=serve, daemon=True).start()
        yield sock.getsockname()[1]


def test_a_long_sleep_is_short_and_the_ticks_say_long(fast: Repl) -> None:
    began = time.monotonic()
    ticks_ms, clock_s = run(
        fast,
        "a, b = time.ticks_ms(), time.time()\n"
        "time.sleep(100)\ntime.sleep_ms(100000)\n"
        "for _ in range(2000): time.sleep_ms(50)\n"
        "print(json.dumps([time.ticks_diff(time.ticks_ms(), a), time.time() - b]))",
    )
    assert 300_000 <= ticks_ms < 310_000
    assert clock_s <= time.monotonic() - began + 1


def test_a_poll_that_nobody_answers_lasts_as_long_as_it_should(fast: Repl) -> None:
    began = time.monotonic()
    ticks_ms, found = run(
        fast,
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.bind(socket.getaddrinfo('127.0.0.1', 0)[0][-1])\n"
        "p = select.poll()\np.register(s, select.POLLIN)\n"
        "a = time.ticks_ms()\nf = [p.poll(1000) for _ in range(300)]\n"
        "print(json.dumps([time.ticks_diff(time.ticks_ms(), a), len([x for x in f if x])]))",
    )
    assert found == 0
    assert 300_000 <= ticks_ms < 310_000
    assert time.monotonic() - began < 100


def test_an_answer_that_is_due_is_waited_for_in_its_own_time(fast: Repl, slow_echo: int) -> None:
    took_ms, found = run(
        fast,
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"s.connect(socket.getaddrinfo('127.0.0.1', {slow_echo})[0][-1])\n"
        "s.send(b'x')\np = select.poll()\np.register(s, select.POLLIN)\n"
        "a = time.ticks_ms()\nf = p.poll(30000)\n"
        "print(json.dumps([time.ticks_diff(time.ticks_ms(), a), len(f)]))",
    )
    assert found == 1
    assert took_ms < 30_000


def test_ticks_wrap_as_on_a_chip_after_five_minutes(fast: Repl) -> None:
    before, after, between, sum_ = run(
        fast,
        "a = time.ticks_ms()\ntime.sleep(400)\nb = time.ticks_ms()\n"
        "print(json.dumps([a, b, time.ticks_diff(b, a), time.ticks_add(a, 400000)]))",
    )
    assert before > (1 << 30) - 300_001
    assert after < 400_000
    assert 400_000 <= between < 410_000
    assert 0 <= after - sum_ < 10_000


def test_a_watchdog_counts_the_boards_time(tmp_path: Path) -> None:
    board = virtual.make(tmp_path / "board", unique_id=b"abc")
    tune(board, speed=SPEED)
    with board, Repl(board.port or "", timeout_s=10) as repl:
        repl.write_file(
            "/main.py",
            b"import machine, time\n"
            b"print('woken by', machine.reset_cause())\n"
            b"if machine.reset_cause() == 1:\n"
            b"    dog = machine.WDT(timeout=60000)\n"
            b"    for _ in range(10): time.sleep(50); dog.feed()\n"
            b"    print('fed')\n"
            b"    time.sleep(61)\n"
            b"    print('not bitten')\n",
        )
    with board:
        said = board.read_console_until("woken by 3", 20).decode()
    assert "fed" in said
    assert "not bitten" not in said


def test_tls_takes_its_buffers_from_the_heap_and_gives_them_back(fast: Repl) -> None:
    taken, back, refused = run(
        fast,
        "import gc\n"
        "c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
        "def wrap():\n"
        "    s = socket.socket()\n    s.setblocking(False)\n"
        "    return c.wrap_socket(s, do_handshake_on_connect=False)\n"
        "gc.collect()\na = gc.mem_free()\ns = wrap()\ngc.collect()\nb = gc.mem_free()\n"
        "s.close()\ns = None\ngc.collect()\nd = gc.mem_free()\n"
        "kept = []\n"
        "try:\n  while True: kept.append(bytearray(15000))\nexcept MemoryError: pass\n"
        "try:\n  wrap()\n  e = 0\nexcept OSError as x: e = x.errno\n"
        "kept = None\nprint(json.dumps([a - b, a - d, e]))",
    )
    assert 20480 <= taken < 23000
    assert back < 1500
    assert refused == 12  # ENOMEM


def test_tls_in_the_heap_can_be_polled_in_the_boards_own_time(tmp_path: Path) -> None:
    board = virtual.make(tmp_path / "board", unique_id=b"abc")
    tune(board, tls_in_heap=True)
    with board, Repl(board.port or "", timeout_s=10) as repl:
        began = time.monotonic()
        code = (
            "s = socket.socket()\ns.setblocking(False)\n"
            "t = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)"
            ".wrap_socket(s, do_handshake_on_connect=False)\n"
            "p = select.poll()\np.register(t, 0)\n"
            "a = time.ticks_ms()\np.poll(10)\ntime.sleep_ms(200)\n"
            "print(time.ticks_diff(time.ticks_ms(), a))"
        )
        assert 200 <= run(repl, code) <= 1000 * (time.monotonic() - began)


def test_names_lead_where_a_test_says(tmp_path: Path) -> None:
    board = virtual.make(tmp_path / "board", unique_id=b"abc")
    tune(board, speed=SPEED)
    (board.folder / "dns.json").write_text('{"localhost": ["127.0.0.9"], "*": []}')
    with board, Repl(board.port or "", timeout_s=10) as repl:
        code = (
            "try: found = min(1, len(socket.getaddrinfo('gone.example', 1)))\n"
            "except OSError as e: found = e.errno\n"
            "n = socket.getaddrinfo('localhost', 8883)[0][-1]\n"
            "print(json.dumps([found, n == socket.getaddrinfo('localhost', 8883)[0][-1]]))"
        )
        assert run(repl, code) == [-2, True]
        (board.folder / "dns.json").unlink()
        assert run(repl, code.replace("gone.example", "127.0.0.1")) == [1, True]


def test_a_board_in_its_own_time_has_nothing_of_this(repl: Repl) -> None:
    names = run(
        repl,
        "import sys\nprint(json.dumps([str(select), str(socket), str(ssl.SSLContext),"
        " time.ticks_ms() > 0, [n for n in sys.modules if n[0] == '_']]))",
    )
    assert names[:2] == ["<module 'select'>", "<module 'socket'>"]
    assert names[3:] == [True, ["__main__"]] or names[3:] == [True, []]
