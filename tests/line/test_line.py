"""`firstlight line` as an operator runs it: what it leaves behind, and how it ends."""

import os
import pty
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha512
from pathlib import Path

import pytest

from firstlight import keys
from firstlight.custody import write_private
from firstlight.record.reader import Reader
from firstlight.unitfolder import ESP32, VIRTUAL
from firstlight.virtual import VirtualBoard, make
from tests.leaks import find_secrets
from tests.watched import run_watched

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

GROUP, SECOND = (b64encode(sha512(text).digest()).decode() for text in (b"line 1", b"line 2"))
WIFI = "correct horse/battery+7"
FIRSTLIGHT = [sys.executable, "-c", "from firstlight.cli import main; main()"]
ESP_ID, VIRTUAL_ID = "240ac4f10102", "f10000000103"
NAMES = (f"esp32-{ESP_ID}", f"virtual-{VIRTUAL_ID}")


@dataclass
class Bench:
    """A place to run a line at. keep: what holds secrets; runs: all that the line may leave."""

    keep: Path
    runs: Path
    env: dict[str, str]

    def words(self, *more: str) -> list[str]:
        return [*FIRSTLIGHT, "line", "--config", str(self.keep / "line.toml"), *more]

    def start(self, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.words(*more),
            env=self.env,
            cwd=self.runs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        with self.start(*more) as line:
            out, err = line.communicate(timeout=60)
        return subprocess.CompletedProcess(line.args, line.returncode, out, err)

    def entries(self) -> list[tuple[str, str]]:
        with Reader.read(self.runs / "firstlight-line.db", notes=self.runs / "none") as record:
            record.verify()
            return [(entry.stage, entry.outcome) for entry in record.entries()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    keep, runs = tmp_path / "keep", tmp_path / "runs"
    for folder in (keep, runs, runs / "tmp"):
        folder.mkdir(mode=0o700)
    for name, text in (("group", GROUP), ("second", SECOND), ("wifi", WIFI)):
        write_private(keep / name, text + "\n")
    (keep / "line.toml").write_text(
        f'kinds = ["{ESP32}={keep}/esp", "{VIRTUAL}={keep}/unit"]\n'
        'id-scope = "0ne00111111"\n'
        f'group-key = "file:{keep}/group"\n'
        f'wifi = "shop=file:{keep}/wifi"\n'
        'station = "bench-3"\nlabels = "labels"\nlabel-form = ["zpl", "qr.png"]\n'
    )
    env = dict(os.environ, XDG_STATE_HOME=str(runs / "state"), TMPDIR=str(runs / "tmp"))
    return Bench(keep, runs, env)


@pytest.fixture
def tray(bench: Bench) -> Iterator[list[VirtualBoard]]:
    """An ESP32 and a virtual board, switched on."""
    air = {"shop": WIFI}
    esp = make(bench.keep / "esp", unique_id=bytes.fromhex(ESP_ID), kind=ESP32, wifi=air)
    unit = make(bench.keep / "unit", unique_id=bytes.fromhex(VIRTUAL_ID), wifi=air)
    with esp, unit:
        yield [esp, unit]


def test_a_line_that_was_killed_goes_on_and_leaves_no_secret(
    bench: Bench, tray: list[VirtualBoard]
) -> None:
    with bench.start(f"{ESP32}={bench.keep}/esp") as line:
        assert line.stdout is not None
        flashing = next(text for text in line.stdout if "flash" in text and ESP32 in text)
        child = _wait_for_child(line.pid, b"write-flash")
        line.kill()
    _wait_until(lambda: not Path(f"/proc/{child}").exists())
    assert ("flash", "begun") in bench.entries(), flashing
    words = bench.words("--count", "2", "--secondary-group-key", "env:SECOND")
    env = bench.env | {"SECOND": SECOND}
    runs = [run_watched(words, env=env, cwd=bench.runs)]
    assert runs[0].returncode == 0, runs[0].stdout + runs[0].stderr
    assert b"2 units: 2 passed" in runs[0].stdout
    assert any(b"esptool" in arguments for arguments in runs[0].arguments), "it is looked at"
    runs.append(run_watched(words, env=env, cwd=bench.runs))
    assert b"2 units: 2 skipped" in runs[1].stdout
    runs.append(run_watched([*words, "--again"], env=env, cwd=bench.runs))
    assert b"2 units: 2 re-proved" in runs[2].stdout
    assert bench.entries().count(("unit", "done")) == 2
    assert len(list((bench.runs / "labels").iterdir())) == 4
    secrets = {"group": GROUP, "second": SECOND, "wifi": WIFI}
    for name in NAMES:
        secrets |= {f"{key[:4]} of {name}": keys.derive(key, name) for key in (GROUP, SECOND)}
    assert find_secrets(bench.runs, secrets) == []
    for run in runs:
        assert find_secrets(run.shown(), secrets) == []
    assert find_secrets(bench.keep / "esp", {"key": keys.derive(GROUP, NAMES[0])}), "it is there"


def test_ctrl_c_is_answered_at_once_whatever_a_unit_does(bench: Bench) -> None:
    with _silent(bench.keep / "unit") as port:
        words = ["--no-flash", "--count", "1", f"{VIRTUAL}={port}"]
        with bench.start(*words) as line:
            assert line.stdout is not None
            next(text for text in line.stdout if "look" in text)
            for told in ("no new units", "stopping the units"):
                line.send_signal(signal.SIGINT)
                started_s = time.monotonic()
                assert told in line.stdout.readline()
                assert time.monotonic() - started_s < 2
            line.send_signal(signal.SIGINT)
            assert line.wait(5) == 130
            assert line.stderr is not None
            assert line.stderr.read() == "\nfirstlight: interrupted\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 130), (signal.SIGHUP, 130)]
)
def test_an_idle_line_ends_when_it_is_told(bench: Bench, number: int, code: int) -> None:
    with bench.start() as line:
        assert line.stdout is not None
        assert "bench-3" in line.stdout.readline()
        line.send_signal(number)
        out, _ = line.communicate(timeout=10)
    assert line.returncode == code
    assert "0 units" in out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("count = true", "count must be text or a number"),
        ("no-flash = 'no'", "no-flash must be true or false"),
        ("wifi = 5", "wifi must be a list of texts"),
        ("[wifi]\nssid = 'x'", "wifi must be a list of texts"),
        ("password = 'x'", "there is no option 'password'"),
        ("config = 'other.toml'", "there is no option 'config'"),
        (f"group-key = '{GROUP}'", "group key"),
        ("kinds = 'NO_BOARD'", "unknown board 'NO_BOARD'"),
        ("a = [", "cannot be read as TOML"),
        ("# wifi", "name a network"),
    ],
)
def test_a_wrong_file_of_options_is_told_in_one_line(bench: Bench, text: str, told: str) -> None:
    from click.testing import CliRunner  # noqa: PLC0415

    from firstlight.cli.line import line  # noqa: PLC0415

    path = bench.keep / "line.toml"
    kept = [row for row in path.read_text().splitlines() if row.split()[0] not in text]
    path.write_text("\n".join([*kept, text]))
    done = CliRunner().invoke(line, ["--config", str(path)])
    assert done.exit_code != 0
    assert told in str(done.exception) + done.output
    assert not find_secrets((str(done.exception) + done.output).encode(), {"group": GROUP})
    assert not (bench.runs / "firstlight-line.db").exists()


class _silent:
    """A serial port at which nobody answers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Path:
        self._ends = pty.openpty()
        self._folder.mkdir()
        link = self._folder / "port"
        link.symlink_to(os.ttyname(self._ends[1]))
        return link

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            os.close(end)


def _wait_for_child(pid: int, word: bytes) -> int:
    found: list[int] = []

    def look() -> bool:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                is_it = word in path.read_bytes() and _parent(int(path.parent.name)) == pid
            except OSError:
                continue
            found.extend([int(path.parent.name)] * is_it)
        return bool(found)

    _wait_until(look)
    return found[0]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _wait_until(done: object, seconds: float = 20.0) -> None:
    until_s = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        assert time.monotonic() < until_s
        time.sleep(0.01)
