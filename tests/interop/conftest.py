"""What the judges share: a local Azure at Azure's own ports, and Node with Microsoft's SDKs."""

import os
from collections.abc import Callable, Iterator

import pytest

from firstlight.emulator.running import RunningAzure, running_azure
from tests.interop.nodes import FOLDER, NodeScript
from tests.interop.places import may_have_443, own_address, settings_at

StartNode = Callable[[str, RunningAzure], NodeScript]


@pytest.fixture(scope="module")
def azure() -> Iterator[RunningAzure]:
    """DPS and one hub, both named after the address; shared by a module's tests."""
    with running_azure(settings_at(own_address())) as running:
        yield running


@pytest.fixture(scope="session")
def port_443() -> None:
    """Port 443, where the SDKs look for WebSocket and HTTPS; whoever needs it asks for this."""
    if not may_have_443():
        missing("port 443 is not to be had: see tests/interop/README.md")


@pytest.fixture(autouse=True)
def _port_443_for_what_goes_there(request: pytest.FixtureRequest) -> None:
    """What a test of Azure's own ports calls its transport tells whether it needs 443."""
    params = getattr(getattr(request.node, "callspec", None), "params", {})
    is_there = params.get("transport") in ("ws", "http") or params.get("websockets")
    if is_there and {"azure", "start_node"} & set(request.fixturenames):
        request.getfixturevalue("port_443")


@pytest.fixture(scope="session")
def node_program(program: Callable[[str], str]) -> str:
    """Node, once the SDKs are there too."""
    path = program("node")
    if not (FOLDER / "node_modules" / "azure-iot-device").is_dir():
        missing("the Node SDKs are missing: make system")
    return path


@pytest.fixture
def start_node(node_program: str) -> Iterator[StartNode]:
    """Start a script of tests/interop/node that trusts a local Azure; ended with the test."""
    started: list[NodeScript] = []

    def start(script: str, azure: RunningAzure) -> NodeScript:
        started.append(NodeScript(node_program, script, azure.root_pem))
        return started[-1]

    yield start
    for script in started:
        script.end()


def missing(what: str) -> None:
    """Skip the test, or fail it in CI, where nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
