"""Direct methods: a call's parts and their check, and the calls that wait for their answers.

No I/O, no clock: who waits, and how long, is http/methods.py's. Facts: protocol.md 6.4,
iot-hub-devguide-direct-methods:

    -> $iothub/methods/POST/reboot/?$rid=1      {"in_s": 5}
    <- $iothub/methods/res/200/?$rid=1          {"ok": true}
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from ..answers import Json, Refusal, parse_json

MAX_PAYLOAD_BYTES = 128 * 1024
DEFAULT_RESPONSE_S = 30
_MAX_WAITING = 10_000
_MIN_RESPONSE_S, _MAX_TIMEOUT_S = 5, 300
# "US-ASCII printable alphanumeric", but for these and space; it becomes a level of a topic.
_NAME = re.compile(r"""[^\x00-\x20\x7f-\U0010ffff$()<>@,;:\\"/\[\]?={}+#]{1,100}""")
_ANSWER = re.compile(r"\$iothub/methods/res/(-?\d{1,9})/\?\$rid=([^&]*)(&.*)?")
OnAnswer: TypeAlias = Callable[[int, bytes], None]


@dataclass(frozen=True)
class MethodCall:
    """A call as the service asked for it. payload: JSON, as bytes; empty for none."""

    name: str
    payload: bytes
    response_timeout_s: int = DEFAULT_RESPONSE_S
    connect_timeout_s: int = 0


def read_call(document: Json) -> MethodCall:
    """A call from the body of POST /twins/{id}/methods; raise Refusal 400 or 413."""
    name = document.get("methodName")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Refusal(400, 400004, "methodName is missing or invalid.")
    payload = b""
    if document.get("payload") is not None:
        payload = written(document["payload"])
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Refusal(413, 413001, "The payload is larger than 128 KB.")
    return MethodCall(
        name,
        payload,
        _seconds(document, "responseTimeoutInSeconds", DEFAULT_RESPONSE_S, _MIN_RESPONSE_S),
        _seconds(document, "connectTimeoutInSeconds", 0, 0),
    )


def read_answer(topic: str) -> tuple[int, str] | None:
    """(status, rid) of the topic that a device answers to; None if it is another."""
    match = _ANSWER.fullmatch(topic)
    return (int(match[1]), match[2]) if match else None


def read_payload(body: bytes) -> Any:
    """What a device answered: JSON, or None for nothing; raise Refusal 502 if it is neither."""
    if not body.strip():
        return None
    try:
        return parse_json(body)
    except Refusal:
        raise Refusal(502, 502000, "The device's answer is not JSON.") from None


def written(document: Any) -> bytes:
    """JSON, as a device gets it: UTF-8, so that limits and buffers count the same bytes."""
    try:
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a pair of surrogates can only be escaped
        return json.dumps(document, separators=(",", ":")).encode()


def topic(name: str, rid: str) -> str:
    """Where a device gets a call."""
    return f"$iothub/methods/POST/{name}/?$rid={rid}"


class Calls:
    """The calls of one hub that wait for their answers."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, OnAnswer]] = {}
        self._hopeful: dict[str, list[Callable[[], None]]] = {}
        self._last = 0

    def begin(self, device_id: str, on_answer: OnAnswer) -> str:
        """A call is about to be sent; its rid. Raise Refusal 429 if too many wait."""
        if len(self._waiting) >= _MAX_WAITING:
            raise Refusal(429, 429001, "Too many direct methods wait for their answers.")
        self._last += 1
        rid = f"{self._last:x}"
        self._waiting[rid] = device_id, on_answer
        return rid

    def answered(self, device_id: str, rid: str, status: int, body: bytes) -> bool:
        """The device answered; whether anybody waited for it."""
        waiting = self._waiting.get(rid)
        if waiting is None or waiting[0] != device_id:
            return False
        del self._waiting[rid]
        waiting[1](status, body)
        return True

    def forget(self, rid: str) -> None:
        """Nobody waits any more."""
        self._waiting.pop(rid, None)

    def on_subscribed(self, device_id: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Call wake, once, when the device next subscribes; returns what undoes it."""
        self._hopeful.setdefault(device_id, []).append(wake)
        return partial(self._undo, device_id, wake)

    def subscribed(self, device_id: str) -> None:
        """The device subscribed to methods."""
        for wake in self._hopeful.pop(device_id, []):
            wake()

    def _undo(self, device_id: str, wake: Callable[[], None]) -> None:
        hopeful = self._hopeful.get(device_id, [])
        if wake in hopeful:
            hopeful.remove(wake)
        if not hopeful:
            self._hopeful.pop(device_id, None)


def not_online() -> Refusal:
    """Nobody to take a call (iot-hub-troubleshoot-error-404103-devicenotonline)."""
    return Refusal(404, 404103, "Timed out waiting for device to connect.")


def _seconds(document: Json, name: str, default: int, least: int) -> int:
    value = document.get(name)
    if value is None:
        return default
    # 0 is what SDKs send for "not set" (azure-iothub).
    if value == 0 and type(value) is int:
        return default
    if type(value) is not int or not least <= value <= _MAX_TIMEOUT_S:
        raise Refusal(400, 400004, f"{name} must be from {least} to {_MAX_TIMEOUT_S}.")
    return value
