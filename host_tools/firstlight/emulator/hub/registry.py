"""A hub's identity registry: its devices, each with its keys, its state and its twin.

Holds, finds and journals; decides nothing about who may do what, and does no I/O. Keys leave only
through `identity_document` (the service's own calls show them) and `Device.record`.
Facts: azure/iot-hub/iot-hub-devguide-identity-registry; protocol.md 6.7.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..answers import Json, RandomBytes, Refusal, timestamp
from ..journal import Journal, Nowhere
from ..keys import Keys
from .line import Line
from .twins import Twin, restored

MAX_DEVICES = 1_000_000  # azure/iot-hub/iot-hub-devguide-quotas-throttling
NEVER = "0001-01-01T00:00:00Z"
_TICKS_TO_1970 = 621_355_968_000_000_000  # of 100 ns, from the year 1
_ID = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}")


@dataclass
class Device:
    """One device of the registry. Times are Unix seconds; None: never.

    auth: sas, selfSigned, certificateAuthority or none; keys: nobody's but for sas.
    etag: of the identity, without quotes; the twin has its own. line: its connection, if any.
    """

    id: str
    keys: Keys
    generation_id: str
    etag: str
    twin: Twin = field(repr=False)
    auth: str = "sas"
    thumbprints: tuple[str | None, str | None] = (None, None)
    enabled: bool = True
    status_reason: str | None = None
    edge: bool = False
    scope: str | None = None
    connection_updated_at: float | None = None
    status_updated_at: float | None = None
    last_activity_at: float | None = None
    line: Line | None = field(default=None, repr=False)

    @property
    def status(self) -> str:
        """As Azure writes it."""
        return "enabled" if self.enabled else "disabled"

    @property
    def connection_state(self) -> str:
        """As Azure writes it."""
        return "Disconnected" if self.line is None else "Connected"

    def record(self) -> Json:
        """All but the twin and the connection, for a journal; read back by `_restored`."""
        return {
            "keys": list(self.keys),
            "generationId": self.generation_id,
            "etag": self.etag,
            "auth": self.auth,
            "thumbprints": list(self.thumbprints),
            "enabled": self.enabled,
            "statusReason": self.status_reason,
            "edge": self.edge,
            "scope": self.scope,
            "connectionUpdatedAt": self.connection_updated_at,
            "statusUpdatedAt": self.status_updated_at,
            "lastActivityAt": self.last_activity_at,
        }


class Registry:
    """The devices of one hub, in the order in which they were created."""

    def __init__(
        self, hub_name: str, random_bytes: RandomBytes, journal: Journal | None = None
    ) -> None:
        self._journal = journal or Nowhere()
        # To write out a twin takes longer than to make one: not for a journal that forgets it.
        self._keeps = type(self._journal) is not Nowhere
        self._random_bytes = random_bytes
        self._kind, self._twin_kind = f"device/{hub_name}", f"twin/{hub_name}"
        twins = dict(self._journal.load(self._twin_kind))
        self._devices = {
            id: _restored(id, record, restored(twins[id]))
            for id, record in self._journal.load(self._kind)
        }

    def __len__(self) -> int:
        return len(self._devices)

    def __iter__(self) -> Iterator[Device]:
        return iter(self._devices.values())

    def get(self, device_id: str) -> Device | None:
        return self._devices.get(device_id)

    def all(self) -> list[Device]:
        return list(self._devices.values())

    def create(self, device_id: str, keys: Keys, now_at: float, edge: bool = False) -> Device:
        """Add a device with a twin that is empty; raise Refusal 400, 403 or 409."""
        check_device_id(device_id)
        if device_id in self._devices:
            raise Refusal(409, 409001, f"A device with ID '{device_id}' is already registered.")
        if len(self._devices) >= MAX_DEVICES:
            raise Refusal(403, 413002, f"The hub has {MAX_DEVICES} devices, which is its quota.")
        ticks = int(now_at * 10_000_000) + _TICKS_TO_1970
        device = Device(device_id, keys, str(ticks), self._new_etag(), Twin(now_at), edge=edge)
        self._devices[device_id] = device
        self.save(device)
        self.save_twin(device)
        return device

    def put(self, device: Device) -> None:
        """Keep what was changed of a device's identity, under a new etag."""
        device.etag = self._new_etag()
        self.save(device)

    def save(self, device: Device) -> None:
        """Journal a device whose identity is the same: a time, say. Nothing if it was removed."""
        if self._keeps and self._devices.get(device.id) is device:
            self._journal.put(self._kind, device.id, device.record())

    def save_twin(self, device: Device) -> None:
        """Journal a device's twin."""
        if self._keeps and self._devices.get(device.id) is device:
            self._journal.put(self._twin_kind, device.id, device.twin.record())

    def remove(self, device_id: str) -> Device | None:
        """Forget a device; give what it was, or None. Its connection is the hub's to end."""
        device = self._devices.pop(device_id, None)
        self._journal.delete(self._kind, device_id)
        self._journal.delete(self._twin_kind, device_id)
        return device

    def _new_etag(self) -> str:
        # Azure's is the base64 of a number in decimal.
        number = int.from_bytes(self._random_bytes(4), "big")
        return base64.b64encode(str(number).encode()).decode()


