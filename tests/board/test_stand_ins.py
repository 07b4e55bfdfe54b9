"""What the board's code sees of its hardware, asked by real MicroPython code."""

import json
import re
import time
from pathlib import Path

import pytest

from firstlight import virtual
from firstlight.repl import BoardExecError, Repl

from .conftest import PROMPT

_NOT_FOUND = -0x1102


def value(repl: Repl, code: str) -> object:
    """The value of the last line of code, on the board."""
    *before, last = code.strip().splitlines()
    text = repl.exec("\n".join([*before, f"import json\nprint(json.dumps({last}))"]))
    return json.loads(text)


def errno_of(repl: Repl, code: str) -> object:
    return value(repl, f"def f():\n try:\n  {code}\n except OSError as e:\n  return e.errno\nf()")


def test_the_root_is_the_flash_and_nothing_of_the_pc_is_seen(repl: Repl) -> None:
    repl.write_file("/a.txt", b"x")
    assert value(repl, "import os\nos.listdir('/')") == ["a.txt"]
    assert value(repl, "import os\nos.listdir()") == ["a.txt"]
    assert value(repl, "import sys\nsys.path") == ["", ".frozen", "/lib"]
    assert value(repl, "import sys\nsys.argv") == []
    assert errno_of(repl, "open('/etc/passwd')") in (2, 19)
    for name in ("os.system", "os.getenv", "vfs.VfsPosix", "os.VfsPosix"):
        with pytest.raises(BoardExecError, match="AttributeError"):
            repl.exec(f"import os, vfs\n{name}")


def test_nothing_of_the_stand_ins_lies_in_the_users_way(repl: Repl) -> None:
    assert value(repl, "[n for n in dir() if n not in ('json', '__name__', '__file__')]") == []
    assert value(repl, "import sys\n'_wires' in sys.modules") is False


def test_nvs_keeps_what_was_committed_over_a_power_cut(powered: virtual.VirtualBoard) -> None:
    with Repl(powered.port or "") as repl:
        repl.exec(
            "import esp32\nn = esp32.NVS('aziot')\nn.set_i32('count', -5)\n"
            "n.set_blob('hub', b'\\x00\\xffhub')\nn.commit()\nn.set_i32('count', 6)"
        )
        assert value(repl, "n.get_i32('count')") == 6
        assert value(repl, "esp32.NVS('aziot').get_i32('count')") == -5
    powered.power_off()
    with powered, Repl(powered.port or "") as repl:
        repl.exec("import esp32\nn = esp32.NVS('aziot')\nb = bytearray(8)")
        assert value(repl, "n.get_i32('count')") == -5
        assert value(repl, "[n.get_blob('hub', b), list(b)]") == [
            5,
            [0, 255, 104, 117, 98, 0, 0, 0],
        ]


def test_nvs_raises_upstreams_errors(repl: Repl) -> None:
    repl.exec("import esp32\nn = esp32.NVS('a')\nn.set_blob('b', bytes(9))")
    assert errno_of(repl, "n.get_i32('none')") == _NOT_FOUND
    assert errno_of(repl, "n.get_i32('b')") == _NOT_FOUND
    assert errno_of(repl, "n.erase_key('none')") == _NOT_FOUND
    assert errno_of(repl, "n.get_blob('b', bytearray(8))") == -0x110C
    assert errno_of(repl, "n.set_i32('k' * 16, 1)") == -0x1109
    assert errno_of(repl, "esp32.NVS('n' * 16)") == -0x1106
    repl.exec("n.set_i32('k' * 15, 1)\nn.erase_key('b')")
    assert errno_of(repl, "n.get_blob('b', bytearray(9))") == _NOT_FOUND
    with pytest.raises(BoardExecError, match="OverflowError"):
        repl.exec("n.set_i32('k', 1 << 31)")


def test_nvs_is_as_small_as_the_chips(tmp_path: Path) -> None:
    code = "for i in range(9): n.set_blob('k%d' % i, bytes(4000))\n  n.commit()"
    with virtual.make(tmp_path, heap_bytes=1 << 20) as board, Repl(board.port or "") as repl:
        repl.exec("import esp32\nn = esp32.NVS('a')")
        assert errno_of(repl, code) == -0x1105


