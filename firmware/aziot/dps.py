"""A registration with the Device Provisioning Service: the words, not the talking. No I/O.

The exchange, topic and body (protocol.md 2; azure/iot-dps/iot-mqtt-connect-to-iot-dps):

    -> $dps/registrations/PUT/iotdps-register/?$rid=1            {"registrationId": "dev-1"}
    <- $dps/registrations/res/202/?$rid=1&retry-after=3          {"operationId": "5.x", "status": "assigning"}
       ... three seconds later ...
    -> $dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=5.x
    <- $dps/registrations/res/200/?$rid=2                        {"status": "assigned", "registrationState":
                                                                   {"assignedHub": "...", "deviceId": "..."}}
    or, instead of either answer:
    <- $dps/registrations/res/401/?$rid=1                        {"errorCode": 401002, "trackingId": "..."}

A wrong key is told in such an answer, not in CONNACK (protocol.md 2.7). A certificate is asked for
with "csr" in the first body, and comes as "issuedCertificateChain", leaf first, in the last.
"""  # noqa: E501

import json

from ._const import const
from .errors import ProtocolError, ServiceError
from .quote import quote

_TYPING = const(0)
if _TYPING:
    from typing import Any

API_VERSION = "2019-03-31"
RESPONSES = "$dps/registrations/res/#"
POLICY = "registration"

_ISSUES = const("2025-07-01-preview")
_PREFIX = const("$dps/registrations/res/")
_REGISTER = const("$dps/registrations/PUT/iotdps-register/?$rid=%d")
_POLL = const("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=%d&operationId=%s")
_DEFAULT_DELAY_S = const(3)  # where the service names none: FreeRTOS middleware's 3 s
_MAX_DELAY_S = const(300)  # azure-iot-sdk-c clamps to [1, 300]
_MAX_TEXT = const(256)  # of a service's message; the rest is cut off


def username(id_scope: str, registration_id: str, csr: "str | None" = None) -> str:
    """Return MQTT's user name for DPS; there is no '?' in it, the hub's has one.

    csr: of a Registration: the version that knows it is asked for.
    """
    version = _ISSUES if csr else API_VERSION
    return resource(id_scope, registration_id) + "/api-version=" + version


def resource(id_scope: str, registration_id: str) -> str:
    """Return what a SAS token for DPS is for; its policy is POLICY."""
    return "%s/registrations/%s" % (id_scope, registration_id)


class Registration:
    """One device's registration, from the first request to its assignment.

    A value: keep registration_id, payload and operation_id, and it goes on from there. Send what
    request() gives; hand every message to receive(); when that returns True, wait delay_s and
    send the next request, until assignment is set: (hub, device_id, substatus or None, payload
    that custom allocation sent back or None, what was issued for csr or None, unchecked).
    csr: base64 of a PKCS #10 request for a certificate.
    """

    def __init__(
        self,
        registration_id: str,
        payload: dict | None = None,
        operation_id: str | None = None,
        csr: str | None = None,
    ) -> None:
        self.registration_id = registration_id
        self.payload = payload
        self.operation_id = operation_id
        self.csr = csr
        self.assignment: tuple | None = None
        self.delay_s = 0
        self._rid = 0
        self._waiting = False

    def request(self) -> tuple[str, bytes]:
        """Return the (topic, payload) to publish next: the registration, or a poll of it."""
        self._rid += 1
        self._waiting = True
        if self.operation_id:
            return _POLL % (self._rid, quote(self.operation_id)), b""
        body: dict = {"registrationId": self.registration_id}
        if self.payload is not None:
            body["payload"] = self.payload
        if self.csr:
            body["csr"] = self.csr
        return _REGISTER % self._rid, json.dumps(body).encode()

    def receive(self, topic: str, payload: bytes) -> bool:
        """Take one message; False if it does not answer our last request.

        Else sets delay_s or assignment. Raises ServiceError, or ProtocolError for an answer
        that makes no sense; the next request() is right after either.
        """
        if not topic.startswith(_PREFIX):
            return False
        status, _, query = topic[len(_PREFIX) :].partition("/")
        fields = _query(query)
        if not self._waiting or fields.get("$rid") != str(self._rid):
            return False
        self._waiting = False
        if not status.isdigit():
            raise ProtocolError("DPS gave no status")
        retry_after_s = _seconds(fields.get("retry-after"))
        if int(status) >= 300:
            self._refused(int(status), retry_after_s, payload)
        self._accepted(int(status), retry_after_s, _object(payload))
        return True

    def _accepted(self, status: int, retry_after_s: int | None, body: dict) -> None:
        state = _field(body, "registrationState", dict) or {}
        progress = body.get("status")
        operation_id, self.operation_id = self.operation_id, None
        if progress in ("assigning", "unassigned"):
            self.operation_id = _field(body, "operationId") or operation_id
            if not self.operation_id:
                raise ProtocolError("DPS gave no operationId")
            self.delay_s = _DEFAULT_DELAY_S if retry_after_s is None else retry_after_s
        elif progress == "assigned":
            self.assignment = _assignment(state)
        elif progress in ("failed", "disabled"):
            reason = _field(state, "errorMessage") or progress
            raise ServiceError("DPS: " + reason, status, _field(state, "errorCode", int))
        else:
            raise ProtocolError("DPS gave an odd status")

    def _refused(self, status: int, retry_after_s: int | None, payload: bytes) -> None:
        try:
            body = _object(payload)
        except ProtocolError:
            body = {}
        gone = status in (404, 409) and self.operation_id is not None
        if status < 500 and status != 429:  # nothing will come of the operation: register anew
            self.operation_id = None
        raise ServiceError(
            "DPS: " + (_field(body, "message") or "refused"),
            status,
            _field(body, "errorCode", int),
            _field(body, "trackingId"),
            retry_after_s,
            gone or status in (409, 429) or status >= 500,
        )


def _query(text: str) -> dict[str, str]:
    """Parse "?$rid=1&retry-after=3", in any order, with names in any case."""
    fields = {}
    for field in text[1:].split("&") if text[:1] == "?" else []:
        name, _, value = field.partition("=")
        fields[name.lower()] = value
    return fields


def _seconds(text: str | None) -> int | None:
    """Return a retry-after within what we would wait; None if there is none to be read."""
    if not text or not text.isdigit() or len(text) > 9:
        return None
    return max(1, min(int(text), _MAX_DELAY_S))


def _object(payload: bytes) -> dict:
    try:
        body = json.loads(payload)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ProtocolError("DPS gave no JSON object")
    return body


def _field(body: dict, name: str, kind: type = str) -> "Any":
    """Return a field if it is there, of its kind and not empty; text cut, and made printable."""
    value = body.get(name)
    if not isinstance(value, kind) or value == "":
        return None
    return repr(value[:_MAX_TEXT])[1:-1] if isinstance(value, str) else value


def _assignment(state: dict) -> tuple:
    """Return the assignment, its names fit to go into a user name and a topic as they are."""
    hub, device_id = state.get("assignedHub"), state.get("deviceId")
    for name in (hub, device_id):
        if not isinstance(name, str) or not 1 <= len(name) <= 253:
            raise ProtocolError("DPS gave no hub or device")
        for b in name.encode():
            if b <= 32 or b >= 127 or b in b'/"<>\\&':
                raise ProtocolError("DPS gave an odd name")
    issued = state.get("issuedCertificateChain")
    return hub, device_id, _field(state, "substatus"), state.get("payload"), issued
