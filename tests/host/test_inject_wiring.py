"""`firstlight inject`: how a unit is wired, and where its time comes from, into its identity."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from firstlight import virtual
from firstlight.repl import Repl
from tests.host.test_cli import FIRSTLIGHT

KEY = "cuSf33/M52SPizztuSL14E3l0/WH/EiU3H41Ta763H0="
PINS = "spi=1,sck=12,mosi=11,miso=13,cs=10,int=4"
STATIC = "10.0.0.17,255.255.255.0,10.0.0.1,10.0.0.1"


def inject(port: str, *words: str) -> "subprocess.CompletedProcess[str]":
    fixed = ["inject", "VIRTUAL", "--port", port, "--id-scope", "0ne00111111", "--no-reset"]
    return subprocess.run(
        [*FIRSTLIGHT, *fixed, "--device-key", "env:KEY", *words],
        env=os.environ | {"KEY": KEY},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_how_a_unit_is_wired_gets_into_its_identity(tmp_path: Path) -> None:
    board = virtual.make(tmp_path / "board")
    words = ["--ethernet", PINS, "--ifconfig", STATIC, "--led", "~2", "--https-port", "8443"]
    with board:
        done = inject(board.port or "", *words, "--ntp", "a", "--ntp", "b:1123")
        assert done.returncode == 0, done.stderr
        with Repl(board.port or "") as repl:
            found = json.loads(repl.exec("print(open('/identity.json').read())"))
    assert found["ethernet"]["cs"] == 10
    assert found["ethernet"]["ifconfig"] == STATIC.split(",")
    assert found["led"] == -3
    assert found["https_port"] == 8443
    assert found["ntp"] == ["a", "b:1123"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ethernet", "spi"], "--ethernet must be"),
        (["--ethernet", "spi=1"], "ethernet has no sck"),
        (["--ethernet", PINS + ",mdc=3"], "ethernet has a field that is not known: mdc"),
        (["--ifconfig", STATIC], "--ifconfig is for Ethernet, or for one Wi-Fi network"),
        (["--wifi", "a", "--ifconfig", "10.0.0.17"], "ifconfig must be a list of 4"),
        (["--wifi", "a", "--ifconfig", "10.0.0.300,a,b,c"], "ifconfig must be"),
        (["--led", "any pin"], "led has a character"),
        (["--led", "~~2"], "led has a character"),
        (["--led", "²"], "led has a character"),
    ],
)
def test_wiring_that_cannot_be_is_told_before_anything_is_written(
    words: list[str], told: str, tmp_path: Path
) -> None:
    board = virtual.make(tmp_path / "board")
    with board:
        done = inject(board.port or "", *words)
        with Repl(board.port or "") as repl:
            assert "identity.json" not in repl.list_folder("/")
    assert done.returncode == 2
    assert told in done.stderr