def test_the_clock_starts_unset_and_counts_whole_seconds(repl: Repl) -> None:
    now = value(repl, "import time\ntime.time()")
    assert isinstance(now, int)
    assert 946684800 <= now < 946684800 + 60
    assert value(repl, "time.gmtime()[:3]") == [2000, 1, 1]
    assert value(repl, "[time.gmtime(0)[0], len(time.localtime())]") == [1970, 8]


def test_the_clock_runs_through_resets_and_forgets_at_a_power_cut(
    powered: virtual.VirtualBoard,
) -> None:
    with Repl(powered.port or "") as repl:
        repl.exec("import machine\nmachine.RTC().datetime((2026, 11, 22, 0, 5, 6, 7, 250000))")
        assert value(repl, "machine.RTC().datetime()[:4]") == [2026, 11, 22, 6]
        repl.reset()
    powered.read_console_until(PROMPT, 10)
    with Repl(powered.port or "") as repl:
        now = value(repl, "import time\ntime.time()")
        assert isinstance(now, int)
        assert 1795323967 <= now <= 1795323967 + 60
    powered.power_off()
    with powered, Repl(powered.port or "") as repl:
        assert value(repl, "import time\ntime.gmtime()[0]") == 2000


def test_the_ticks_begin_anew_with_each_boot(powered: virtual.VirtualBoard) -> None:
    for _ in range(2):
        began = time.monotonic()
        with Repl(powered.port or "") as repl:
            ticks_ms = value(repl, "import time\ntime.ticks_ms()")
            assert isinstance(ticks_ms, int)
            assert 0 <= ticks_ms < 20_000 + 1000 * (time.monotonic() - began)
            repl.reset()
        powered.read_console_until(PROMPT, 10)


def test_a_starved_watchdog_resets_the_board(powered: virtual.VirtualBoard) -> None:
    main = (
        "import machine, time\nprint('cause', machine.reset_cause())\n"
        "if machine.reset_cause() != machine.WDT_RESET:\n"
        "    dog = machine.WDT(timeout=300)\n    start = time.ticks_ms()\n"
        "    while time.ticks_diff(time.ticks_ms(), start) < 700:\n"
        "        dog.feed()\n        time.sleep_ms(20)\n"
        "    print('fed')\n    while True: pass\n"
    )
    with Repl(powered.port or "") as repl:
        repl.write_file("/main.py", main.encode())
        repl.reset()
    powered.read_console_until("fed", 10)
    starved_at = time.monotonic()
    powered.read_console_until("cause 3", 10)
    assert time.monotonic() - starved_at < 5


def test_a_watchdog_outlives_a_soft_reset_and_ends_with_a_hard_one(
    powered: virtual.VirtualBoard,
) -> None:
    main = (
        "import machine, time\ncause = machine.reset_cause()\nprint('cause', cause)\n"
        "if cause in (machine.PWRON_RESET, machine.WDT_RESET): machine.WDT(timeout=500)\n"
        "if cause == machine.PWRON_RESET: machine.soft_reset()\n"
        "if cause == machine.WDT_RESET: machine.reset()\n"
        "time.sleep(2)\nprint('not bitten')\n"
    )
    with Repl(powered.port or "") as repl:
        repl.write_file("/main.py", main.encode())
    powered.power_off()
    with powered:
        said = powered.read_console_until("not bitten", 15).decode()
    assert re.findall(r"cause (\d)", said) == ["1", "5", "3", "2"]


def test_the_chip_tells_its_id(repl: Repl) -> None:
    assert repl.unique_id() == bytes.fromhex("a1b2c3d4e5f6")
    assert value(repl, "import machine\nmachine.Pin(2, machine.Pin.OUT, value=1).value()") == 1


def test_ctrl_c_at_any_moment_leaves_a_board_that_answers(powered: virtual.VirtualBoard) -> None:
    """Many statements, each interrupted somewhere: never a lost board."""
    with Repl(powered.port or "") as repl:
        pid = powered.interpreter_pid
        for _ in range(40):
            repl._transport.serial.write(b"x = 1\x04\x03")
            repl._transport.way_in(5)
        assert repl.exec("print(7)").strip() == b"7"
    assert powered.interpreter_pid == pid
