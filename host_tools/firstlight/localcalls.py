"""Calls to a local Azure that runs as another process: found by the folder that it writes.

One request a call, over TLS verified by the folder's own root, bounded in time and size. Its calls
need no token; nothing here holds a secret.
"""

import http.client
import json
import ssl
import time
from pathlib import Path
from typing import Any

from .errors import ServiceError, UsageError

_TIMEOUT_S = 10
_MAX_BYTES = 4 << 20


class LocalCalls:
    """The calls. folder: where root.pem and info.json are. Raises UsageError if they are not."""

    def __init__(self, folder: Path) -> None:
        try:
            info = json.loads((folder / "info.json").read_bytes()[:_MAX_BYTES])
            self._address = str(info["host"]), int(info["https_port"])
            self._tls = ssl.create_default_context(cafile=str(folder / "root.pem"))
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(
                f"{folder} is not the folder of a local Azure, with root.pem and info.json in it; "
                "firstlight emulate writes it, and --folder names another"
            ) from None

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return an answer's JSON, None if there is none; raise ServiceError for a refusal."""
        where = f"{self._address[0]}:{self._address[1]}"
        raw = None if body is None else json.dumps(body).encode()
        try:
            status, said = self._asked(method, path, raw)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            why = str(error) or type(error).__name__
            raise ServiceError(f"the local Azure at {where} did not answer: {why}") from None
        return _taken(status, said, f"{method} {path}")

    def _asked(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(
            *self._address, timeout=_TIMEOUT_S, context=self._tls
        )
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, _read(answer)
        finally:
            connection.close()


def _read(answer: http.client.HTTPResponse) -> bytes:
    """The whole body; raise OSError if it takes too long or is too long."""
    until = time.monotonic() + _TIMEOUT_S
    found = bytearray()
    while piece := answer.read1(65536):
        found += piece
        if len(found) > _MAX_BYTES:
            raise OSError(f"it says more than {_MAX_BYTES >> 20} MB")
        if time.monotonic() > until:
            raise TimeoutError("timed out")
    return bytes(found)


def _taken(status: int, raw: bytes, what: str) -> Any:
    try:
        body = json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        raise ServiceError(f"{what}: the answer, {status}, is not JSON", status) from None
    if status == 400 and isinstance(body, dict):
        raise UsageError(str(body.get("message", "refused"))[:1000])
    if status >= 300:
        told = body.get("message", "") if isinstance(body, dict) else ""
        raise ServiceError(f"{what}: {status} {str(told)[:1000]}".rstrip(), status)
    return body
