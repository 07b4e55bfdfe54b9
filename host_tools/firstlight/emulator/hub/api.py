"""A hub's service API: devices, twins, queries, messages to devices and their feedback.

Pure logic: a call in, an Answer out; HTTP itself is http's, and so is the waiting that a direct
method takes. Every call needs a token of a policy that has the right named beside its route.
Paths, headers and bodies: those of azure-iot-hub 2.7 (Python), azure-iothub 1.16 (npm) and
Azure/azure-rest-api-specs, iothub data plane.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..answers import Answer, RandomBytes, Refusal, parse_object
from ..policies import REGISTRY_READ, REGISTRY_WRITE, SERVICE_CONNECT, Policies
from ..rest import Call, check_match, page
from . import bulk, headers
from .hub import Hub
from .identities import read_identity
from .methods import MethodCall, read_call
from .query import Query
from .query_parser import parse
from .refusals import refused, unknown_device
from .registry import Device, check_device_id, identity_document, twin_document, twin_view

_MAX_LISTED = 1000
_FEEDBACK_TYPE = "application/vnd.microsoft.iothub.feedback.json"
_NOT_SERVED = ("modules", "configurations", "jobs", "digitaltwins", "files")


class HubApi:
    """One hub's. names: the host names that a token may be for, in lower case."""

    def __init__(
        self,
        hub: Hub,
        policies: Policies,
        names: Callable[[], frozenset[str]],
        random_bytes: RandomBytes,
    ) -> None:
        self._hub = hub
        self._policies = policies
        self._names = names
        self._random_bytes = random_bytes
        # "*" stands for an id. The first that fits is taken.
        self._routes: tuple[tuple[str, str, str, Callable[..., Answer]], ...] = (
            ("GET", "devices", REGISTRY_READ, self._list),
            ("POST", "devices", REGISTRY_WRITE, self._bulk),
            ("POST", "devices/query", REGISTRY_READ, self._query),
            ("GET", "devices/*", REGISTRY_READ, self._get),
            ("PUT", "devices/*", REGISTRY_WRITE, self._put),
            ("DELETE", "devices/*", REGISTRY_WRITE, self._delete),
            ("DELETE", "devices/*/commands", SERVICE_CONNECT, self._purge),
            ("POST", "devices/*/messages/devicebound", SERVICE_CONNECT, self._send),
            ("POST", "messages/devicebound", SERVICE_CONNECT, self._send_to),
            ("GET", "messages/servicebound/feedback", SERVICE_CONNECT, self._feedback),
            ("DELETE", "messages/servicebound/feedback/*", SERVICE_CONNECT, self._complete),
            ("POST", "messages/servicebound/feedback/*/abandon", SERVICE_CONNECT, self._abandon),
            ("GET", "twins/*", SERVICE_CONNECT, self._get_twin),
            ("PATCH", "twins/*", SERVICE_CONNECT, self._patch_twin),
            ("PUT", "twins/*", SERVICE_CONNECT, self._replace_twin),
            ("GET", "statistics/devices", REGISTRY_READ, self._device_statistics),
            ("GET", "statistics/service", SERVICE_CONNECT, self._service_statistics),
        )

    def handle(self, call: Call, now_at: float) -> Answer:
        """Answer a call; a refusal is an Answer too."""
        try:
            right, answer, ids = self._route(call)
            self._authorize(call, right, now_at)
            return answer(call, now_at, *ids)
        except Refusal as refusal:
            return self.refused(refusal, now_at)

    def method_call(self, call: Call, now_at: float) -> tuple[str, MethodCall]:
        """The device and what it is called for by POST /twins/{id}/methods; raise Refusal."""
        parts = _parts(call.path)
        if len(parts) != 3:
            raise _not_served("modules")
        self._authorize(call, SERVICE_CONNECT, now_at)
        return parts[1], read_call(parse_object(call.body))

    def refused(self, refusal: Refusal, now_at: float) -> Answer:
        """A refusal in the hub's own form."""
        return refused(refusal, now_at, self._random_bytes)

    def _route(self, call: Call) -> tuple[str, Callable[..., Answer], list[str]]:
        parts = _parts(call.path)
        fits = False
        for method, pattern, right, answer in self._routes:
            ids = _match(pattern.split("/"), parts)
            if ids is not None and method == call.method:
                return right, answer, ids
            fits = fits or ids is not None
        for name in _NOT_SERVED:
            if name in (parts[0].lower(), *(part.lower() for part in parts[2:3])):
                raise _not_served(name)
        if fits:
            raise Refusal(405, 405000, f"{call.method} is not allowed here.")
        raise Refusal(404, 404000, "There is no such call.")

    def _authorize(self, call: Call, right: str, now_at: float) -> None:
        authorization = call.headers.get("authorization", "")
        self._policies.authorize(authorization, self._names(), right, now_at, call.path)
        if not call.query.get("api-version"):
            raise Refusal(400, 400001, "The api-version is missing.")

    # Identities.

    def _list(self, call: Call, now_at: float) -> Answer:
        top = call.query.get("top", str(_MAX_LISTED))
        if not (top.isascii() and top.isdigit()) or len(top) > 6 or int(top) < 1:
            raise Refusal(400, 400004, "Invalid top.")
        devices = self._hub.devices()[: min(int(top), _MAX_LISTED)]
        return Answer(200, [self._shown(d, now_at) for d in devices], f"{len(devices)} listed")

    def _get(self, _: Call, now_at: float, device_id: str) -> Answer:
        return self._identity(self._device(device_id), now_at, f"{device_id} read")

    def _put(self, call: Call, now_at: float, device_id: str) -> Answer:
        document = parse_object(call.body)
        if document.get("deviceId", device_id) != device_id:
            raise Refusal(400, 400004, "The deviceId does not match the path.")
        if call.headers.get("if-match") is None:
            return self._create(document, now_at, device_id)
        device = self._device(device_id)
        check_match(call.headers["if-match"], device.etag)
        read_identity(document, device, self._random_bytes).give(device, now_at)
        self._hub.registry.put(device)
        self._hub.drop_disabled(device)
        return self._identity(device, now_at, f"{device_id} updated")

    def _create(self, document: Any, now_at: float, device_id: str) -> Answer:
        check_device_id(device_id)
        identity = read_identity(document, None, self._random_bytes)
        device = self._hub.registry.create(device_id, identity.keys, now_at)
        identity.give(device, now_at)
        self._hub.registry.save(device)
        return self._identity(device, now_at, f"{device_id} created")

    def _delete(self, call: Call, _: float, device_id: str) -> Answer:
        device = self._device(device_id)
        check_match(call.headers.get("if-match"), device.etag)
        self._hub.remove_device(device_id)
        return Answer(204, None, f"{device_id} deleted")

    def _bulk(self, call: Call, now_at: float) -> Answer:
        return bulk.handle(self._hub, call.body, now_at, self._random_bytes)

    # Twins and queries.

    def _query(self, call: Call, now_at: float) -> Answer:
        query = parse(parse_object(call.body).get("query"))
        if query.is_aggregate:
            rows = query.sum_up(self._view(device, now_at) for device in self._hub.registry)
            return Answer(200, rows, "queried", headers={"x-ms-item-type": "Raw"})
        found = sorted((device.id, device) for device in self._matching(query, now_at))
        answer = page(call, found[: query.top])
        twins = [query.project(self._twin(device, now_at)) for device in answer.document]
        headers = answer.headers | {"x-ms-item-type": query.item_type}
        return replace(answer, document=twins, headers=headers)

    def _matching(self, query: Query, now_at: float) -> list[Device]:
        devices = self._hub.devices()
        if query.where is None:
            return devices
        return [device for device in devices if query.matches(self._view(device, now_at))]

    def _get_twin(self, _: Call, now_at: float, device_id: str) -> Answer:
        return self._twin_answer(self._device(device_id), now_at, "read")

    def _patch_twin(self, call: Call, now_at: float, device_id: str) -> Answer:
        patch, if_match = parse_object(call.body), call.headers.get("if-match")
        device = self._hub.patch_twin(device_id, patch, if_match, now_at)
        return self._twin_answer(device, now_at, "patched")

    def _replace_twin(self, call: Call, now_at: float, device_id: str) -> Answer:
        twin, if_match = parse_object(call.body), call.headers.get("if-match")
        device = self._hub.replace_twin(device_id, twin, if_match, now_at)
        return self._twin_answer(device, now_at, "replaced")

    # Messages to devices.

    def _send_to(self, call: Call, now_at: float) -> Answer:
        device_id = headers.device_of(call.headers.get("iothub-to", ""))
        return self._send(call, now_at, device_id)

    def _send(self, call: Call, now_at: float, device_id: str) -> Answer:
        message = headers.read_c2d(call.headers, call.body)
        self._hub.send_message(device_id, message, now_at)
        return Answer(204, None, f"message to {device_id} queued")

    def _purge(self, _: Call, now_at: float, device_id: str) -> Answer:
        purged = self._hub.purge_messages(device_id, now_at)
        document = {"deviceId": device_id, "moduleId": None, "totalMessagesPurged": purged}
        return Answer(200, document, f"{purged} messages to {device_id} purged")

    def _feedback(self, _: Call, now_at: float) -> Answer:
        batch = self._hub.lock_feedback(now_at)
        if batch is None:
            return Answer(204, None, "no feedback")
        etag = {"ETag": f'"{batch.lock_token}"'}
        note = f"{len(batch.records)} feedback read"
        return Answer(200, batch.records, note, headers=etag, content_type=_FEEDBACK_TYPE)

    def _complete(self, _: Call, now_at: float, lock_token: str) -> Answer:
        self._hub.complete_feedback(lock_token, now_at)
        return Answer(204, None, "feedback completed")

    def _abandon(self, _: Call, now_at: float, lock_token: str) -> Answer:
        self._hub.abandon_feedback(lock_token, now_at)
        return Answer(204, None, "feedback abandoned")

    # Statistics.

    def _device_statistics(self, _: Call, __: float) -> Answer:
        states = [device.enabled for device in self._hub.registry]
        document = {
            "totalDeviceCount": len(states),
            "enabledDeviceCount": states.count(True),
            "disabledDeviceCount": states.count(False),
        }
        return Answer(200, document, "counted")

    def _service_statistics(self, _: Call, __: float) -> Answer:
        connected = sum(device.line is not None for device in self._hub.registry)
        return Answer(200, {"connectedDeviceCount": connected}, "counted")

    def _device(self, device_id: str) -> Device:
        device = self._hub.registry.get(device_id)
        if device is None:
            raise unknown_device(device_id)
        return device

    def _shown(self, device: Device, now_at: float) -> dict[str, Any]:
        return identity_document(device, self._hub.queued_messages(device.id, now_at))

    def _twin(self, device: Device, now_at: float) -> dict[str, Any]:
        return twin_document(device, self._hub.queued_messages(device.id, now_at))

    def _view(self, device: Device, now_at: float) -> dict[str, Any]:
        return twin_view(device, self._hub.queued_messages(device.id, now_at))

    def _identity(self, device: Device, now_at: float, note: str) -> Answer:
        etag = {"ETag": f'"{device.etag}"'}
        return Answer(200, self._shown(device, now_at), note, headers=etag)

    def _twin_answer(self, device: Device, now_at: float, done: str) -> Answer:
        etag = {"ETag": f'"{device.twin.etag}"'}
        return Answer(200, self._twin(device, now_at), f"twin of {device.id} {done}", headers=etag)


def _parts(path: str) -> list[str]:
    # /devices/?api-version= is what the Node SDK lists with.
    return path.strip("/").split("/")


def _match(pattern: list[str], parts: list[str]) -> list[str] | None:
    """What the stars stand for, or None if the path is another."""
    if len(pattern) != len(parts):
        return None
    pairs = list(zip(pattern, parts, strict=True))
    if any(wanted not in ("*", part.lower()) for wanted, part in pairs):
        return None
    return [part for wanted, part in pairs if wanted == "*"]


def _not_served(name: str) -> Refusal:
    return Refusal(501, 501000, f"The local Azure has no {name}.")
