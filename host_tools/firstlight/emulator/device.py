"""One device of a running local Azure, for tests: what its hub knows of it, and may tell it.

A handle for other threads: everything is done in the emulator's own. What the hub refuses is a
ServiceError with its status and its words.
"""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ServiceError
from .answers import Json, Refusal
from .azure import LocalAzure
from .http import methods
from .hub.hub import Hub
from .hub.messages import C2D
from .hub.registry import Device, twin_document
from .hub.telemetry import Message

if TYPE_CHECKING:
    from .running import RunningAzure

_T = TypeVar("_T")


class DeviceHandle:
    """A device by its id. hub: its hub's name, or None for whichever hub has it at the moment."""

    def __init__(self, azure: "RunningAzure", id: str, hub: str | None = None) -> None:
        self._azure = azure
        self.id = id
        self._hub = hub

    @property
    def hub(self) -> str:
        """The name of the hub that has the device; raise ServiceError if none has."""
        return self._azure.call(lambda local: self._at(local).name)

    @property
    def is_connected(self) -> bool:
        """Whether it has a connection to its hub."""
        return self._azure.call(self._is_connected)

    def wait_until_connected(self, timeout_s: float = 10.0) -> None:
        """Wait for its connection; raise TimeoutError."""
        if not self._azure.wait_for(self._is_connected, timeout_s):
            raise TimeoutError(f"{self.id} did not connect in {timeout_s:g} s")

    def telemetry(self) -> list[Message]:
        """What it sent and a hub still keeps, oldest first."""
        return self._azure.telemetry(self.id)

    def wait_for_telemetry(self, count: int = 1, timeout_s: float = 10.0) -> list[Message]:
        """Wait for so many messages; raise TimeoutError."""
        return self._azure.wait_for_telemetry(count, self.id, timeout_s)

    def twin(self) -> Json:
        """Its twin, as GET /twins/{id} shows it."""
        return self._do(lambda hub, _: twin_document(self._found(hub)))

    def patch_twin(self, patch: Json) -> Json:
        """Merge {"tags": ..., "properties": {"desired": ...}}; the device is notified.

        Returns the twin.
        """
        return self._do(
            lambda hub, now_at: twin_document(hub.patch_twin(self.id, patch, None, now_at))
        )

    def send(
        self,
        body: bytes | str,
        properties: Mapping[str, str | None] | None = None,
        system: Mapping[str, str] | None = None,
        ack: str | None = None,
    ) -> None:
        """Queue a cloud-to-device message. system: message-id, content-type...; ack: full, ..."""
        raw = body.encode() if isinstance(body, str) else body
        message = C2D(raw, dict(properties or {}), dict(system or {}), ack)
        self._do(lambda hub, now_at: hub.send_message(self.id, message, now_at))

    def call_method(
        self,
        name: str,
        payload: Any = None,
        response_timeout_s: int = 30,
        connect_timeout_s: int = 0,
    ) -> tuple[int, Any]:
        """Call a direct method; the device's status and payload. Raise ServiceError."""
        body = {
            "methodName": name,
            "payload": payload,
            "responseTimeoutInSeconds": response_timeout_s,
            "connectTimeoutInSeconds": connect_timeout_s,
        }
        local, raw = self._azure.local, json.dumps(body).encode()
        hub = self._azure.call(self._at)
        answer = self._azure.wait(
            methods.invoke(hub, self.id, raw, local.clock), response_timeout_s + connect_timeout_s
        )
        if answer.status != 200:
            raise ServiceError(f"{name} of {self.id}: {answer.note}", answer.status)
        return answer.document["status"], answer.document["payload"]

    def kick(self) -> bool:
        """End its connection, as a hub does that is moved; whether it had one."""
        return self._do(lambda hub, _: hub.kick(self.id))

    def enable(self, enabled: bool = True) -> None:
        """Enable or disable it, which ends its connection."""
        self._do(lambda hub, now_at: hub.set_enabled(self._found(hub).id, enabled, now_at))

    def remove(self) -> None:
        """Remove it from its hub, which ends its connection."""
        self._do(lambda hub, _: hub.remove_device(self.id))

    def _do(self, step: Callable[[Hub, float], _T]) -> _T:
        def steps(local: LocalAzure) -> _T:
            try:
                return step(self._at(local), local.clock())
            except Refusal as refusal:
                raise ServiceError(str(refusal), refusal.status) from None

        return self._azure.call(steps)

    def _at(self, local: LocalAzure) -> Hub:
        names = local.hubs if self._hub is None else (self._hub,)
        for name in names:
            if name in local.hubs and local.hubs[name].registry.get(self.id) is not None:
                return local.hubs[name]
        raise ServiceError(f"no hub here has a device {self.id}", 404)

    def _found(self, hub: Hub) -> Device:
        device = hub.registry.get(self.id)
        assert device is not None  # noqa: S101  (_at found it there)
        return device

    def _is_connected(self, local: LocalAzure) -> bool:
        hubs = local.hubs.values()
        found = (hub.registry.get(self.id) for hub in hubs if self._hub in (None, hub.name))
        return any(device is not None and device.line is not None for device in found)
