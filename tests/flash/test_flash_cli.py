"""`firstlight flash` as its user sees it: words in, lines and exit codes out."""

import hashlib
import io
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firstlight import boards, keys, virtual
from firstlight.cli import contents, firstlight
from firstlight.cli.credentials import key_options
from firstlight.cli.flash import _IDENTITY
from firstlight.cli.identity import identity_options
from firstlight.cli.progress import shown
from firstlight.custody import write_private
from firstlight.errors import ToolError, UsageError
from firstlight.flash import esptool
from firstlight.flash.pieces import Piece
from firstlight.repl import Repl
from tests.flash.imagery import genuine_esp32, pico_image, without_vfs

KEY = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(firstlight, ["flash", *map(str, words)])


def refused(told: str, *words: str | Path) -> None:
    done = call(*words)
    assert isinstance(done.exception, UsageError), done.output
    assert told in str(done.exception)
    assert KEY not in str(done.exception) + done.output


@pytest.fixture
def pico_uf2(tmp_path: Path) -> Path:
    path = tmp_path / "pico.uf2"
    path.write_bytes(pico_image(boards.load("VIRTUAL_PICO_W")).data)
    return path


def test_a_virtual_board_gets_the_files(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text("def sample():\n    return {'mine': 1}\n")
    with virtual.make(tmp_path / "unit") as board:
        done = call("VIRTUAL", "--port", board.folder / "port", "--app", app)
        assert done.exit_code == 0, (done.output, done.exception)
        with Repl(board.port or "") as repl:
            assert {"main.py", "app.py", "aziot", "roots"} <= set(repl.list_folder("/"))
            assert b"mine" in repl.exec("print(open('/app.py').read())")
    assert "file system: 2097152 bytes at 0x0" in done.output
    assert "100%" in done.output
    assert done.output.splitlines()[-1].endswith(f"on {board.folder / 'port'}: flashed")


def test_a_pico_gets_image_and_files_on_the_drive_that_is_named(
    tmp_path: Path, pico_uf2: Path
) -> None:
    with virtual.make(tmp_path / "unit", kind="VIRTUAL_PICO_W") as board:
        words: list[str | Path] = ["VIRTUAL_PICO_W", "--image", pico_uf2]
        done = call(*words, "--volume", board.folder / "RPI-RP2", "--port", board.folder / "port")
        assert done.exit_code == 0, (done.output, done.exception)
        with Repl(str(board.folder / "port")) as repl:
            assert "main.py" in repl.list_folder("/")
    assert (board.folder / "flash.img").read_bytes()[:32] == hashlib.sha256(b"code").digest()


def test_an_esp32_gets_its_identity_with_its_image(tmp_path: Path) -> None:
    mac = bytes.fromhex("240ac4a1b2c3")
    words: list[str | Path] = ["--image", genuine_esp32(), "--bare", "--erase", "--no-verify"]
    write_private(tmp_path / "group.key", KEY)
    words += ["--nvs", "--id-scope", "0ne00111111", "--group-key", f"file:{tmp_path}/group.key"]
    with virtual.make(tmp_path / "unit", kind="VIRTUAL_ESP32", unique_id=mac) as board:
        done = call("VIRTUAL_ESP32", "--port", board.folder / "port", *words)
    assert done.exit_code == 0, (done.output, done.exception)
    name = f"esp32-{mac.hex()}"
    assert f"{name}: its identity goes into NVS" in done.output
    nvs = (board.folder / "flash.img").read_bytes()[0x9000:0xF000]
    found = json.loads(nvs[nvs.index(b'{"version"') :].partition(b"}}")[0] + b"}}")
    assert found["registration_id"] == name
    assert found["symmetric_key"]["primary"] == keys.derive(KEY, name)
    assert KEY not in done.output
    assert keys.derive(KEY, name) not in done.output


def test_an_esp32s_files_fill_the_flash_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MicroPython mounts what lies behind its last partition, to the end of the chip's flash."""
    kind, image = boards.load("ESP32_GENERIC"), tmp_path / "new.bin"
    image.write_bytes(without_vfs(genuine_esp32().read_bytes()))
    written: list[Piece] = []
    monkeypatch.setattr(esptool, "chip", lambda *_: esptool.Chip(bytes(6), 8 << 20))
    monkeypatch.setattr(esptool, "write", lambda _, port, pieces, **__: written.extend(pieces))
    monkeypatch.setattr(contents, "version", lambda *_: None)
    done = call(kind.id, "--port", "x", "--image", image)
    assert done.exit_code == 0, (done.output, done.exception)
    assert written[-1].end == 8 << 20
    sized = ["--port", "x", "--image", str(image), "--flash-size", "16"]
    refused("has 8 MB of flash: leave --flash-size out", kind.id, *sized)


def test_every_option_of_an_identity_is_for_nvs_alone() -> None:
    @identity_options
    @key_options
    def verb() -> None:
        """Whose options these are."""

    names = {option.name for option in getattr(verb, "__click_params__")}  # noqa: B009
    assert names == {*_IDENTITY, "root"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ESP32_GENERIC"], "is flashed over its serial port: name it with --port"),
        (["VIRTUAL"], "is flashed over its serial port: name it with --port"),
        (["ESP32_GENERIC", "--port", "x", "--volume", "."], "is the drive of an RP2"),
        (["RPI_PICO_W", "--volume", "."], "is not the drive of a board"),
        (["RPI_PICO_W", "--port", "x", "--flash-size", "8"], "--flash-size is for an ESP32"),
        (["ESP32_GENERC", "--port", "x"], "known are ESP32_GENERIC"),
        (["ESP32_GENERIC", "--port", "x", "--id-scope", "0ne1"], "--id-scope is for --nvs"),
        (["ESP32_GENERIC", "--port", "x", "--wifi", "a"], "--wifi is for --nvs"),
        (["ESP32_GENERIC", "--port", "x", "--nvs"], "needs an --id-scope"),
        (["RPI_PICO_W", "--nvs", "--id-scope", "0ne1"], "--nvs is for an ESP32"),
        (
            ["ESP32_GENERIC", "--port", "x", "--nvs", "--id-scope", "0ne1", "--bare"],
            "--nvs with --bare needs --erase",
        ),
        (
            ["ESP32_GENERIC", "--port", "x", "--nvs", "--id-scope", "0ne1", "--erase"],
            "name either --group-key, --device-key, --ca or --certificate",
        ),
        (
            ["ESP32_GENERIC", "--port", "x", "--nvs", "--id-scope", "0ne1", "--group-key", KEY],
            "does not belong on a command line",
        ),
        (["VIRTUAL", "--port", "x", "--bare"], "there is nothing to write to a VIRTUAL"),
        (["VIRTUAL", "--port", "x", "--image", __file__], "takes no --image"),
    ],
)
def test_words_that_cannot_be_are_told_before_a_board_is_touched(
    words: list[str], told: str
) -> None:
    refused(told, *words)


def test_a_pico_that_does_not_come_is_told(pico_uf2: Path, tmp_path: Path) -> None:
    board = virtual.make(tmp_path / "unit", kind="VIRTUAL_PICO_W")  # off
    words: list[str | Path] = ["VIRTUAL_PICO_W", "--image", pico_uf2, "--bare"]
    done = call(*words, "--port", board.folder / "port", "--timeout", "1")
    assert isinstance(done.exception, ToolError)
    assert done.exception.exit_code == 3
    assert "no board came into its boot loader" in str(done.exception)
    assert "hold BOOTSEL and plug it in" in done.output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_with_lines_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with shown("flash [x]") as (progress, say):
        progress(0.5)
        say("writing to [/media]")
    assert "  writing to [/media]\n" in terminal.getvalue()
    assert "flash [x]" in terminal.getvalue()
    assert "50%" in terminal.getvalue()


def test_elsewhere_a_line_comes_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("flash") as (progress, say):
        for percent in range(101):
            progress(percent / 100)
        say("done")
    assert capsys.readouterr().out.split() == ["25%", "50%", "75%", "100%", "done"]
