"""Which hub a device is given: hashed, static, lowest latency, or as a webhook says.

Pure: values in, values out. Facts: azure/iot-dps/concepts-custom-allocation for the webhook;
AllocationPolicy in deviceprovisioningservices' service.json for the others:

    POST {webhookUrl}  {"enrollmentGroup": {}, "deviceRuntimeContext": {}, "linkedHubs": []}
    200                {"iotHubHostName": "a.azure-devices.net", "initialTwin": {}, "payload": {}}
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..answers import Json, Refusal, parse_object
from .reading import check_twin
from .records import Enrollment, IndividualEnrollment, Registration
from .rules import Rules

FAILED = 400207
NO_HUB = 400208
MAX_WEBHOOK_BYTES = 64 * 1024


class NotAllocated(Exception):
    """No hub for the device: its registration fails. code: registrationState's errorCode."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class WebhookCall:
    """A request to a custom allocation webhook. operation_id: whom the answer is for."""

    operation_id: str
    url: str = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Choice:
    """What was decided. twin: the webhook's initial twin; payload: what it tells the device."""

    hub: str
    twin: Json | None = None
    payload: Json | None = None


def candidates(enrollment: Enrollment, linked: Iterable[str]) -> list[str]:
    """The hubs of an enrollment that are linked, in its own order; all if it names none."""
    known = list(linked)
    if not enrollment.iot_hubs:
        return known
    return [hub for hub in enrollment.iot_hubs if hub in known]


def allocate(policy: str, hubs: Sequence[str], id: str, rules: Rules) -> Choice:
    """Choose by any policy but custom; raise NotAllocated if there is no hub."""
    if not hubs:
        raise NotAllocated(NO_HUB, "No linked hub for this enrollment.")
    if policy == "static":
        return Choice(hubs[0])
    if policy == "geoLatency":
        hubs = _nearest(hubs, {**rules.latencies_ms, **rules.device_latencies_ms.get(id, {})})
    return Choice(_hashed(hubs, id))


def _hashed(hubs: Sequence[str], id: str) -> str:
    """Each hub as likely as any; a hub more or less moves only the devices that it must."""
    if len(hubs) == 1:
        return hubs[0]
    return max(hubs, key=lambda hub: hashlib.sha256(f"{id} {hub}".encode()).digest())


def _nearest(hubs: Sequence[str], latencies_ms: Mapping[str, float]) -> Sequence[str]:
    """Those of the lowest latency; one that nobody has measured is the farthest."""
    far = float("inf")
    best = min(latencies_ms.get(hub, far) for hub in hubs)
    return [hub for hub in hubs if latencies_ms.get(hub, far) == best]


def webhook_body(
    enrollment: Enrollment,
    id: str,
    previous: Registration | None,
    payload: Json | None,
    hubs: Sequence[str],
    certificate: Json | None = None,
) -> bytes:
    """The AllocationRequest, as JSON. hubs: where the device may go; no keys are in it.

    certificate: the facts of the device's own. Azure's article says that they are in x509, not by
    which name: here by that of registrationState (device.json).
    """
    name = "enrollmentGroup"
    if isinstance(enrollment, IndividualEnrollment):
        name = "individualEnrollment"
    context: Json = {"registrationId": id}
    if previous is not None and previous.hub is not None:
        context["currentIotHubHostName"] = previous.hub
        context["currentDeviceId"] = previous.device_id
    context[enrollment.attestation.kind] = (
        {} if certificate is None else {"certificateInfo": certificate}
    )
    if payload is not None:
        context["payload"] = payload
    # Here, unlike in the service's own answers, the etag is not base64.
    shown = enrollment.document()
    shown["etag"] = base64.b64decode(enrollment.etag).decode()
    document = {name: shown, "deviceRuntimeContext": context, "linkedHubs": list(hubs)}
    return json.dumps(document).encode()


def read_choice(status: int, body: bytes, hubs: Sequence[str]) -> Choice:
    """What the webhook answered; raise NotAllocated if that cannot be followed."""
    if not 200 <= status < 300:
        raise NotAllocated(FAILED, f"Custom allocation failed with status code: {status}")
    try:
        document = parse_object(body)
        hub = document.get("iotHubHostName")
        twin, payload = document.get("initialTwin"), document.get("payload")
        if twin is not None:
            check_twin(twin)
    except Refusal as refusal:
        raise NotAllocated(FAILED, f"Custom allocation failed: {refusal}") from None
    if not isinstance(payload, dict | None):
        raise NotAllocated(FAILED, "Custom allocation failed: payload is not an object.")
    if not isinstance(hub, str) or not hub:
        raise NotAllocated(NO_HUB, "Custom allocation failed: no iotHubHostName was returned.")
    if hub.lower() not in hubs:
        raise NotAllocated(NO_HUB, "Custom allocation failed: the IoT hub is not a linked one.")
    return Choice(hub.lower(), twin, payload)
