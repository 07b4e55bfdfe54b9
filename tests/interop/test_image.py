"""Whole images, judged by what we did not write: MicroPython, esptool, littlefs-python."""

import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from esptool.bin_image import LoadFirmwareImage

from firstlight import boards, virtual
from firstlight.cli import firstlight
from firstlight.errors import ToolError
from firstlight.flash import standin, uf2
from firstlight.flash.partitions import read
from firstlight.flash.whole import merged, pieces
from firstlight.roots import azure_roots
from firstlight.stage import StagedFile, plan
from tests.flash.imagery import STARTS_AT, contents, genuine_esp32, image, pico_image, without_vfs

ESP32, PICO, PICO2 = (boards.load(name) for name in ("ESP32_GENERIC", "RPI_PICO_W", "RPI_PICO2_W"))

# What a port's _boot.py does: its block device, mounted with the port's own numbers.
MOUNT = """\
import hashlib, os, sys, vfs
from binascii import hexlify
class Device:
    def __init__(self, path):
        self.file = open(path, 'r+b')
        self.count = self.file.seek(0, 2) // 4096
    def readblocks(self, number, buffer, offset=0):
        self.file.seek(number * 4096 + offset)
        self.file.readinto(buffer)
    def writeblocks(self, number, buffer, offset=0):
        self.file.seek(number * 4096 + offset)
        self.file.write(buffer)
    def ioctl(self, operation, number):
        if operation == 4:
            return self.count
        if operation == 5:
            return 4096
        if operation == 6:
            self.file.seek(number * 4096)
            self.file.write(b'\\xff' * 4096)
        return 0
vfs.mount(vfs.VfsLfs2(Device(sys.argv[1]), progsize=int(sys.argv[2])), '/board')
def show(folder):
    for entry in os.ilistdir(folder):
        path = folder + '/' + entry[0]
        if entry[1] == 0x4000:
            show(path)
        else:
            with open(path, 'rb') as file:
                print(path[6:], hexlify(hashlib.sha256(file.read()).digest()).decode())
show('/board')
with open('/board/written.txt', 'w') as file:
    file.write('by MicroPython' * 1000)
vfs.umount('/board')
"""


@pytest.fixture(scope="module")
def files() -> list[StagedFile]:
    """The firmware as it goes onto boards, and sizes on both sides of littlefs's bounds."""
    sizes = (0, 1, 127, 128, 129, 512, 513, 1023, 1024, 4096, 9000)
    return plan(True, azure_roots()) + [
        StagedFile(f"/sizes/{size}", bytes(i % 251 for i in range(size))) for size in sizes
    ]


