"""HTTPS calls to Azure's services, or to a local one's: bounded in time and size, TLS verified.

One request a call. Keys, tokens and connection strings stay out of every error; what a refusal
says is told with its status, code and tracking id, and cut.
"""

import asyncio
import json
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import certifi

from . import keys
from .errors import ServiceError, UsageError

Json = dict[str, Any]
_TOKEN_S = 600
_TIMEOUT_S = 30
_CLOSE_S = 0.05  # for aiohttp to close a connection that was not HTTP's
_MAX_BYTES = 1 << 20
_MAX_WAIT_S = 300
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL}){{0,9}}(:(?P<port>[0-9]{{1,5}}))?")
_POLICY = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, repr=False)
class Connection:
    """A service's connection string, taken apart. Has no repr: it holds a key."""

    host: str
    policy: str
    key_b64: str


@dataclass(frozen=True)
class Reply:
    """What came back: the status, the headers by names in lower case, the first 1 MB."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    raw: bytes = field(repr=False)


class NotNow(ServiceError):
    """The same call may pass later: 429, 5xx or no answer. wait_s: what it asked for, if it did.

    wait_s is at most 300 seconds.
    """

    def __init__(self, message: str, status: int = 0, wait_s: int | None = None) -> None:
        super().__init__(message, status)
        self.wait_s = wait_s


class Mistrusted(ServiceError):
    """The server's certificate is not one that the roots vouch for."""


def parse_connection(text: str, what: str = "DPS instance") -> Connection:
    """Take a connection string apart; raise UsageError that says what is missing."""
    fields = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    for name in ("HostName", "SharedAccessKeyName", "SharedAccessKey"):
        if not fields.get(name):
            raise UsageError(
                f"the connection string has no {name}; it is the one of the {what}, in the "
                "portal under Shared access policies: HostName=...;SharedAccessKeyName=...;..."
            )
    host = _HOST.fullmatch(fields["HostName"])
    if host is None or not 1 <= int(host["port"] or 443) <= 65535:
        raise UsageError("the connection string's HostName is not a host name")
    if not _POLICY.fullmatch(fields["SharedAccessKeyName"]):
        raise UsageError("the connection string's SharedAccessKeyName is not the name of a policy")
    key = keys.checked(fields["SharedAccessKey"], "the connection string's SharedAccessKey")
    return Connection(fields["HostName"], fields["SharedAccessKeyName"], key)


def trusting(root_pem: Path | None) -> ssl.SSLContext:
    """A TLS context that trusts one root instead of certifi's; None: certifi's. UsageError."""
    try:
        return ssl.create_default_context(cafile=str(root_pem or certifi.where()))
    except OSError:
        raise UsageError(f"{root_pem} is not a root certificate as PEM") from None


class Calls:
    """The calls to one service, each with a fresh token of its policy."""

    def __init__(self, connection: Connection, root_pem: Path | None, api_version: str) -> None:
        self.host = connection.host
        self._connection = connection
        self._version = api_version
        self._tls = trusting(root_pem)

    def ask(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
        version: str = "",
    ) -> Reply:
        """One request; raise ServiceError for a refusal, for no answer, for one without end.

        version: of the API, if it is not the usual one.
        """
        place = self._connection
        expires_at = int(time.time()) + _TOKEN_S
        name = place.host.partition(":")[0]
        token = keys.token(name, place.key_b64, expires_at, place.policy)
        url = f"https://{place.host}/{path}?api-version={version or self._version}"
        said = {"Authorization": token, **(headers or {})}
        reply = asked(method, url, said, body, self._tls)
        if not 200 <= reply.status < 300:
            raise refusal(reply, f"{method} {path}")
        return reply


def asked(
    method: str, url: str, headers: Mapping[str, str], body: Json | None, tls: ssl.SSLContext
) -> Reply:
    """Send one request and return the reply, whatever it says; raise ServiceError for none.

    NotNow and Mistrusted are some. A redirect is not followed: keys are for who was asked.
    """
    return asyncio.run(_asked(method, url, headers, body, tls))


async def _asked(
    method: str, url: str, headers: Mapping[str, str], body: Json | None, tls: ssl.SSLContext
) -> Reply:
    host, _, path = url.removeprefix("https://").partition("/")
    what = f"{method} {path.partition('?')[0]}"
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(
                method, url, json=body, headers=headers, ssl=tls, allow_redirects=False
            ) as answer,
        ):
            raw = b""
            while piece := await answer.content.read(_MAX_BYTES - len(raw)):
                raw += piece
            named = {name.lower(): text for name, text in answer.headers.items()}
            return Reply(answer.status, named, raw)
    except aiohttp.ClientConnectorCertificateError:
        raise Mistrusted(
            f"{host} has a certificate that is not trusted here; for a local Azure, "
            "name its root: --root root.pem"
        ) from None
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        await asyncio.sleep(_CLOSE_S)
        cause = getattr(error, "os_error", error)  # of aiohttp's, whose own text shows an object
        reason = plain(" ".join(str(cause).split())) or type(error).__name__
        raise NotNow(f"{host} did not answer {what}: {reason}") from None
    except ValueError:  # a name, or a header of ours, that HTTP does not have; its text has both
        raise ServiceError(f"{host} cannot be asked {what}") from None


def object_of(reply: Reply, what: str) -> Json:
    """The reply's JSON object, {} if it is empty; raise ServiceError if it is something else."""
    found = _document(reply)
    if not isinstance(found, dict):
        raise ServiceError(
            f"{what}: the answer, {reply.status}, is not a JSON object", reply.status
        )
    return found


def list_of(reply: Reply, what: str) -> list[Json]:
    """The reply's JSON list of objects; raise ServiceError if it is something else."""
    found = _document(reply)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ServiceError(f"{what}: the answer, {reply.status}, is not a JSON list", reply.status)
    return found


def refusal(reply: Reply, what: str) -> ServiceError:
    """What a reply above 299 says, as the error to raise."""
    found = _document(reply)
    body = found if isinstance(found, dict) else {"message": "its answer is not a JSON object"}
    told = [plain(body.get("message", "refused"))]
    told += [f"code {plain(body['errorCode'])}"] if "errorCode" in body else []
    told += [f"tracking id {plain(body['trackingId'])}"] if "trackingId" in body else []
    text = f"{what}: {reply.status} {', '.join(told)}"
    if reply.status == 429 or reply.status >= 500:
        return NotNow(text, reply.status, _wait_s(reply))
    return ServiceError(text, reply.status)


def plain(text: Any) -> str:
    """What a service said, in one line of at most 256 characters, for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:256])


def _document(reply: Reply) -> Any:
    try:
        return json.loads(reply.raw or b"{}")
    except (ValueError, RecursionError):
        return None


def _wait_s(reply: Reply) -> int | None:
    text = reply.headers.get("retry-after", "")
    return min(int(text), _MAX_WAIT_S) if text.isdecimal() and len(text) < 10 else None
