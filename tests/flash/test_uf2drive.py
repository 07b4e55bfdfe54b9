"""A UF2 file to a board: which board is meant, and what an operator is told when none is."""

import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from serial.tools import list_ports

from firstlight import boards
from firstlight.errors import BoardError, UsageError
from firstlight.flash import picotool, ports, uf2drive
from firstlight.flash.choice import mine
from firstlight.flash.copying import copy
from firstlight.flash.uf2drive import Bench
from firstlight.flash.volumes import Volume
from firstlight.repl import Implementation
from tests.flash.usbmachine import Machine, a_drive

PICO_W, PICO2_W = boards.load("RPI_PICO_W"), boards.load("RPI_PICO2_W")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def at(seat: str, path: str = "/media/RPI-RP2") -> Volume:
    return Volume(Path(path), "RPI-RP2", "", seat)


def test_the_board_at_the_seat_is_meant_whatever_else_is_there() -> None:
    one, other, plain = at("1-1.4"), at("1-1.3", "/media/RPI-RP21"), at("/media", "/media/A")
    assert mine([other, one], "1-1.4", ()) == one
    assert mine([other], "1-1.4", ()) is None
    assert mine([other], "", ()) == other
    assert mine([plain], "1-1.4", ()) == plain  # the system does not tell where it is
    assert mine([plain, other], "1-1.4", [plain]) is None
    assert mine([plain, one], "/a/port", [plain]) == one
    with pytest.raises(UsageError, match=r"2 boards .*/media/RPI-RP2 at 1-1\.4.* at 1-1\.3"):
        mine([one, other], "", ())


def test_a_ports_seat_is_its_usb_path_without_the_interface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, link = tmp_path / "ttyACM0", tmp_path / "by-id"
    device.touch()
    link.symlink_to(device)
    there = [SimpleNamespace(device=str(device), location="1-1.4:1.0")]
    monkeypatch.setattr(list_ports, "comports", lambda: there)
    assert ports.seat_of(str(device)) == ports.seat_of(str(link)) == "1-1.4"
    assert ports.port_at("1-1.4") == str(device)
    assert ports.port_at("1-1.3") is None
    assert ports.seat_of(str(tmp_path / "unit-1" / "port")) == str(tmp_path / "unit-1")
    assert [ports.seat_of(port) for port in ("/dev/ttyACM9", "COM3", "socket://a:1")] == [""] * 3


def picotool_that(folder: Path, says: str, code: int) -> Path:
    """A stand-in for picotool, which needs a USB; it keeps its arguments and the file."""
    program = folder / "bin" / "picotool"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport shutil, sys\nfrom pathlib import Path\n"
        f"here = Path({str(folder)!r})\n(here / 'said').write_text(' '.join(sys.argv[1:]))\n"
        f"shutil.copy(sys.argv[4], here / 'file')\nprint({says!r})\nsys.exit({code})\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program.parent


def write(
    machine: Machine, uf2: bytes = b"u" * 512, port: str | None = None, back_s: float = 5.0
) -> list[str]:
    said: list[str] = []
    bench = Bench(host=machine.host, loader_s=1.0, mount_s=0.0, back_s=back_s)
    uf2drive.write(
        PICO_W, port=port, volume=None, uf2=uf2, progress=lambda _: None, say=said.append,
        bench=bench,
    )  # fmt: skip
    return said


def test_picotool_is_told_which_board_to_write_to(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(picotool_that(tmp_path, "Loading into Flash: 100%", 0)))
    machine.plug("1-1.7", drive="sda")
    said = write(machine, uf2=b"a UF2 file")
    load, v, x, file, *rest = (tmp_path / "said").read_text().split()
    assert " ".join([load, v, x, *rest]) == "load -v -x -t uf2 --bus 1 --address 7"
    assert (tmp_path / "file").read_bytes() == b"a UF2 file"
    assert not Path(file).exists()
    assert said == ["writing to RPI-RP2 at 1-1.7 with picotool"]


def a_port_that_comes_back(
    machine: Machine, folder: Path, monkeypatch: pytest.MonkeyPatch, *after: str
) -> str:
    """The port of a board at 1-1.7 which picotool can write to; after: what it is called then."""
    monkeypatch.setenv("PATH", str(picotool_that(folder, "", 0)))
    machine.plug("1-1.7")
    machine.plug("1-1.8")
    port = str(folder / "ttyACM0")
    before = iter([[port]])
    monkeypatch.setattr(
        list_ports,
        "comports",
        lambda: [SimpleNamespace(device=one, location="1-1.7:1.0") for one in next(before, after)],
    )
    return port


