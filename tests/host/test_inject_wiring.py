"""`firstlight inject`: how a unit is wired, and where its time comes from, into its identity."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firstlight import virtual
from firstlight.cli import firstlight
from firstlight.custody import write_private
from firstlight.errors import UsageError
from firstlight.repl import Repl

KEY = "cuSf33/M52SPizztuSL14E3l0/WH/EiU3H41Ta763H0="
PINS = "spi=1,sck=12,mosi=11,miso=13,cs=10,int=4"
STATIC = "10.0.0.17,255.255.255.0,10.0.0.1,10.0.0.1"


@dataclass(frozen=True)
class Bench:
    """A board that nothing was injected into yet, and a key for it."""

    port: str
    key: Path

    def inject(self, *words: str) -> Result:
        fixed = ["inject", "VIRTUAL", "--port", self.port, "--id-scope", "0ne00111111"]
        kept = ["--no-reset", "--device-key", f"file:{self.key}"]
        return CliRunner().invoke(firstlight, [*fixed, *kept, *words])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("wiring")
    write_private(folder / "device.key", KEY)
    with virtual.make(folder / "board") as board:
        yield Bench(board.port or "", folder / "device.key")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ethernet", "spi"], "--ethernet must be"),
        (["--ethernet", "spi=1"], "ethernet has no sck"),
        (["--ethernet", PINS + ",mdc=3"], "ethernet has a field that is not known: mdc"),
        (["--ifconfig", STATIC], "--ifconfig is for Ethernet, or for one Wi-Fi network"),
        (["--wifi", "a", "--ifconfig", "10.0.0.17"], "ifconfig must be a list of 4"),
        (["--wifi", "a", "--ifconfig", "10.0.0.300,a,b,c"], "ifconfig must be"),
        (["--led", "any pin"], "led may not hold"),
        (["--led", "~~2"], "led may not hold"),
        (["--led", "²"], "led may not hold"),
    ],
)
def test_wiring_that_cannot_be_is_told_before_anything_is_written(
    words: list[str], told: str, bench: Bench
) -> None:
    done = bench.inject(*words)
    assert isinstance(done.exception, UsageError)
    assert told in str(done.exception)
    with Repl(bench.port) as repl:
        assert "identity.json" not in repl.list_folder("/")


def test_how_a_unit_is_wired_gets_into_its_identity(bench: Bench) -> None:
    words = ["--ethernet", PINS, "--ifconfig", STATIC, "--led", "~2", "--https-port", "8443"]
    done = bench.inject(*words, "--ntp", "a", "--ntp", "b:1123")
    assert done.exit_code == 0, done.exception
    with Repl(bench.port) as repl:
        found = json.loads(repl.exec("print(open('/identity.json').read())"))
    assert found["ethernet"]["cs"] == 10
    assert found["ethernet"]["ifconfig"] == STATIC.split(",")
    assert found["led"] == -3
    assert found["https_port"] == 8443
    assert found["ntp"] == ["a", "b:1123"]
