"""pytest fixtures: a local Azure for each test, on free ports, for a team's own tests.

Importing this needs pytest and nothing else; the rest is imported when a test asks for it. Never
installs itself: name the fixtures where they are wanted, in conftest.py or in a test file.

    from firstlight.testing import local_azure, redirected_azure  # noqa: F401

    def test_my_device_reports_its_temperature(local_azure):
        key = local_azure.device_key("dev-1")            # of the enrollment group "fleet"
        start_my_device(local_azure.id_scope, "dev-1", key,
                        "localhost", local_azure.mqtt_port, local_azure.root_pem)
        first = local_azure.device("dev-1").wait_for_telemetry()[0]
        assert first.body == b'{"celsius": 21}'

Settings of one's own: define a fixture `local_azure_settings` that returns them by name, such as
{"retry_after_s": 1, "hubs": ("localhost", "127.0.0.1")}; see emulator/settings.py.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from .errors import UsageError

if TYPE_CHECKING:
    from .emulator.running import RunningAzure

__all__ = ["local_azure", "redirected_azure"]

_USUAL: dict[str, Any] = {
    "mqtt_port": 0,
    "https_port": 0,
    "retry_after_s": 0,
    "group": "fleet",
}


@pytest.fixture
def local_azure(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[RunningAzure]":
    """A local Azure that runs for the test's time: DPS, hubs, REST APIs; a RunningAzure."""
    from .emulator.running import running_azure  # noqa: PLC0415  half a second of imports
    from .emulator.settings import Settings  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("local-azure")
    wishes = {"folder": folder} | _USUAL | _wishes(request)
    for name in set(wishes).difference(one.name for one in fields(Settings)):
        raise UsageError(f"local_azure_settings has {name!r}, which emulator/settings.py has not")
    with running_azure(Settings(**wishes)) as running:
        yield running


@pytest.fixture
def redirected_azure(local_azure: "RunningAzure") -> "Iterator[RunningAzure]":
    """local_azure, to which this process is led by name, as by Azure's global one, on any port.

    For SDKs that fix ports 8883 and 443.
    """
    with local_azure.redirected():
        yield local_azure


def _wishes(request: pytest.FixtureRequest) -> dict[str, Any]:
    try:
        return dict(request.getfixturevalue("local_azure_settings"))
    except pytest.FixtureLookupError as error:
        if error.argname != "local_azure_settings":  # but what that one asks for
            raise
        return {}