def test_a_board_is_found_again_at_its_seat_whatever_its_port_is_called(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = a_port_that_comes_back(machine, tmp_path, monkeypatch, "/dev/ttyACM3")
    assert write(machine, port=port)[-1] == "the board is back as /dev/ttyACM3"
    assert (tmp_path / "said").read_text().endswith("--address 7")


def test_a_board_whose_port_does_not_come_back_is_told(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = a_port_that_comes_back(machine, tmp_path, monkeypatch)
    with pytest.raises(BoardError, match="was written, but its serial port did not come back"):
        write(machine, port=port, back_s=0.0)


def test_what_picotool_says_last_is_told(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "No accessible RP-series devices\n    was unable to connect. Maybe try 'sudo'\x07\n 3%"
    monkeypatch.setenv("PATH", str(picotool_that(tmp_path, words, 249)))
    machine.plug("1-1.7")
    with pytest.raises(BoardError, match=r"at 1-1\.7: was unable to .* 'sudo'\?$"):
        write(machine)


def test_without_picotool_it_is_told_how_to_mount(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert picotool.program() is None
    machine.plug("1-1.7", drive="sda")
    with pytest.raises(BoardError, match="udisksctl mount -b /dev/sda1, or install picotool"):
        write(machine)


def test_a_boot_rom_of_another_kind_is_refused_with_both_names(machine: Machine) -> None:
    machine.plug("1-1.7", product="000f")
    with pytest.raises(UsageError, match="says that it is RP2350, and a RPI_PICO_W is RPI-RP2"):
        write(machine)


def test_when_none_comes_the_others_are_told_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board on a port that does not exist any more: its button has to help."""
    port = str(tmp_path / "ttyACM0")
    there = [SimpleNamespace(device=port, location="1-1.4")]
    monkeypatch.setattr(list_ports, "comports", lambda: there)
    machine = Machine(tmp_path)
    machine.plug("1-1.7")
    machine.plug("1-1.8", product="000f")
    bench = Bench(host=machine.host, loader_s=0.0)
    with pytest.raises(BoardError, match=r"no board came .* at 1-1\.4 .*RP2350 at 1-1\.8"):
        uf2drive.write(
            PICO_W, port=port, volume=None, uf2=b"", progress=lambda _: None,
            say=lambda _: None, bench=bench,
        )  # fmt: skip


def test_a_board_whose_drive_is_not_mounted_counts_too(machine: Machine, tmp_path: Path) -> None:
    machine.plug("1-1.7", drive="sda")
    machine.mount("sda1", a_drive(tmp_path / "media" / "RPI-RP2"))
    machine.plug("1-1.8", drive="sdb")
    with pytest.raises(UsageError, match=r"2 boards .*RPI-RP2 at 1-1\.7, RPI-RP2 at 1-1\.8"):
        write(machine)


def test_waiting_for_a_board_says_what_to_do(machine: Machine) -> None:
    said: list[str] = []
    with pytest.raises(BoardError, match="unplug it, hold BOOTSEL, plug it in"):
        uf2drive.write(
            PICO2_W, port=None, volume=None, uf2=b"", progress=lambda _: None, say=said.append,
            bench=Bench(host=machine.host, loader_s=0.0),
        )  # fmt: skip
    assert said == ["waiting for a Pico 2 W: hold BOOTSEL and plug it in"]


@pytest.mark.parametrize(
    ("machine_says", "platform"),
    [("Raspberry Pi Pico 2 W with RP2350", "rp2"), ("Generic ESP32 module with ESP32", "esp32")],
)
def test_a_board_that_runs_and_is_of_another_kind_is_left_running(
    machine_says: str, platform: str
) -> None:
    found = Implementation("micropython", (1, 28, 0), 6, machine_says, platform)
    with pytest.raises(UsageError, match="not a Pico W: plug in the right board"):
        uf2drive._check_running(PICO_W, found)


def test_a_drive_that_went_before_the_first_byte_is_told(tmp_path: Path) -> None:
    for size in (512, 4096):
        with pytest.raises(BoardError, match="went away when 0% was written"):
            copy(bytes(size), tmp_path / "none", lambda _: None, 5.0)
