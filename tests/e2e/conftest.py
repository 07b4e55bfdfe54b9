"""A local Azure and a board at it, for each test its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.e2e.bench import Bench


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[RunningAzure]:
    settings = Settings(
        mqtt_port=0,
        https_port=0,
        retry_after_s=1,
        polls_before_assigned=0,
        folder=tmp_path / "azure",
    )
    with running_azure(settings) as running:
        yield running


@pytest.fixture
def bench(azure: RunningAzure, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "board", azure)
    made.tune(speed=5)  # nobody is served by waiting
    yield made
    made.board.power_off()
