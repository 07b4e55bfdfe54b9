"""The topics of a hub that a device may subscribe to and publish to (protocol.md 6).

Texts and their patterns; no I/O.
"""

import re

from .telemetry import Foreign

TWIN_ANSWERS = "$iothub/twin/res/#"
DESIRED = "$iothub/twin/PATCH/properties/desired/#"
METHODS = "$iothub/methods/POST/#"
_ONE_METHOD = re.compile(r"\$iothub/methods/POST/[^/+#]+/#")
_TWIN_REQUEST = re.compile(
    r"\$iothub/twin/(?P<what>GET|PATCH/properties/reported)/\?\$rid=(?P<rid>[^&]*)(&.*)?"
)
_MAX_RID = 128


def messages(device_id: str) -> list[str]:
    """The two ways to subscribe to messages to the device (protocol.md 6.3)."""
    return [f"devices/{device_id}/messages/devicebound/#", "devices/+/messages/devicebound/#"]


def methods(name: str) -> list[str]:
    """The two ways to subscribe to a direct method (iot-hub-devguide-direct-methods)."""
    return [METHODS, f"$iothub/methods/POST/{name}/#"]


def is_filter(device_id: str, topic_filter: str) -> bool:
    """Whether a device may subscribe to it.

    Raise Foreign for messages to a device whose topic would hold a wildcard: its id may, a topic
    may not (MQTT-3.3.2-2).
    """
    if topic_filter in (TWIN_ANSWERS, DESIRED, METHODS):
        return True
    if topic_filter in messages(device_id):
        if re.search("[+#]", device_id):
            raise Foreign("a device with + or # in its id gets no messages over MQTT")
        return True
    return bool(_ONE_METHOD.fullmatch(topic_filter))


def twin_request(topic: str) -> tuple[str, str] | None:
    """(GET or PATCH/properties/reported, rid) of a twin request; None if the topic is another.

    Raise Foreign for a rid of more than 128 characters, which would have to be sent back.
    """
    match = _TWIN_REQUEST.fullmatch(topic)
    if match is None:
        return None
    if len(match["rid"]) > _MAX_RID:
        raise Foreign("a $rid that is too long")
    return match["what"], match["rid"]


def events_bag(device_id: str, topic: str) -> str | None:
    """The property bag of a telemetry topic; None if the topic is another."""
    prefix = f"devices/{device_id}/messages/events/"
    if topic.startswith(prefix):
        return topic[len(prefix) :]
    return "" if topic + "/" == prefix else None