def mounted_by_micropython(
    micropython: list[str], folder: Path, data: bytes, prog: int
) -> dict[str, str]:
    """Path to SHA-256 of every file that MicroPython reads there; it writes one, too."""
    (folder / "mount.py").write_text(MOUNT)
    (folder / "flash.img").write_bytes(data)
    done = subprocess.run(
        [*micropython, str(folder / "mount.py"), str(folder / "flash.img"), str(prog)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.mark.parametrize("kind", ["esp32", "esp32 without vfs", "pico", "pico 2"])
def test_micropython_mounts_the_file_system_of_an_image_and_writes_to_it(
    micropython: list[str], tmp_path: Path, files: list[StagedFile], kind: str
) -> None:
    if kind.startswith("esp32"):
        genuine = genuine_esp32().read_bytes()
        data = merged(
            ESP32, image(ESP32, genuine if kind == "esp32" else without_vfs(genuine)), files
        )
        place = read(data, STARTS_AT).file_system(ESP32.flash_bytes)
        there, prog = data[place.offset - STARTS_AT :][: place.size], 32
    else:
        board = PICO if kind == "pico" else PICO2
        assert board.uf2 is not None
        there = uf2.pieces(merged(board, pico_image(board), files), board.uf2)[-1].data
        prog = 256
    found = mounted_by_micropython(micropython, tmp_path, there, prog)
    assert found == {file.path: hashlib.sha256(file.data).hexdigest() for file in files}
    after = contents((tmp_path / "flash.img").read_bytes())
    assert after.pop("/written.txt") == b"by MicroPython" * 1000
    assert after == {file.path: file.data for file in files}


def run(*words: str) -> Result:
    return CliRunner().invoke(firstlight, ["image", *words])


def test_a_virtual_board_boots_the_image_that_the_command_makes(tmp_path: Path) -> None:
    board = virtual.make(tmp_path / "board")
    done = run("VIRTUAL", "--out", str(board.folder / "flash.img"))
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE((board.folder / "flash.img").stat().st_mode) == 0o600
    with board:
        board.read_console_until("no identity", 20)


def test_esptool_finds_the_genuine_programs_in_one_file_for_an_esp32(
    tmp_path: Path, files: list[StagedFile]
) -> None:
    genuine = image(ESP32, genuine_esp32().read_bytes())
    data = merged(ESP32, genuine, files)
    for at in (0x1000, 0x10000):
        (tmp_path / "program").write_bytes(data[at - STARTS_AT :])
        program = LoadFirmwareImage("esp32", str(tmp_path / "program"))
        assert program.checksum == program.calculate_checksum()
        assert program.data_length or at == 0x1000


def test_esptool_takes_the_stand_in_for_a_program(tmp_path: Path) -> None:
    data = standin.image(boards.load("VIRTUAL_ESP32")).data
    for at in (0x1000, 0x10000):
        (tmp_path / "program").write_bytes(data[at - STARTS_AT :])
        program = LoadFirmwareImage("esp32", str(tmp_path / "program"))
        assert program.checksum == program.calculate_checksum()
        assert b"MicroPython is the PC's" in program.segments[0].data


def test_the_same_words_make_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "pico.uf2").write_bytes(pico_image(PICO).data)
    app = tmp_path / "app.py"
    app.write_text("print('mine')\n")
    said = []
    for name in ("one.uf2", "two.uf2"):
        words = ("--image", str(tmp_path / "pico.uf2"), "--app", str(app), "--source")
        done = run("RPI_PICO_W", "--out", str(tmp_path / name), *words)
        assert done.exit_code == 0, done.output
        said.append(done.output.splitlines()[-1])
    data = (tmp_path / "one.uf2").read_bytes()
    assert data == (tmp_path / "two.uf2").read_bytes()
    assert said == [f"SHA-256 {hashlib.sha256(data).hexdigest()}"] * 2
    assert PICO.uf2 is not None
    there = contents(uf2.pieces(data, PICO.uf2)[-1].data)
    assert there["/app.py"] == b"print('mine')\n"
    assert "/aziot/dps.py" in there
    assert not [path for path in there if "identity" in path and "aziot" not in path]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "app.py",
        "one.uf2",
        "pico.uf2",
        "two.uf2",
    ]


def test_the_size_of_the_flash_can_be_said(tmp_path: Path) -> None:
    newer = tmp_path / "newer.bin"
    newer.write_bytes(without_vfs(genuine_esp32().read_bytes()))
    words = ("--image", str(newer), "--flash-size", "8", "--no-firmware")
    done = run("ESP32_GENERIC", "--out", str(tmp_path / "out.bin"), *words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out.bin").read_bytes() == newer.read_bytes()
    assert "to be written at 0x1000" in done.output


def refusal(*words: str) -> str:
    with pytest.raises(ToolError) as refused:
        CliRunner().invoke(firstlight, ["image", *words], catch_exceptions=False)
    return str(refused.value)


def test_what_cannot_be_made_is_told(tmp_path: Path) -> None:
    genuine, out = str(genuine_esp32()), str(tmp_path / "out")
    assert "MicroPython 1.16.0, and this firmware needs 1.22.0" in refusal(
        "ESP32_GENERIC", "--out", out, "--image", genuine
    )
    assert "has an esp32s3" in refusal("ESP32_GENERIC_S3", "--out", out, "--image", genuine)
    assert "takes no --image" in refusal("VIRTUAL", "--out", out, "--image", genuine)
    assert "nothing to write" in refusal("VIRTUAL", "--out", out, "--no-firmware")
    assert "a fixed place" in refusal("RPI_PICO_W", "--out", out, "--flash-size", "4")
    assert "name one by --image" in refusal("VIRTUAL", "--out", out, "--sha256", "0" * 64)
    assert "cannot write" in refusal("VIRTUAL", "--out", str(tmp_path / "no" / "folder"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "cut").write_bytes(Path(genuine).read_bytes()[:200_000])
    cut = ("ESP32_GENERIC", "--out", out, "--no-firmware", "--image", str(tmp_path / "cut"))
    assert "cut off after 200000 bytes" in refusal(*cut)


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out")
    assert "it is not a file" in refusal("VIRTUAL", "--out", str(tmp_path / "out"))
    assert (tmp_path / "out").is_fifo()


def test_the_pieces_for_a_line_are_those_of_the_one_file(files: list[StagedFile]) -> None:
    genuine = image(ESP32, genuine_esp32().read_bytes())
    data = merged(ESP32, genuine, files)
    for piece in pieces(ESP32, genuine, files):
        assert data[piece.offset - STARTS_AT :].startswith(piece.data)
