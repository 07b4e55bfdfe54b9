"""A device at a local Azure whose conversation is a Session, on real MicroPython.

It goes on in a thread of its own (session_probe.py), while the test plays the service.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from firstlight.emulator.azure import LocalAzure
from firstlight.emulator.device import DeviceHandle
from firstlight.emulator.events import Event
from firstlight.emulator.hub.telemetry import Message
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.peers import token

ID = "dev-1"
Json = dict[str, Any]


class Talks:
    """One device of one local Azure, and its conversations."""

    def __init__(
        self,
        azure: RunningAzure,
        events: list[Event],
        run: Callable[[str, Json], Any],
        root: Path,
    ) -> None:
        self.azure = azure
        self._events = events
        self.device: DeviceHandle = azure.device(ID)
        self._run = run
        self._key = azure.create_device(ID).primary_b64
        root.write_bytes(azure.root_der)
        self._root = root

    @contextmanager
    def going_on(self, **asked: Any) -> "Iterator[Future[Json]]":
        """Begin a conversation; it has ended with the context."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(self.held, **asked)

    def held(self, **asked: Any) -> Json:
        """Hold a conversation to its end; what happened."""
        whole = {
            "port": self.azure.mqtt_port,
            "root": str(self._root),
            "device_id": ID,
            "user": f"localhost/{ID}/?api-version=2021-04-12",
            "password": token(f"localhost/devices/{ID}", self._key, skn=None),
        }
        result: Json = self._run("session_probe.py", whole | asked)
        return result

    def wait_until_listening(self) -> None:
        """Wait for the last of a session's subscriptions."""

        def listens(local: LocalAzure) -> bool:
            device = local.hubs["localhost"].registry.get(ID)
            line = device and device.line
            return bool(line and line.has("devices/+/messages/devicebound/#"))

        assert self.azure.wait_for(listens)

    def wait_for_event(self, what: str, count: int = 1) -> None:
        """Wait until the local Azure said that so often."""
        assert self.azure.wait_for(lambda _: len(self.times_of(what)) >= count), self._events

    def times_of(self, what: str) -> list[float]:
        """When the local Azure said that."""
        return [event["at"] for event in self._events if what in event["what"]]

    def telemetry(self) -> list[Message]:
        return self.azure.telemetry(ID)

    def bodies(self) -> list[str]:
        return [message.body.decode() for message in self.telemetry()]

    def desire(self, **properties: Any) -> None:
        self.device.patch_twin({"properties": {"desired": properties}})

    def reported(self) -> Json:
        found: Json = self.device.twin()["properties"]["reported"]
        return {name: value for name, value in found.items() if name[0] != "$"}


@pytest.fixture
def talks(tmp_path: Path, on_micropython: Callable[[str, Json], Any]) -> Iterator[Talks]:
    """A local Azure with one device."""
    events: list[Event] = []
    with running_azure(Settings(mqtt_port=0, https_port=0), events.append) as azure:
        yield Talks(azure, events, on_micropython, tmp_path / "root.der")
