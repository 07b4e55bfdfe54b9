"""The switch of a virtual board: what a power cut leaves, and what each kind of reset runs."""

import json
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from firstlight import bridge, virtual
from firstlight.errors import BoardError, UsageError
from firstlight.repl import Repl

from .conftest import PROMPT, UNIQUE_ID


def put(board: virtual.VirtualBoard, **files: str) -> None:
    with Repl(board.port or "") as repl:
        for name, text in files.items():
            repl.write_file(f"/{name}.py", text.encode())


def ask(board: virtual.VirtualBoard, code: str) -> str:
    with Repl(board.port or "") as repl:
        return repl.exec(code).decode().strip()


def bridge_of(board: virtual.VirtualBoard) -> int:
    return int(json.loads((board.folder / "power.json").read_bytes())["pid"])


def ends(pid: int) -> bool:
    """Whether the process ends within 5 s; one that nobody has waited for has ended."""
    stat = Path(f"/proc/{pid}/stat")
    end = time.monotonic() + 5
    while stat.exists() and ") Z " not in stat.read_text():
        if time.monotonic() > end:
            return False
    return True


def test_the_port_is_a_pseudo_terminal(powered: virtual.VirtualBoard) -> None:
    assert (powered.port or "").startswith("/dev/pts/") or os.uname().sysname != "Linux"


def test_files_outlive_a_power_cut(powered: virtual.VirtualBoard) -> None:
    put(powered, kept="x = 41 + 1")
    powered.power_off()
    assert powered.port is None
    with powered:
        assert ask(powered, "import kept\nprint(kept.x)") == "42"


def test_main_runs_at_power_on_after_boot(powered: virtual.VirtualBoard) -> None:
    put(powered, boot="print('boot runs')", main="print('main runs as', __name__)\nleft = 7")
    powered.power_off()
    with powered:
        printed = powered.read_console_until(PROMPT, 10).decode()
        assert printed.index("boot runs") < printed.index("main runs as __main__")
        assert ask(powered, "print(left)") == "7"


def test_ctrl_c_interrupts_main_and_leads_to_the_repl(powered: virtual.VirtualBoard) -> None:
    put(powered, main="import time\nprint('busy')\nwhile True:\n    time.sleep_ms(5)")
    powered.power_off()
    with powered:
        powered.read_console_until("busy", 10)
        assert ask(powered, "print('here')") == "here"


def test_a_fault_in_main_is_printed_as_a_board_prints_it(powered: virtual.VirtualBoard) -> None:
    put(powered, main="def f():\n    1 / 0\nf()")
    powered.power_off()
    with powered:
        printed = powered.read_console_until(PROMPT, 10).decode()
    wanted = 'Traceback (most recent call last):\n  File "main.py", line 3, in <module>\n'
    assert wanted + '  File "main.py", line 2, in f\nZeroDivisionError' in printed


def test_exit_from_main_is_a_soft_reset(powered: virtual.VirtualBoard) -> None:
    main = (
        "import machine, sys\nprint('cause', machine.reset_cause())\n"
        "if machine.reset_cause() != machine.SOFT_RESET: sys.exit()"
    )
    put(powered, main=main)
    powered.power_off()
    with powered:
        powered.read_console_until("cause 1", 10)
        powered.read_console_until("MPY: soft reboot", 10)
        powered.read_console_until("cause 5", 10)


def test_machine_reset_runs_main_and_tells_its_cause(powered: virtual.VirtualBoard) -> None:
    put(powered, main="import machine\nprint('cause', machine.reset_cause())")
    with Repl(powered.port or "") as repl:
        repl.reset()
    powered.read_console_until("cause 2", 10)


def test_a_dead_interpreter_is_started_again_as_after_a_brownout(
    powered: virtual.VirtualBoard,
) -> None:
    put(powered, main="import machine\nprint('cause', machine.reset_cause())")
    os.kill(powered.interpreter_pid, signal.SIGKILL)
    powered.read_console_until("cause 1", 10)


def test_nothing_is_left_running_after_power_off(powered: virtual.VirtualBoard) -> None:
    cpu, bridge = powered.interpreter_pid, bridge_of(powered)
    powered.power_off()
    assert ends(cpu)
    assert ends(bridge)
    assert powered.port is None
    with pytest.raises(BoardError, match="is off"):
        assert powered.interpreter_pid


def test_the_interpreter_ends_with_a_bridge_that_is_killed(powered: virtual.VirtualBoard) -> None:
    cpu, bridge = powered.interpreter_pid, bridge_of(powered)
    os.kill(bridge, signal.SIGKILL)
    assert ends(cpu)
    assert ends(bridge), "whose lock says that the board is on"
    assert powered.port is None


