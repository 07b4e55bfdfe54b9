"""A whole board behind a firewall that UDP does not pass: it gets its time over HTTPS, or none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.board.timepeers import lost, sntp
from tests.e2e.bench import NAME, Bench

WAIT_S = 30.0


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[RunningAzure]:
    with running_azure(Settings(mqtt_port=0, https_port=0, folder=tmp_path / "azure")) as running:
        yield running


@pytest.fixture
def bench(azure: RunningAzure, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "board", azure)
    made.tune(speed=5)  # nobody is served by waiting
    yield made
    made.board.power_off()


@pytest.fixture
def nowhere() -> str:
    """An address that nobody answers at."""
    with sntp(lost) as (address,):
        return address


def boot(bench: Bench, ntp: str, https_port: int) -> None:
    key = bench.group_key()[1]
    bench.give(bench.document(key, ntp=[ntp], https_port=https_port))
    bench.board.power_on()


def test_a_board_that_no_udp_reaches_sends_telemetry(bench: Bench, nowhere: str) -> None:
    boot(bench, nowhere, bench.azure.https_port)
    bench.board.read_console_until("set by HTTPS", WAIT_S)
    bench.azure.wait_for_telemetry(1, NAME, WAIT_S)


def test_nothing_is_signed_by_the_time_of_a_server_that_is_not_ours(
    bench: Bench, nowhere: str, tmp_path: Path
) -> None:
    with running_azure(Settings(mqtt_port=0, https_port=0, folder=tmp_path / "other")) as other:
        boot(bench, nowhere, other.https_port)
        said = bench.board.read_console_until("; next in ", WAIT_S).decode()
    assert "clock  failed: no time; 127.0.0.1:" in said
    assert "; HTTPS: " in said
    assert "certificate" in said
    assert "dps" not in said
