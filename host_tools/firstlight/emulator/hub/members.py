"""A hub's devices, as DPS and the service API create, move, disable and remove them.

Pure logic: no sockets and no clock. A device that is removed takes its messages, its feedback and
its session with it, and loses its connection.
"""

from ..answers import Json, Refusal
from ..keys import new_keys
from .credential import Credential
from .messaging import Messaging
from .registry import Device
from .twins import Twin, restored


class Members(Messaging):
    """The part of a hub that its registry's changes need; hub.py has the rest."""

    def put_device(
        self,
        device_id: str,
        credential: Credential,
        now_at: float,
        *,
        initial_twin: Json | None = None,
        edge: bool = False,
        moved: Json | None = None,
    ) -> Device:
        """Create the device, or change what it authenticates with; it keeps its twin then.

        Raise Refusal for an id or a twin that is bad.
        initial_twin: {"tags", "properties": {"desired"}}; moved: what another hub's data_of
        gave. Either takes the place of the twin that is there, if there is one.
        """
        twin = None
        if moved is not None:
            twin = restored(moved["twin"])
        elif initial_twin or (initial_twin is not None and self.registry.get(device_id)):
            twin = Twin(now_at)
            tags, desired = twin_parts(initial_twin)
            twin.replace(tags or {}, desired or {}, now_at)
        device = self._identify(device_id, credential, now_at, edge)
        if twin is not None:
            device.twin = twin
            self.registry.save_twin(device)
        return device

    def _identify(
        self, device_id: str, credential: Credential, now_at: float, edge: bool
    ) -> Device:
        device = self.registry.get(device_id)
        known = device.keys if device is not None else None
        keys = credential.keys or known or new_keys(self.random_bytes)
        if device is None:
            device = self.registry.create(device_id, keys, now_at, edge)
        wanted = (keys, edge, credential.auth, credential.thumbprints)
        if (device.keys, device.edge, device.auth, device.thumbprints) != wanted:
            device.keys, device.edge, device.auth, device.thumbprints = wanted
            self.registry.put(device)
        return device

    def data_of(self, device_id: str) -> Json | None:
        """What goes along to another hub's put_device; None if the device is unknown."""
        device = self.registry.get(device_id)
        return None if device is None else {"twin": device.twin.record()}

    def remove_device(self, device_id: str) -> None:
        """Forget the device, its messages and its session; end its connection."""
        device = self.registry.remove(device_id)
        if device is None:
            return
        # First out of the registry, so that its last will is nobody's.
        if device.line is not None:
            device.line.close("the device was removed from the hub")
            device.line = None
        self._mail.forget(device_id)
        self._feedback.forget(device_id)
        self._sessions.forget(device_id)

    def kick(self, device_id: str) -> bool:
        """Close the device's connection, as a hub does that is moved; whether it had one."""
        device = self.registry.get(device_id)
        if device is None or device.line is None:
            return False
        device.line.close("kicked")
        return True

    def set_enabled(self, device_id: str, enabled: bool, now_at: float) -> None:
        """Enable or disable a device, which ends its connection; raise KeyError if unknown."""
        device = self.registry.get(device_id)
        if device is None:
            raise KeyError(device_id)
        if device.enabled != enabled:
            device.enabled, device.status_updated_at = enabled, now_at
            self.registry.put(device)
        self.drop_disabled(device)

    def drop_disabled(self, device: Device) -> None:
        """End the connection of a device that is disabled."""
        if not device.enabled and device.line is not None:
            device.line.close("the device was disabled")

    def devices(self) -> list[Device]:
        """All of them, in the order in which they were created."""
        return self.registry.all()


def twin_parts(document: Json) -> tuple[Json | None, Json | None]:
    """(tags, desired) of a twin that the service sent; None for a part that it did not."""
    tags, properties = document.get("tags"), document.get("properties")
    if not isinstance(properties, dict | None):
        raise Refusal(400, 400004, "properties is not a JSON object.")
    desired = (properties or {}).get("desired")
    for name, part in (("tags", tags), ("properties.desired", desired)):
        if not isinstance(part, dict | None):
            raise Refusal(400, 400004, f"{name} is not a JSON object.")
    return tags, desired
