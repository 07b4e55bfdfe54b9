"""Messages as HTTP headers, for hubs speak of a message's properties in both directions so.

Pure values. Whatever a property holds, what goes out is a header that HTTP can carry: a text that
cannot be one is percent-encoded. HTTP knows no case in names: they come in lower case.

    iothub-messageid: 7      iothub-app-colour: red      iothub-to: /devices/dev-1/messages/...

Names: azure-iot-device-http 1.14 (npm), Azure/azure-iot-sdk-c (iothubtransporthttp.c).
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from ..answers import Refusal, timestamp
from .messages import C2D

_APP = "iothub-app-"
# The headers of telemetry, and of messages to devices; the names are the hub's own.
D2C = {
    "iothub-messageid": "message-id",
    "iothub-correlationid": "correlation-id",
    "iothub-userid": "user-id",
    "iothub-to": "to",
    "iothub-expiry": "absolute-expiry-time",
    "iothub-contenttype": "content-type",
    "iothub-contentencoding": "content-encoding",
    "iothub-creationtimeutc": "creation-time-utc",
    "iothub-interface-id": "interface-id",
    "dt-subject": "dt-subject",
}
_C2D = ("iothub-messageid", "iothub-correlationid", "iothub-userid")
_C2D_MORE = ("iothub-contenttype", "iothub-contentencoding")
_TO = re.compile(r"/devices/([^/]{1,384})(?:/messages/devicebound)?/?", re.IGNORECASE)
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?|")
_MAX_PROPERTIES = 100


def device_of(to: str) -> str:
    """The device that `iothub-to` names; raise Refusal 400."""
    match = _TO.fullmatch(unquote(to))
    if match is None:
        raise Refusal(400, 400004, "iothub-to must be /devices/{id}/messages/deviceBound.")
    return match[1]


def read_properties(headers: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """(application, system) properties of telemetry; raise Refusal 400 beyond 100."""
    application = {
        name[len(_APP) :]: value
        for name, value in headers.items()
        if name.startswith(_APP) and len(name) > len(_APP)
    }
    if len(application) > _MAX_PROPERTIES:
        raise Refusal(400, 400004, "A message has more than 100 properties.")
    return application, {D2C[name]: value for name, value in headers.items() if name in D2C}


def read_c2d(headers: Mapping[str, str], body: bytes) -> C2D:
    """A message to a device; raise Refusal 400 for an expiry that is no time."""
    application, _ = read_properties(headers)
    system = {D2C[name]: headers[name] for name in (*_C2D, *_C2D_MORE) if headers.get(name)}
    ack = headers.get("iothub-ack")
    properties: dict[str, str | None] = dict(application)
    return C2D(body, properties, system, ack.lower() if ack else None, _expiry(headers))


def written_c2d(message: C2D, device_id: str) -> dict[str, str]:
    """The headers of a message that a device reads over HTTPS; the ETag is its lock token."""
    found = {
        "ETag": f'"{message.lock_token}"',
        "iothub-to": f"/devices/{device_id}/messages/deviceBound",
        "iothub-sequencenumber": str(message.sequence),
        "iothub-enqueuedtime": timestamp(message.enqueued_at),
        "iothub-deliverycount": str(message.delivery_count),
    }
    for name in (*_C2D, *_C2D_MORE):
        if D2C[name] in message.system:
            found[name] = message.system[D2C[name]]
    if message.expires_at is not None:
        found["iothub-expiry"] = timestamp(message.expires_at)
    if message.ack is not None:
        found["iothub-ack"] = message.ack
    for name, text in message.properties.items():
        if name:
            found[_APP + _as(_NAME, name)] = text or ""
    return {name: _as(_VALUE, text) for name, text in found.items()}


def _as(kind: re.Pattern[str], text: str) -> str:
    return text if kind.fullmatch(text) else quote(text, safe="", errors="replace")


def _expiry(headers: Mapping[str, str]) -> float | None:
    text = headers.get("iothub-expiry")
    if not text:
        return None
    # Python 3.10 reads six digits of a second, and no others; .NET writes seven.
    plain = re.sub(r"\.\d+", lambda found: found[0][:7].ljust(7, "0"), text.strip())
    try:
        at = datetime.fromisoformat(plain.replace("Z", "+00:00"))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Refusal(
            400, 400004, "Invalid iothub-expiry: not a time such as 2026-11-22T08:00:00Z."
        ) from None
