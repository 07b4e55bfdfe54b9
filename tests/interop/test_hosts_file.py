"""The file `hosts`, judged by libnss-wrapper: names for another program, without root."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firstlight.emulator.running import RunningAzure
from firstlight.emulator.settings import DPS_NAME
from firstlight.testing import local_azure
from tests.interop.conftest import missing
from tests.interop.places import own_address

__all__ = ["local_azure"]
HUB = "one.azure-devices.net"


@pytest.fixture(scope="session")
def nss_wrapper() -> str:
    """The library's name for LD_PRELOAD."""
    name = "libnss_wrapper.so"
    done = subprocess.run(
        ["sh", "-c", ":"], env={"LD_PRELOAD": name}, capture_output=True, check=False
    )
    if done.stderr:
        missing("libnss-wrapper is missing: make system")
    return name


@pytest.fixture
def local_azure_settings() -> dict[str, Any]:
    return {"hubs": (HUB,), "addresses": {HUB: own_address()}}


@pytest.mark.parametrize("name", [DPS_NAME, HUB])
def test_curl_finds_every_name_in_it(
    local_azure: RunningAzure, program: Callable[[str], str], nss_wrapper: str, name: str
) -> None:
    folder: Path = local_azure.root_pem.parent
    wrapped = {"LD_PRELOAD": nss_wrapper, "NSS_WRAPPER_HOSTS": str(folder / "hosts")}
    url = f"https://{name}:{local_azure.https_port}/emulator/info"
    done = subprocess.run(
        [program("curl"), "--silent", "--show-error", "--write-out", "%{remote_ip}", url],
        env=os.environ | local_azure.environment | wrapped,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    address = local_azure.call(lambda local: local.info())["addresses"][name]
    assert (done.stderr, done.stdout.endswith("}" + address)) == ("", True)
