"""For each test process one local Azure and one proxy; and one board, as long as it is well."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from firstlight.emulator.running import running_azure
from firstlight.emulator.settings import Settings
from tests.chaos.field import Field, Site, make_site
from tests.chaos.proxy import Proxy


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    settings = Settings(
        mqtt_port=0,
        https_port=0,
        retry_after_s=1,
        folder=folder / "azure",
        polls_per_10_s=None,  # by our clock; the board's is faster
        registrations_per_minute=None,
        operations_per_minute=None,
    )
    with running_azure(settings) as azure, Proxy(azure.mqtt_port) as proxy:
        yield make_site(folder, azure, proxy)


@pytest.fixture(scope="session")
def living(site: Site) -> Iterator[list[Field]]:
    """The board that lives through test after test, if it is well."""
    boards: list[Field] = []
    yield boards
    for board in boards:
        board.end()


@pytest.fixture
def field(living: list[Field], site: Site, tmp_path: Path) -> Iterator[Field]:
    """A board that has sent its first messages, and perhaps been through a lot already."""
    if not living:
        living.append(Field(tmp_path / "board", site))
        living[0].power_on()
        living[0].recovers()
    living[0].begin()
    yield living[0]
    if not living[0].is_well:
        living.pop().end()
