"""A hub's device API over HTTPS: telemetry in, messages to the device out.

Pure logic: a call in, an Answer out. A device shows its own token, or no token and a certificate;
a policy with DeviceConnect may speak for any. There are no twins and no direct methods over
HTTPS, as at Azure.

    POST   /devices/{id}/messages/events                               telemetry
    GET    /devices/{id}/messages/deviceBound                          the next message, or 204
    DELETE /devices/{id}/messages/deviceBound/{lock}[?reject]          done with it, or refused
    POST   /devices/{id}/messages/deviceBound/{lock}/abandon           not now

Paths, headers and bodies: azure-iot-device-http 1.14 (npm), Azure/azure-iot-sdk-c
(iothubtransporthttp.c), protocol.md 6.7.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from .. import sas
from ..answers import Answer, RandomBytes, Refusal, parse_json
from ..policies import DEVICE_CONNECT, Policies, covers
from ..rest import Call
from . import headers
from .hub import Hub
from .proving import NotProven, prove
from .refusals import refused, unknown_device
from .registry import Device
from .telemetry import MAX_MESSAGE_BYTES, Message

_BATCH_TYPE = "application/vnd.microsoft.iothub.json"
_BYTES = "application/octet-stream"
_MAX_BATCH = 500
Heard = Callable[[Message], None]


class DeviceApi:
    """One hub's. names: the host names that a token may be for, in lower case.

    heard: told of each message that the hub took. service: answers what is not a device's to call.
    """

    def __init__(
        self,
        hub: Hub,
        policies: Policies,
        names: Callable[[], frozenset[str]],
        random_bytes: RandomBytes,
        heard: Heard = lambda _: None,
        service: Callable[[Call, float], Answer] | None = None,
    ) -> None:
        self._hub = hub
        self._policies = policies
        self._names = names
        self._random_bytes = random_bytes
        self._heard = heard
        self._service = service

    def handle(self, call: Call, now_at: float) -> Answer:
        """Answer a call; a refusal is an Answer too."""
        # The lock of a message is its ETag, which some send back with its quotes.
        parts = [part.strip('"') for part in call.path.strip("/").split("/")]
        kind = "/".join([call.method, *(part.lower() for part in parts[2:4]), *parts[5:]])
        if self._service is not None and kind == "POST/messages/devicebound" and len(parts) == 4:
            return self._service(call, now_at)
        try:
            return self._answer(call, now_at, kind, parts)
        except Refusal as refusal:
            return refused(refusal, now_at, self._random_bytes)

    def _answer(self, call: Call, now_at: float, kind: str, parts: list[str]) -> Answer:
        answers: dict[tuple[str, int], Callable[[], Answer]] = {
            ("POST/messages/events", 4): lambda: self._take(call, now_at, parts[1]),
            ("GET/messages/devicebound", 4): lambda: self._next(now_at, parts[1]),
            ("DELETE/messages/devicebound", 5): lambda: self._end(
                call, now_at, parts[1], parts[4]
            ),
            ("POST/messages/devicebound/abandon", 6): lambda: self._abandon(now_at, *parts[1:5:3]),
        }
        answer = answers.get((kind, len(parts)))
        if parts[0].lower() != "devices" or answer is None:
            raise Refusal(404, 404000, "There is no such call for a device.")
        self._authenticate(call, now_at, parts[1])
        return answer()

    def _authenticate(self, call: Call, now_at: float, device_id: str) -> None:
        authorization = call.headers.get("authorization", "")
        if authorization or not call.chain:
            self._judge_token(authorization, now_at, device_id)
        else:
            self._judge_chain(call, now_at, device_id)
        if not call.query.get("api-version"):
            raise Refusal(400, 400001, "The api-version is missing.")

    def _judge_token(self, authorization: str, now_at: float, device_id: str) -> None:
        try:
            token = sas.parse(authorization)
        except sas.BadToken as bad:
            raise _unauthorized(str(bad)) from None
        path = f"devices/{device_id}"
        if token.key_name:
            self._policies.judge(token, self._names(), DEVICE_CONNECT, now_at, path)
        device = self._hub.registry.get(device_id)
        if not token.key_name:
            self._check_resource(token, path)
        elif device is None:
            raise unknown_device(device_id)
        _check_device(device, None if token.key_name else token)
        if token.expires_at <= now_at:
            raise _unauthorized("the token has expired")

    def _judge_chain(self, call: Call, now_at: float, device_id: str) -> None:
        device = self._hub.registry.get(device_id)
        if device is not None:
            rules, trust = self._hub.rules, self._hub.trust
            try:
                prove(device, call.chain, trust, now_at, rules.thumbprint_times)
            except NotProven as not_proven:
                raise _unauthorized(str(not_proven)) from None
        _check_device(device, None)

    def _check_resource(self, token: sas.Token, path: str) -> None:
        # Its own, or a part of it: some sign .../messages/events.
        host, _, part = token.resource.partition("/")
        own = any(f"{some.strip('/')}/".startswith(f"{path}/") for some in (part, unquote(part)))
        if not own or not covers(host, self._names(), path):
            raise _unauthorized("the token is for another sr")

    def _take(self, call: Call, now_at: float, device_id: str) -> Answer:
        is_batch = call.headers.get("content-type", "").startswith(_BATCH_TYPE)
        parts = _batch(call) if is_batch else [(call.body, *headers.read_properties(call.headers))]
        if sum(_size(*part) for part in parts) > MAX_MESSAGE_BYTES:
            raise Refusal(413, 413001, "A message or a batch holds at most 256 KB.")
        for body, application, system in parts:
            self._heard(self._hub.accept(device_id, body, application, system, now_at))
        return Answer(204, None, f"{len(parts)} messages of {device_id}")

    def _next(self, now_at: float, device_id: str) -> Answer:
        message = self._hub.lock_message(device_id, now_at)
        if message is None:
            return Answer(204, None, f"no message to {device_id}")
        found = headers.written_c2d(message, device_id)
        note = f"message to {device_id} read"
        return Answer(200, None, note, headers=found, raw=message.body, content_type=_BYTES)

    def _end(self, call: Call, now_at: float, device_id: str, lock_token: str) -> Answer:
        if "reject" in call.query:
            self._hub.reject(device_id, lock_token, now_at)
            return Answer(204, None, f"message to {device_id} rejected")
        self._hub.complete(device_id, lock_token, now_at)
        return Answer(204, None, f"message to {device_id} completed")

    def _abandon(self, now_at: float, device_id: str, lock_token: str) -> Answer:
        self._hub.abandon(device_id, lock_token, now_at)
        return Answer(204, None, f"message to {device_id} abandoned")


def _unauthorized(why: str) -> Refusal:
    return Refusal(401, 401002, "Unauthorized", why=why)


def _check_device(device: Device | None, token: sas.Token | None) -> None:
    """token: the device's own; None where a policy or a certificate speaks for it."""
    if device is None:
        raise _unauthorized("unknown device")
    if not device.enabled:
        raise _unauthorized("the device is disabled")
    if token is None:
        return
    if device.auth != "sas" or not any(token.is_signed_by(key) for key in device.keys):
        raise _unauthorized("wrong key")


