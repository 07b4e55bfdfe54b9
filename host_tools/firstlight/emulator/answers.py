"""What the services say: answers, error bodies, timestamps, etags, ids, in Azure's own forms.

Pure: the time and the random bytes come in as arguments.
"""

import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

Json = dict[str, Any]
RandomBytes = Callable[[int], bytes]
_MAX_DEPTH = 64


@dataclass(frozen=True)
class Answer:
    """status: HTTP's numbers; document: None for no body; note: what happened, for the log.

    raw: a body that is not JSON, instead of a document; content_type: its kind, JSON if None.
    """

    status: int
    document: Any = None
    note: str = ""
    retry_after_s: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str | None = None

    @property
    def body(self) -> bytes:
        """What the answer carries: raw, or the document as JSON, or nothing."""
        if self.raw is not None:
            return self.raw
        if self.document is None:
            return b""
        return _encode(self.document).encode()


class Refusal(Exception):
    """The service says no. status: HTTP's numbers; code: Azure's errorCode (protocol.md 2.6).

    The text is the `message` that the client is shown; info: what else it is told, by name; why:
    what only the log says.
    """

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        why: str = "",
        retry_after_s: int | None = None,
        info: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.why = why or message
        self.retry_after_s = retry_after_s
        self.info = info

    def answer(self, now_at: float, random_bytes: RandomBytes) -> Answer:
        """The error body of protocol.md 2.3, with a tracking id of its own."""
        document: Json = {
            "errorCode": self.code,
            "trackingId": guid(random_bytes),
            "message": str(self),
            "timestampUtc": timestamp(now_at),
        }
        if self.info is not None:
            document["info"] = self.info
        headers = {"x-ms-error-code": str(self.code)}
        note = f"{self.status} {self.code} {self.why}"
        return Answer(self.status, document, note, self.retry_after_s, headers)


def parse_object(raw: bytes) -> Json:
    """A JSON object from a client's bytes; empty for a blank body. Raise Refusal 400 otherwise."""
    if not raw.strip():
        return {}
    document = parse_json(raw)
    if not isinstance(document, dict):
        raise Refusal(400, 400000, "The body is not a JSON object.")
    return document


def parse_json(raw: bytes) -> Any:
    """Any JSON from a client's bytes, its numbers finite, 64 levels at most; raise Refusal 400."""
    try:
        document = _decode(raw.decode(json.detect_encoding(raw), "surrogatepass"))
    except (ValueError, RecursionError):
        raise Refusal(400, 400000, "The body is not JSON.") from None
    if raw.count(b"{") + raw.count(b"[") > _MAX_DEPTH and _is_deep(document):
        raise Refusal(400, 400000, f"The body is deeper than {_MAX_DEPTH} levels.")
    return document


def object_in(document: Json, name: str, code: int = 400000) -> Json:
    """The object that a document has under a name, empty if absent; raise Refusal 400 if other."""
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refusal(400, code, f"Invalid {name}: must be an object.")
    return value


def _is_deep(document: Any) -> bool:
    """Whether it is too deep to be written again from wherever that will be."""
    level: list[Any] = [[document]]
    for _ in range(_MAX_DEPTH + 1):
        values = (one.values() if isinstance(one, dict) else one for one in level)
        level = [value for some in values for value in some if isinstance(value, dict | list)]
    return bool(level)


def _number(text: str) -> float:
    value = float(text)
    return value if abs(value) < float("inf") else _no_number(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} cannot be written as JSON")


# Made once: dumps and loads make one at each call that wants anything but their defaults.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder(parse_constant=_no_number, parse_float=_number).decode


def timestamp(at: float) -> str:
    """Unix seconds as DPS writes them: UTC, seven digits of a second, Z."""
    ticks = round(at * 10_000_000)
    return f"{_second(ticks // 10_000_000)}.{ticks % 10_000_000:07d}Z"


@lru_cache(maxsize=64)
def _second(whole: int) -> str:
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}"


def guid(random_bytes: RandomBytes) -> str:
    return str(uuid.UUID(bytes=random_bytes(16), version=4))


def operation_id(random_bytes: RandomBytes) -> str:
    """An id such as 5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550."""
    return f"5.{random_bytes(8).hex()}.{guid(random_bytes)}"


def etag(now_at: float, random_bytes: RandomBytes) -> str:
    """A new etag; its base64 decodes to a quoted, guid-like string."""
    text = f'"{random_bytes(4).hex()}-0000-0300-0000-{int(now_at) & 0xFFFFFFFF:08x}0000"'
    return base64.b64encode(text.encode()).decode()