def test_a_board_that_is_on_cannot_be_switched_on_again(powered: virtual.VirtualBoard) -> None:
    with pytest.raises(BoardError, match="on already"):
        virtual.VirtualBoard(powered.folder).power_on()
    assert ask(powered, "print(1)") == "1"


def test_a_board_can_outlive_the_object_that_switched_it_on(board: virtual.VirtualBoard) -> None:
    board.power_on(outlive=True)
    other = virtual.VirtualBoard(board.folder)
    other.read_console_until(PROMPT, 10)
    assert ask(other, "print(2)") == "2"
    other.power_off()
    assert other.port is None


def test_a_board_is_made_once(board: virtual.VirtualBoard) -> None:
    before = (board.folder / "flash.img").read_bytes()
    with pytest.raises(UsageError, match="already"):
        virtual.make(board.folder)
    assert (board.folder / "flash.img").read_bytes() == before


ENDLESS = '{"unique_id": "00", "wifi": {}, "heap_bytes": 1e999, "join_ms": 0}'


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", '{"unique_id": "xx"}', '{"wifi": 1', "\xff", ENDLESS, "[" * 100_000],
    ids=range(8),
)
def test_a_folder_that_is_no_board_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "virtual.json").write_text(text, "latin-1")
    with pytest.raises(UsageError, match="not a virtual board"):
        virtual.VirtualBoard(tmp_path)


def test_settings_that_no_board_has_are_refused(tmp_path: Path) -> None:
    for n, wrong in enumerate(
        [{"unique_id": b""}, {"wifi": {"x" * 33: ""}}, {"heap_bytes": 1}, {"flash_bytes": 5000}]
    ):
        with pytest.raises(UsageError):
            virtual.make(tmp_path / str(n), **wrong)  # type: ignore[arg-type]


def test_the_flash_is_readable_by_its_owner_alone(powered: virtual.VirtualBoard) -> None:
    ask(powered, "import esp32\nn = esp32.NVS('a')\nn.set_i32('x', 1)\nn.commit()")
    for file in powered.folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file.name


def test_the_code_has_the_heap_of_an_interpreter_that_is_bare(
    tmp_path: Path, micropython: list[str]
) -> None:
    code = "import gc\ngc.collect()\nprint('free', gc.mem_free(), 'bytes')\n"
    (tmp_path / "main.py").write_text(code)
    for kilobytes in (48, 160):
        words = [*micropython, "-X", f"heapsize={kilobytes}k", str(tmp_path / "main.py")]
        bare = subprocess.run(words, capture_output=True, timeout=30, check=True).stdout
        folder = tmp_path / str(kilobytes)
        with virtual.make(folder, unique_id=UNIQUE_ID, heap_bytes=kilobytes * 1024) as board:
            put(board, main=code)
        with board:
            found = board.read_console_until("bytes", 10)
        free, expected = (int(text.split()[1]) for text in (found, bare))
        assert abs(free - expected) < kilobytes * 1024 // 64


def test_what_a_chip_keeps_elsewhere_is_not_of_the_heap(powered: virtual.VirtualBoard) -> None:
    used = (
        "import gc, esp32, network\ngc.collect()\na = gc.mem_alloc()\n"
        "n = esp32.NVS('a'), network.WLAN()\ngc.collect()\nprint(gc.mem_alloc() - a)"
    )
    assert int(ask(powered, used)) < 400


def test_a_board_that_keeps_much_starts_with_its_whole_heap(
    powered: virtual.VirtualBoard,
) -> None:
    ask(
        powered,
        "import esp32\nn = esp32.NVS('a')\n"
        "for i in range(16): n.set_blob('o%d' % i, bytes([i]) * 900)\nn.commit()",
    )
    powered.power_off()
    with powered:
        assert int(ask(powered, "import gc\ngc.collect()\nprint(gc.mem_free())")) > 160 * 1000


def test_a_note_of_a_bridge_that_was_killed_misleads_nobody(
    powered: virtual.VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.kill(bridge_of(powered), signal.SIGKILL)
    assert ends(bridge_of(powered))
    found: list[bool] = []

    class Dead:
        def __init__(self, folder: Path, _: object) -> None:
            found.append((folder / "power.json").exists())
            raise BoardError("no more")

    monkeypatch.setattr(bridge, "Bridge", Dead)
    mask = os.umask(0o077)
    try:
        assert bridge.main(["bridge", str(powered.folder)]) == 1
    finally:
        os.umask(mask)
    assert found == [False]


def test_a_busy_console_is_bounded_and_keeps_the_newest(powered: virtual.VirtualBoard) -> None:
    put(powered, main="for n in range(9000): print('%099d' % n)\nprint('all', 'printed')")
    powered.power_off()
    with powered:
        powered.read_console_until("all printed", 20)
        assert 256 * 1024 <= len(powered.console) <= 512 * 1024 + 4096
        assert b"%099d" % 8999 in powered.console
