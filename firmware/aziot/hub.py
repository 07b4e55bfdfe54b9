"""IoT Hub's words over MQTT: user name, token resource, and the topics of both directions. No I/O.

    CONNECT    user name {hub}/{device_id}/?api-version=2021-04-12
    SUBSCRIBE  each of FILTERS
    -> devices/{device_id}/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8&site=north
    <- devices/{device_id}/messages/devicebound/%24.mid=7&colour=red&urgent
    <- $iothub/methods/POST/reboot/?$rid=a1                       {"in_s": 5}
    -> $iothub/methods/res/200/?$rid=a1                           {"ok": true}
    -> $iothub/twin/GET/?$rid=1
    <- $iothub/twin/res/200/?$rid=1                 {"desired": {"$version": 4}, "reported": {}}
    -> $iothub/twin/PATCH/properties/reported/?$rid=2             {"led": "on"}
    <- $iothub/twin/res/204/?$rid=2&$version=9
    <- $iothub/twin/PATCH/properties/desired/?$version=5          {"led": "off", "$version": 5}

(protocol.md 6; azure/iot-hub/iot-hub-mqtt-support). Unlike DPS, a hub refuses in CONNACK.
"""

from binascii import unhexlify

from .quote import quote

# To a device of any name, as azure-sdk-for-c does: the link takes no filter above 122 bytes.
FILTERS = (
    "$iothub/twin/res/#",
    "$iothub/twin/PATCH/properties/desired/#",
    "$iothub/methods/POST/#",
    "devices/+/messages/devicebound/#",
)


def username(hub: str, device_id: str, model_id: str | None = None) -> str:
    """Return MQTT's user name for a hub; device_id goes in as it is, model_id percent-encoded."""
    text = "%s/%s/?api-version=2021-04-12" % (hub, device_id)
    return text + "&model-id=" + quote(model_id) if model_id else text


def resource(hub: str, device_id: str) -> str:
    """Return what a device's SAS token for a hub is for; it has no policy."""
    return "%s/devices/%s" % (hub, device_id)


def bag(properties: tuple | list) -> str:
    """Return the end of a topic for telemetry; properties: a sequence of (name, value).

    Names that begin with "$." are the system's own (protocol.md 6.2).
    """
    return "&".join([quote(name) + "=" + quote(str(value)) for name, value in properties])


def parse(topic: bytes) -> tuple:
    """Return what a topic of FILTERS says:

    ("message", properties, ""): to the device; a property without "=" is None (protocol.md 6.3)
    ("method", name, request id): to be answered with the id as it is
    ("twin", status, request id): an answer to us
    ("desired", 0, ""): a patch of them
    ("", 0, ""): it makes no sense
    """
    try:
        _, _, verb, name, rest = str(topic, "utf-8").split("/", 4)
        rid = rest.partition("$rid=")[2].partition("&")[0]
        if verb == "POST":
            return "method", _unquote(name), rid
        if verb == "res":
            return "twin", int(name), rid
        if verb == "PATCH":
            return "desired", 0, ""
        if name == "devicebound":  # the last: a method may have that name
            found = {}
            for field in rest.split("&"):
                name, sign, value = field.partition("=")
                found[_unquote(name)] = _unquote(value) if sign else None
            found.pop("", None)
            return "message", found, ""
    except ValueError:  # too few levels, no number, no hexadecimal digits, no UTF-8
        pass
    return "", 0, ""


def _unquote(text: str) -> str:
    head, *rest = text.encode().split(b"%")
    for part in rest:
        head += unhexlify(part[:2] or b"%") + part[2:]
    return head.decode()
