"""What many tests need: the interpreter, umqtt.simple as boards get it, programs of the system."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from firstlight.interpreter import command
from firstlight.umqtt import simple_source

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def micropython() -> list[str]:
    """How to start MicroPython: the first words of a command line."""
    return command()


@pytest.fixture(scope="session")
def umqtt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with umqtt/simple.py, the release on the Python index."""
    folder = tmp_path_factory.mktemp("umqtt")
    (folder / "umqtt").mkdir()
    (folder / "umqtt" / "simple.py").write_bytes(simple_source())
    return folder


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Find a program that `make system` installs: without it a test is skipped, in CI it fails."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None and os.environ.get("CI") == "true":
            pytest.fail(f"{name} is missing, and CI must have it: make system")
        if path is None:
            pytest.skip(f"{name} is missing: make system")
        return path

    return find