def check_device_id(value: Any) -> str:
    """A device id that IoT Hub takes; raise Refusal 400 (protocol.md 6.7: case-sensitive)."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise Refusal(400, 400004, "The device ID is invalid.")
    return value


def when(at: float | None) -> str:
    """A time as the service writes it; the year 1 for never."""
    return NEVER if at is None else timestamp(at)


def identity_document(device: Device, queued: int = 0) -> Json:
    """The device as GET /devices/{id} shows it, with its keys. queued: C2D messages waiting."""
    sas = device.auth == "sas"
    primary, secondary = device.keys if sas else (None, None)
    return {
        "deviceId": device.id,
        "generationId": device.generation_id,
        "etag": device.etag,
        "connectionState": device.connection_state,
        "status": device.status,
        "statusReason": device.status_reason,
        "connectionStateUpdatedTime": when(device.connection_updated_at),
        "statusUpdatedTime": when(device.status_updated_at),
        "lastActivityTime": when(device.last_activity_at),
        "cloudToDeviceMessageCount": queued,
        "authentication": {
            "symmetricKey": {"primaryKey": primary, "secondaryKey": secondary},
            "x509Thumbprint": _thumbprints(device),
            "type": device.auth,
        },
        "capabilities": {"iotEdge": device.edge},
    } | _scopes(device)


def twin_document(device: Device, queued: int = 0) -> Json:
    """The device's twin as GET /twins/{id} shows it: no keys."""
    return _twin(device, queued, device.twin.sections())


def twin_view(device: Device, queued: int = 0) -> Json:
    """The same to be looked at only, not to be kept or changed: queries look at many."""
    return _twin(device, queued, device.twin.view())


def _twin(device: Device, queued: int, sections: Json) -> Json:
    start = {
        "deviceId": device.id,
        "etag": device.twin.etag,
        "deviceEtag": device.etag,
        "status": device.status,
        "statusUpdateTime": when(device.status_updated_at),
        "connectionState": device.connection_state,
        "lastActivityTime": when(device.last_activity_at),
        "cloudToDeviceMessageCount": queued,
        "authenticationType": device.auth,
        "x509Thumbprint": _thumbprints(device),
        "modelId": "",
    }
    if device.status_reason is not None:
        start["statusReason"] = device.status_reason
    end = {"capabilities": {"iotEdge": device.edge}}
    return start | sections | end | _scopes(device)


def _scopes(device: Device) -> Json:
    return {} if device.scope is None else {"deviceScope": device.scope}


def _thumbprints(device: Device) -> Json:
    primary, secondary = device.thumbprints
    return {"primaryThumbprint": primary, "secondaryThumbprint": secondary}


def _restored(id: str, record: Json, twin: Twin) -> Device:
    return Device(
        id=id,
        keys=Keys(*record["keys"]),
        generation_id=record["generationId"],
        etag=record["etag"],
        twin=twin,
        auth=record["auth"],
        thumbprints=(record["thumbprints"][0], record["thumbprints"][1]),
        enabled=record["enabled"],
        status_reason=record["statusReason"],
        edge=record["edge"],
        scope=record["scope"],
        connection_updated_at=record["connectionUpdatedAt"],
        status_updated_at=record["statusUpdatedAt"],
        last_activity_at=record["lastActivityAt"],
    )
