"""What IoT Hub says when it refuses a REST call.

No I/O. Unlike DPS, a hub puts the name of the error and its text into one string, which the Node
SDK takes apart at the colon and the semicolon, and names the error in a header as well:

    iothub-errorcode: DeviceNotFound
    {"Message": "ErrorCode:DeviceNotFound;Device dev-1 is not registered.",
     "ExceptionMessage": "Tracking ID:3b1c...-G:0-TimeStamp:11/22/2026 08:00:00"}

A direct method that comes to nothing is told otherwise, with an object in the string
(Azure/iotedge#98, azure-iot-sdk-java#640):

    {"Message": "{\\"errorCode\\":404103,\\"trackingId\\":\\"2ce0...-G:0-TimeStamp:...\\",
     \\"message\\":\\"Timed out waiting for device to connect.\\",
     \\"info\\":{\\"timeout\\":\\"00:00:00\\"},\\"timestampUtc\\":\\"2018-08-24T17:49:33.2011570Z\\"}",
     "ExceptionMessage": ""}

Codes and names: azure/iot-hub/iot-hub-troubleshoot-error-codes; ErrorCode in
Azure/azure-iot-sdk-csharp.
"""

import json
from datetime import UTC, datetime, timedelta

from ..answers import Answer, Json, RandomBytes, Refusal, guid, timestamp

NAMES = {
    400000: "GenericBadRequest",
    400001: "InvalidProtocolVersion",
    400003: "InvalidOperation",
    400004: "ArgumentInvalid",
    400006: "IotHubFormatError",
    400013: "BulkRegistryOperationFailure",
    400027: "ConnectionForcefullyClosedOnNewConnection",
    401002: "IotHubUnauthorizedAccess",
    401003: "IotHubUnauthorized",
    403002: "IotHubQuotaExceeded",
    403004: "DeviceMaximumQueueDepthExceeded",
    404000: "GenericNotFound",
    404001: "DeviceNotFound",
    404010: "ModuleNotFound",
    404103: "DeviceNotOnline",
    405000: "GenericMethodNotAllowed",
    409001: "DeviceAlreadyExists",
    409203: "PreconditionFailed",
    412001: "PreconditionFailed",
    412002: "DeviceMessageLockLost",
    413001: "MessageTooLarge",
    413002: "TooManyDevices",
    415001: "IncompatibleDataType",
    429001: "ThrottlingException",
    500001: "ServerError",
    501000: "GenericNotImplemented",
    504101: "GatewayTimeout",
}


def name_of(code: int) -> str:
    """The error's name; that of its class of errors for a code that has none here."""
    return NAMES.get(code) or NAMES.get(code // 1000 * 1000) or "GenericServerError"


def refused(refusal: Refusal, now_at: float, random_bytes: RandomBytes) -> Answer:
    """The refusal as a hub answers it, with a tracking id of its own."""
    document = {
        "Message": f"ErrorCode:{name_of(refusal.code)};{refusal}",
        "ExceptionMessage": f"Tracking ID:{_tracking_id(now_at, random_bytes)}",
    }
    return _answer(refusal, document)


def refused_method(
    refusal: Refusal, now_at: float, random_bytes: RandomBytes, waited_s: int | None = None
) -> Answer:
    """The same for a direct method that was not carried out. waited_s: the time that is up."""
    told: Json = {
        "errorCode": refusal.code,
        "trackingId": _tracking_id(now_at, random_bytes),
        "message": str(refusal),
    }
    if waited_s is not None:
        told["info"] = {"timeout": f"{timedelta(seconds=waited_s)!s:0>8}"}
    told["timestampUtc"] = timestamp(now_at)
    text = json.dumps(told, separators=(",", ":"))
    return _answer(refusal, {"Message": text, "ExceptionMessage": ""})


def _tracking_id(now_at: float, random_bytes: RandomBytes) -> str:
    at = datetime.fromtimestamp(int(now_at), UTC)
    return f"{guid(random_bytes).replace('-', '')}-G:0-TimeStamp:{at:%m/%d/%Y %H:%M:%S}"


def _answer(refusal: Refusal, document: Json) -> Answer:
    name = name_of(refusal.code)
    note = f"{refusal.status} {name} {refusal.why}"
    headers = {"iothub-errorcode": name}
    return Answer(refusal.status, document, note, refusal.retry_after_s, headers)


def unknown_device(device_id: str) -> Refusal:
    """404001. The id is shown: it came from the caller."""
    return Refusal(404, 404001, f"Device {device_id} is not registered.", why="unknown device")