def _batch(call: Call) -> list[tuple[bytes, dict[str, str], dict[str, str]]]:
    items = parse_json(call.body)
    if not isinstance(items, list) or not 1 <= len(items) <= _MAX_BATCH:
        raise Refusal(400, 400004, f"A batch is a JSON array of 1 to {_MAX_BATCH} messages.")
    return [_message(item) for item in items]


def _message(item: Any) -> tuple[bytes, dict[str, str], dict[str, str]]:
    """body: base64, but for base64Encoded: false; properties: as headers are called."""
    body, bag = (
        (item.get("body"), item.get("properties")) if isinstance(item, dict) else (None, None)
    )
    if not isinstance(body, str) or not isinstance(bag, dict | None):
        raise Refusal(400, 400004, "A message of the batch has no body, or properties are wrong.")
    properties = bag or {}
    if not all(isinstance(value, str) for value in properties.values()):
        raise Refusal(400, 400004, "A property of the batch is not a text.")
    lowered = {_lowered(name): value for name, value in properties.items()}
    return _body(body, item.get("base64Encoded") is not False), *headers.read_properties(lowered)


def _lowered(name: str) -> str:
    # As HTTP does with a header's name, but an application's property keeps its own case.
    prefix = "iothub-app-"
    return name if name.lower().startswith(prefix) else name.lower()


def _body(text: str, is_base64: bool) -> bytes:
    if not is_base64:
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise Refusal(400, 400004, "A body of the batch is not base64.") from None


def _size(body: bytes, *bags: dict[str, str]) -> int:
    return len(body) + sum(
        len(f"{name}{value}".encode("utf-8", "replace"))
        for bag in bags
        for name, value in bag.items()
    )
