"""IoT Hub's words over MQTT: user name, token resource, telemetry topic. No I/O.

    CONNECT  user name {hub}/{device_id}/?api-version=2021-04-12
    PUBLISH  devices/{device_id}/messages/events/$.ct=application%2Fjson&$.ce=utf-8&site=north

(protocol.md 6; azure/iot-hub/iot-hub-mqtt-support). Unlike DPS, a hub refuses in CONNACK.
"""

from .sas import quote

API_VERSION = "2021-04-12"

# System properties that make a hub treat the body as JSON text, for routing (protocol.md 6.2).
JSON = (("$.ct", "application/json"), ("$.ce", "utf-8"))


def username(hub: str, device_id: str, model_id: str | None = None) -> str:
    """Return MQTT's user name for a hub; device_id goes in as it is, model_id percent-encoded."""
    text = "%s/%s/?api-version=%s" % (hub, device_id, API_VERSION)
    return text + "&model-id=" + quote(model_id) if model_id else text


def resource(hub: str, device_id: str) -> str:
    """Return what a device's SAS token for a hub is for; it has no policy."""
    return "%s/devices/%s" % (hub, device_id)


def telemetry_topic(device_id: str, properties: tuple | list = ()) -> str:
    """Return the topic for one message; properties is a sequence of (name, value) texts.

    Names that begin with "$." are the system's own and keep their "$" (protocol.md 6.2).
    """
    bag = []
    for name, value in properties:
        mark = "$" if name[:2] == "$." else ""
        bag.append(mark + quote(name[len(mark) :]) + "=" + quote(value))
    return "devices/%s/messages/events/%s" % (device_id, "&".join(bag))
