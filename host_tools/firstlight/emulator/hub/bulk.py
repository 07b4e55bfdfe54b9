"""Many identities in one call: POST /devices, as the SDKs' bulk operations and imports send it.

Pure: each item is done or refused by itself, and the answer says which were refused. Modes and
fields: ExportImportDevice and BulkRegistryOperationResult of the hub's service API.

    [{"id": "a", "importMode": "create", "status": "enabled", "authentication": {...}}, ...]
"""

from collections.abc import Callable
from typing import Any

from ..answers import Answer, Json, RandomBytes, Refusal, parse_json
from ..rest import check_match
from .hub import Hub, twin_parts
from .identities import read_identity
from .refusals import name_of, unknown_device
from .registry import Device, check_device_id

MAX_ITEMS = 100


def handle(hub: Hub, body: bytes, now_at: float, random_bytes: RandomBytes) -> Answer:
    """Do every item; 200 if all could be done, else 400 with the errors. Raise Refusal."""
    work = _Work(hub, now_at, random_bytes)
    items = _items(body)
    errors = [error for item in items if (error := work.error_of(item)) is not None]
    document = {"isSuccessful": not errors, "errors": errors, "warnings": []}
    note = f"{len(items) - len(errors)} of {len(items)} devices done"
    return Answer(400 if errors else 200, document, note)


class _Work:
    """The items' modes, in lower case, and what each does."""

    def __init__(self, hub: Hub, now_at: float, random_bytes: RandomBytes) -> None:
        self._hub = hub
        self._now_at = now_at
        self._random_bytes = random_bytes
        self._modes: dict[str, Callable[[Json, str], None]] = {
            "create": self._create,
            "update": lambda item, id: self._update(item, id, None),
            "updateifmatchetag": lambda item, id: self._update(item, id, _etag(item, "eTag")),
            "createorupdate": lambda item, id: self._create_or_update(item, id, None),
            "createorupdateifmatchetag": lambda item, id: self._create_or_update(item, id, "eTag"),
            "delete": lambda _, id: self._delete(id, None),
            "deleteifmatchetag": lambda item, id: self._delete(id, _etag(item, "eTag")),
            "updatetwin": lambda item, id: self._twin(item, id, None),
            "updatetwinifmatchetag": lambda item, id: self._twin(
                item, id, _etag(item, "twinETag")
            ),
        }

    def error_of(self, item: Any) -> Json | None:
        """Do one item; what was wrong, or None."""
        id = item.get("id") if isinstance(item, dict) else None
        try:
            self._do(item)
        except Refusal as refusal:
            return {
                "deviceId": id if isinstance(id, str) else "",
                "moduleId": None,
                "errorCode": name_of(refusal.code),
                "errorStatus": str(refusal),
            }
        return None

    def _do(self, item: Any) -> None:
        if not isinstance(item, dict):
            raise Refusal(400, 400004, "An item is not an object.")
        if item.get("moduleId") is not None:
            raise Refusal(501, 501000, "The local Azure has no modules.")
        mode = item.get("importMode", "createOrUpdate")
        do = self._modes.get(mode.lower()) if isinstance(mode, str) else None
        if do is None:
            raise Refusal(400, 400004, "Invalid importMode.")
        do(item, check_device_id(item.get("id")))

    def _create(self, item: Json, id: str) -> None:
        tags, desired = twin_parts(item)
        identity = read_identity(item, None, self._random_bytes)
        device = self._hub.registry.create(id, identity.keys, self._now_at)
        try:
            if tags is not None or desired is not None:
                device.twin.patch(tags, desired, self._now_at)
        except Refusal:
            self._hub.registry.remove(id)
            raise
        identity.give(device, self._now_at)
        self._hub.registry.save(device)
        self._hub.registry.save_twin(device)

    def _create_or_update(self, item: Json, id: str, etag_name: str | None) -> None:
        if self._hub.registry.get(id) is None:
            return self._create(item, id)
        return self._update(item, id, None if etag_name is None else _etag(item, etag_name))

    def _update(self, item: Json, id: str, etag: str | None) -> None:
        device = self._device(id)
        check_match(etag, device.etag)
        read_identity(item, device, self._random_bytes).give(device, self._now_at)
        self._hub.registry.put(device)
        self._hub.drop_disabled(device)

    def _delete(self, id: str, etag: str | None) -> None:
        check_match(etag, self._device(id).etag)
        self._hub.remove_device(id)

    def _twin(self, item: Json, id: str, etag: str | None) -> None:
        self._hub.patch_twin(id, item, etag, self._now_at)

    def _device(self, id: str) -> Device:
        device = self._hub.registry.get(id)
        if device is None:
            raise unknown_device(id)
        return device


def _items(body: bytes) -> list[Any]:
    items = parse_json(body)
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
        raise Refusal(400, 400004, f"The body must be a JSON array of 1 to {MAX_ITEMS} devices.")
    return items


def _etag(item: Json, name: str) -> str:
    # Node sends the device's own `etag`.
    value = item.get(name) or item.get(name.lower())
    if not isinstance(value, str):
        raise Refusal(412, 412001, f"The item has no {name}.")
    return value
