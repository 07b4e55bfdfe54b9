"""A local Azure that lets a board in at once, for a module's tests of `firstlight doctor`."""

from collections.abc import Iterator

import pytest

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAzure]:
    settings = Settings(
        mqtt_port=0,
        https_port=0,
        retry_after_s=0,
        polls_before_assigned=0,
        folder=tmp_path_factory.mktemp("azure"),
    )
    with running_azure(settings) as running:
        yield running
