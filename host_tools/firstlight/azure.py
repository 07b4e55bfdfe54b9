"""The DPS service REST API, as much as enrolling needs: at Azure, or at the local one.

One request a call, bounded in time and size, over verified TLS. Keys and the connection string
stay out of every error (azure/iot-dps, service.json 2021-10-01; protocol.md 7).
"""

import asyncio
import json
import re
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import aiohttp
import certifi

from . import keys
from .errors import ServiceError, UsageError

API_VERSION = "2021-10-01"
Kind = Literal["enrollments", "enrollmentGroups"]
Json = dict[str, Any]
_TOKEN_S = 600
_TIMEOUT_S = 30
_MAX_BYTES = 1 << 20
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL}){{0,9}}(:(?P<port>[0-9]{{1,5}}))?")
_POLICY = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, repr=False)
class Connection:
    """A service's connection string, taken apart. Has no repr: it holds a key."""

    host: str
    policy: str
    key_b64: str


def parse_connection(text: str) -> Connection:
    """Take a connection string apart; raise UsageError that says what is missing."""
    fields = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    for name in ("HostName", "SharedAccessKeyName", "SharedAccessKey"):
        if not fields.get(name):
            raise UsageError(
                f"the connection string has no {name}; it is the one of the DPS instance, in the "
                "portal under Shared access policies: HostName=...;SharedAccessKeyName=...;..."
            )
    host = _HOST.fullmatch(fields["HostName"])
    if host is None or not 1 <= int(host["port"] or 443) <= 65535:
        raise UsageError("the connection string's HostName is not a host name")
    if not _POLICY.fullmatch(fields["SharedAccessKeyName"]):
        raise UsageError("the connection string's SharedAccessKeyName is not the name of a policy")
    key = keys.checked(fields["SharedAccessKey"], "the connection string's SharedAccessKey")
    return Connection(fields["HostName"], fields["SharedAccessKeyName"], key)


class Service:
    """A DPS instance's enrollments. root_pem: trusted instead of certifi's roots, for a local one.

    Raises ServiceError for a refusal, with status, code and tracking id, and for no answer.
    """

    def __init__(self, connection: Connection, root_pem: Path | None = None) -> None:
        self._connection = connection
        try:
            self._tls = ssl.create_default_context(cafile=str(root_pem or certifi.where()))
        except OSError:
            raise UsageError(f"{root_pem} is not a root certificate as PEM") from None

    def find(self, kind: Kind, name: str) -> Json | None:
        """Return an enrollment without its keys; None if there is none of that name."""
        try:
            return self._call("GET", f"{kind}/{quote(name, safe='')}")
        except ServiceError as error:
            if error.status == 404:
                return None
            raise

    def create(self, kind: Kind, name: str, document: Json) -> Json:
        """Create an enrollment; raise UsageError if there is one: nothing is written over."""
        if self.find(kind, name) is not None:
            raise UsageError(f"{name} is enrolled already; it was left as it is")
        return self._call("PUT", f"{kind}/{quote(name, safe='')}", document)

    def key_pair(self, kind: Kind, name: str) -> tuple[str, str]:
        """Return an enrollment's keys, (primary, secondary); only this route gives them."""
        answer = self._call("POST", f"{kind}/{quote(name, safe='')}/attestationmechanism")
        pair = answer.get("symmetricKey")
        if not isinstance(pair, dict):
            raise ServiceError(f"{name} is not enrolled with symmetric keys")
        names = ("primaryKey", "secondaryKey")
        primary, secondary = (keys.checked(pair.get(n, ""), f"the service's {n}") for n in names)
        return primary, secondary

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        return asyncio.run(self._request(method, path, body))

    async def _request(self, method: str, path: str, body: Json | None) -> Json:
        place = self._connection
        name = place.host.partition(":")[0]
        expires_at = int(time.time()) + _TOKEN_S
        headers = {"Authorization": keys.token(name, place.key_b64, expires_at, place.policy)}
        url = f"https://{place.host}/{path}?api-version={API_VERSION}"
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, url, json=body, headers=headers, ssl=self._tls) as answer,
            ):
                raw = b""
                while piece := await answer.content.read(_MAX_BYTES - len(raw)):
                    raw += piece
                return _taken(answer.status, raw, f"{method} {path}")
        except aiohttp.ClientConnectorCertificateError:
            raise ServiceError(
                f"{place.host} has a certificate that is not trusted here; for a local Azure, "
                "name its root: --root root.pem"
            ) from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise ServiceError(f"{place.host} did not answer {method} {path}: {reason}") from None


def _taken(status: int, raw: bytes, what: str) -> Json:
    """Return an answer's object; raise ServiceError for a refusal, or for what is none."""
    try:
        body = json.loads(raw or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ServiceError(f"{what}: the answer, {status}, is not a JSON object", status)
    if status >= 300:
        told = [str(body.get("message", "refused"))[:256]]
        told += [f"code {body['errorCode']}"] if "errorCode" in body else []
        told += [f"tracking id {body['trackingId']}"] if "trackingId" in body else []
        raise ServiceError(f"{what}: {status} {', '.join(told)}", status)
    return body
