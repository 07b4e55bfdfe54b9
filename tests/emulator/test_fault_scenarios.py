"""Every fault that is often wanted strikes a device that goes its whole way."""

import contextlib
import ssl
import time
from collections.abc import Iterator

import pytest

from firstlight.emulator.faults.scenarios import SCENARIOS
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.broken import Observer, greeting
from tests.emulator.peers import (
    PATIENCE_S,
    POLL,
    REGISTER,
    RESULTS,
    connect,
    packet,
    publish,
    subscribe,
    token,
)

PING = packet(0xC0, b"")
EVENTS = publish("devices/dev-2/messages/events/", b"x")


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningAzure]:
    settings = Settings(mqtt_port=0, https_port=0, retry_after_s=0, polls_per_10_s=None)
    with running_azure(settings) as azure:
        yield azure


@contextlib.contextmanager
def saying(azure: RunningAzure, data: bytes, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """A connection that says all of it at once, whatever the service does."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ssl.SSLError, ConnectionError, TimeoutError):
            peer = stack.enter_context(Observer(azure, patience_s=patience_s))
            peer.send(data)
        yield


def has_struck(azure: RunningAzure) -> bool:
    """Whether the fault strikes, within a bound."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        (fault,) = azure.faults()
        if fault["hits"]:
            return True
    return False


@pytest.mark.parametrize("words", SCENARIOS.values(), ids=SCENARIOS)
def test_it_strikes(shared: RunningAzure, words: str) -> None:
    shared.clear_faults()
    shared.add_fault(words)
    before = len(shared.telemetry("dev-2"))
    patience_s = 0.3 if words.startswith(("accept", "hello")) else PATIENCE_S
    key = shared.enroll_device("dev-1").keys.primary_b64
    poll = publish(POLL + "2&operationId=none", b" ")
    asked = subscribe(RESULTS) + PING + publish(REGISTER + "1", b'{"payload":{}}') + poll
    hub_key = shared.create_device("dev-2").primary_b64
    password = token("localhost/devices/dev-2", hub_key, skn=None)
    hello = connect("dev-2", "localhost/dev-2/?api-version=2021-04-12", password)
    hello += subscribe("devices/dev-2/messages/devicebound/#") + subscribe("$iothub/twin/res/#")
    report = publish("$iothub/twin/PATCH/properties/reported/?$rid=2", b"{}")
    spoken = hello + EVENTS * 10 + publish("$iothub/twin/GET/?$rid=1") + report
    with (
        saying(shared, greeting(shared, "dev-1", key) + asked, patience_s),
        saying(shared, spoken, patience_s),
    ):
        if words.startswith("c2d"):
            shared.wait_for_telemetry(before + 10, "dev-2")
            shared.device("dev-2").send(b"x")
        assert has_struck(shared)
