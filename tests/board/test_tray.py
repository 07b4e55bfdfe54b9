"""Virtual units on a tray: the port's link, a flash that is put in, and real boot loaders."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path

import pytest
from click.testing import CliRunner
from littlefs import LittleFS

from firstlight import boards, tray, unitfolder, unitpower, virtual
from firstlight.cli.virtual import virtual as verbs
from firstlight.errors import UsageError
from firstlight.flash import uf2
from firstlight.flash.nvsimage import nvs_image
from firstlight.flash.pieces import Piece
from firstlight.repl import Repl

from .test_power import ask, bridge_of, ends, put

MAC = bytes.fromhex("240ac4a1b2c3")
FLASH_ID = bytes.fromhex("e6614104a1b2c3d4")
IDENTITY = {
    "version": 1,
    "id_scope": "0ne00111111",
    "registration_id": "esp32-1",
    "symmetric_key": {"primary": "c2VjcmV0" * 4},
    "wifi": [{"ssid": "line", "password": "a password"}],
}
HELLO = "import machine\nprint('hello', 'from', machine.unique_id().hex())"


def file_system(kind: str, **files: str) -> bytes:
    place = boards.load(kind).filesystem
    assert place is not None
    fs = LittleFS(
        block_size=4096, block_count=place.size // 4096, disk_version=0x00020000, name_max=255,
        prog_size=32, read_size=32, lookahead_size=32,
    )  # fmt: skip
    for name, text in files.items():
        with fs.open(f"{name}.py", "w") as file:
            file.write(text)
    return bytes(fs.context.buffer)


def uf2_file(kind: str, data: bytes) -> bytes:
    """A file for that board's chip, with data where a Pico W's file system lies."""
    place, loader = boards.load("VIRTUAL_PICO_W").filesystem, boards.load(kind).uf2
    assert place is not None
    assert loader is not None
    return uf2.build([Piece(place.offset, data, "files")], loader)


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end, "it did not come"


def test_the_port_has_a_name_in_the_folder_while_the_board_is_on(
    powered: virtual.VirtualBoard,
) -> None:
    link = powered.folder / "port"
    assert os.readlink(link) == powered.port
    with Repl(str(link)) as repl:
        assert repl.exec("print(3)").strip() == b"3"
    powered.power_off()
    assert not link.is_symlink()


def test_a_name_that_a_killed_bridge_left_is_replaced(powered: virtual.VirtualBoard) -> None:
    link, killed = powered.folder / "port", bridge_of(powered)
    os.kill(killed, signal.SIGKILL)
    assert ends(killed)
    powered.power_off()
    link.unlink(missing_ok=True)
    link.symlink_to("/dev/pts/of-nobody")
    with powered:
        assert os.readlink(link) == powered.port


def test_who_asks_whether_a_unit_is_on_does_not_keep_it_off(tmp_path: Path) -> None:
    asking = os.open(tmp_path / unitfolder.LOCK_FILE, os.O_RDWR | os.O_CREAT)
    fcntl.flock(asking, fcntl.LOCK_SH)
    threading.Timer(0.05, os.close, [asking]).start()
    os.close(unitpower._lock(tmp_path))


def test_a_next_flash_is_taken_at_the_reset(powered: virtual.VirtualBoard) -> None:
    put(powered, main="print('the old one')")
    (powered.folder / "flash.new").write_bytes(file_system("VIRTUAL", main="print('the', 'new')"))
    os.replace(powered.folder / "flash.new", powered.folder / "flash.next")
    with Repl(powered.port or "") as repl:
        repl.reset()
    assert b"the old one" not in powered.read_console_until("the new", 10)
    assert not (powered.folder / "flash.next").exists()


def test_a_next_flash_of_another_size_is_put_aside(powered: virtual.VirtualBoard) -> None:
    put(powered, main="print('main', 'runs')")
    powered.power_off()
    (powered.folder / "flash.next").write_bytes(b"\xff" * 4096)
    with powered:
        said = powered.read_console_until("main runs", 10)
        assert b"flash.next has 4096 bytes, the flash 2097152: refused" in said
    assert (powered.folder / "flash.refused").stat().st_size == 4096


@pytest.fixture
def esp32(tmp_path: Path) -> Iterator[virtual.VirtualBoard]:
    """A bare ESP32 that is on."""
    made = virtual.make(tmp_path / "esp32", kind="VIRTUAL_ESP32", unique_id=MAC)
    made.power_on()
    yield made
    made.power_off()


def esptool(unit: virtual.VirtualBoard, *words: object) -> "subprocess.CompletedProcess[str]":
    port = str(unit.folder / "port")
    line = [sys.executable, "-m", "esptool", "--chip", "esp32", "--port", port, *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def test_the_real_esptool_writes_a_unit_and_its_application_starts(
    esp32: virtual.VirtualBoard, tmp_path: Path
) -> None:
    assert "24:0a:c4:a1:b2:c3" in esptool(esp32, "read-mac").stdout
    written = tmp_path / "files.bin"
    written.write_bytes(file_system("VIRTUAL_ESP32", main=HELLO))
    assert "verified" in esptool(esp32, "write-flash", "0x200000", written).stdout
    esp32.read_console_until(f"hello from {MAC.hex()}", 10)
    assert ask(esp32, "import os; print(os.listdir())") == "['main.py']"
    assert esptool(esp32, "verify-flash", "0x200000", written).returncode == 0
    assert ask(esp32, "import machine; print(machine.unique_id().hex())") == MAC.hex()


def test_what_the_application_keeps_lies_in_the_flash_that_esptool_erases(
    esp32: virtual.VirtualBoard, tmp_path: Path
) -> None:
    identity = json.dumps(IDENTITY).encode()
    (tmp_path / "nvs.bin").write_bytes(nvs_image(identity, 0x6000))
    (tmp_path / "files.bin").write_bytes(file_system("VIRTUAL_ESP32"))
    written = ("0x9000", tmp_path / "nvs.bin", "0x200000", tmp_path / "files.bin")
    esptool(esp32, "write-flash", *written)
    found = "import esp32; b = bytearray(1024); n = esp32.NVS('firstlight')\n"
    found += "print(bytes(b[:n.get_blob('identity', b)]).decode())"
    assert json.loads(ask(esp32, found)) == IDENTITY
    store = "import esp32; n = esp32.NVS('a')\n"
    ask(esp32, store + "n.set_i32('x', 7); n.commit(); open('kept', 'w').close()")
    esptool(esp32, "erase-region", "0x9000", "0x6000")
    assert ask(esp32, "import os; print(os.listdir())") == "['kept']"
    asked = store + "try: print(n.get_i32('x'))\nexcept OSError as e: print(e.args[1])"
    assert ask(esp32, asked) == "ESP_ERR_NVS_NOT_FOUND"


def test_a_bare_esp32_answers_whoever_types_as_its_rom_does(esp32: virtual.VirtualBoard) -> None:
    with open(esp32.port or "", "r+b", buffering=0) as port:
        port.write(b"\r\x03")
        assert b"invalid header" in port.read(64)
    assert json.loads((esp32.folder / "power.json").read_bytes())["interpreter"] is None


def test_esptool_finds_a_flash_that_is_worn_out(tmp_path: Path) -> None:
    worn = tray.make(tmp_path, {})
    worn.wear("unit-4")
    (tmp_path / "files.bin").write_bytes(file_system("VIRTUAL_ESP32"))
    with worn.unit("unit-4") as unit:
        done = esptool(unit, "write-flash", "0x200000", tmp_path / "files.bin")
    assert done.returncode != 0
    assert "does not match" in done.stdout + done.stderr


def test_a_unit_that_is_killed_leaves_nothing_running_and_what_was_written(
    esp32: virtual.VirtualBoard, tmp_path: Path
) -> None:
    (tmp_path / "files.bin").write_bytes(file_system("VIRTUAL_ESP32", main=HELLO))
    esptool(esp32, "write-flash", "0x200000", tmp_path / "files.bin")
    assert ask(esp32, "print(5)") == "5"
    killed, cpu = bridge_of(esp32), esp32.interpreter_pid
    os.kill(killed, signal.SIGKILL)
    assert ends(cpu)
    assert ends(killed)
    esp32.power_off()
    with esp32:
        esp32.read_console_until("hello", 10)


@pytest.fixture
def pico(tmp_path: Path) -> Iterator[virtual.VirtualBoard]:
    """A bare Pico W that is on: it shows its volume."""
    made = virtual.make(tmp_path / "pico", kind="VIRTUAL_PICO_W", unique_id=FLASH_ID)
    assert made.power_on() == ""
    yield made
    made.power_off()


def test_a_pico_takes_a_uf2_and_becomes_a_port_and_goes_back(
    pico: virtual.VirtualBoard, tmp_path: Path
) -> None:
    volume = pico.folder / "RPI-RP2"
    assert "Board-ID: RPI-RP2\n" in (volume / "INFO_UF2.TXT").read_text()
    data = uf2_file("VIRTUAL_PICO_W", file_system("VIRTUAL_PICO_W", main=HELLO))
    (volume / "firmware.uf2").write_bytes(data)
    pico.read_console_until(f"hello from {FLASH_ID.hex()}", 10)
    assert not volume.exists()
    asked = [sys.executable, "-m", "mpremote", "connect", str(pico.folder / "port"), "bootloader"]
    assert subprocess.run(asked, timeout=30, check=False).returncode == 0
    until(volume.exists)
    assert pico.is_on
    assert pico.port is None
    assert not (pico.folder / "port").is_symlink()
    pico.power_off()
    with pico:  # its flash is not bare
        assert pico.port


@pytest.mark.parametrize("wrong", ["text", "another chip", "half"])
def test_a_pico_in_its_boot_loader_ignores_a_file_that_is_not_for_it(
    pico: virtual.VirtualBoard, wrong: str
) -> None:
    volume, files = pico.folder / "RPI-RP2", file_system("VIRTUAL_PICO_W", main=HELLO)
    good = uf2_file("VIRTUAL_PICO_W", files)
    bad = {
        "text": b"no UF2" * 100,
        "another chip": uf2_file("RPI_PICO2_W", files),
        "half": good[: len(good) // 2],
    }[wrong]
    (volume / "a.uf2").write_bytes(bad)
    (volume / "b.uf2").write_bytes(good)
    pico.read_console_until("hello", 10)
    flash = (pico.folder / "flash.img").read_bytes()
    assert flash[: -len(files)] == b"\xff" * (len(flash) - len(files))


def test_a_volume_that_a_killed_unit_left_is_gone_at_the_next_start(
    pico: virtual.VirtualBoard,
) -> None:
    os.kill(bridge_of(pico), signal.SIGKILL)
    pico.power_off()
    (pico.folder / "RPI-RP2" / "left.txt").write_text("of another life")
    with pico:
        assert not (pico.folder / "RPI-RP2" / "left.txt").exists()
    assert not (pico.folder / "RPI-RP2").exists()


def test_a_tray_shows_eight_units_until_they_are_pulled_out(tmp_path: Path) -> None:
    with tray.make(tmp_path, {"line": ""}) as full:
        assert (len(glob(full.ports)), len(glob(full.volumes))) == (5, 3)
        kinds = [json.loads((u.folder / "virtual.json").read_bytes())["kind"] for u in full.units]
        assert kinds == [kind for kind, _ in tray.UNITS.values()]
        full.pull("unit-1")
        full.pull("unit-2")
        assert (len(glob(full.ports)), len(glob(full.volumes))) == (4, 2)
        full.put_back("unit-1")
        running = [bridge_of(unit) for unit in full.units if unit.is_on]
        assert len(running) == 7
    assert all(ends(pid) for pid in running)
    assert not glob(full.ports) + glob(full.volumes)


def test_a_tray_has_no_other_units_and_no_failures_that_they_cannot_have(tmp_path: Path) -> None:
    made = tray.make(tmp_path, {})
    with pytest.raises(UsageError, match="only an ESP32"):
        made.wear("unit-1")
    with pytest.raises(UsageError, match="unit-9"):
        made.pull("unit-9")


def test_a_board_starts_in_a_folder_with_a_long_name(tmp_path: Path) -> None:
    """MicroPython dies of an argument of 256 bytes."""
    with virtual.make(tmp_path / ("long" * 50)) as board:
        assert ask(board, "print(4)") == "4"


def test_a_unit_of_any_kind_is_made_on_the_command_line(tmp_path: Path) -> None:
    for kind in ("VIRTUAL", "VIRTUAL_ESP32", "VIRTUAL_PICO_W"):
        folder = str(tmp_path / kind)
        assert CliRunner().invoke(verbs, ["make", folder, "--kind", kind]).exit_code == 0
        made = virtual.VirtualBoard(tmp_path / kind)
        assert made.kind == kind
        assert (made.folder / "flash.img").stat().st_size == boards.load(kind).flash_bytes
    asked = ["make", str(tmp_path / "x"), "--kind", "VIRTUAL_ESP32", "--unique-id", "aabb"]
    assert isinstance(CliRunner().invoke(verbs, asked).exception, UsageError)
