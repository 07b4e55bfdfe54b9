"""Fixtures: one local Azure for each test that wants one, on free ports."""

from collections.abc import Iterator

import pytest

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from firstlight.testing import local_azure, redirected_azure

__all__ = ["azure", "local_azure", "redirected_azure"]


@pytest.fixture
def azure() -> Iterator[RunningAzure]:
    with running_azure(Settings(mqtt_port=0, https_port=0, retry_after_s=0)) as running:
        yield running
