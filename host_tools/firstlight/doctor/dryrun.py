"""What DPS knows of a device, asked from the PC with a token of the board's; or by the board.

Registers nothing: it is the status lookup of DPS's device API (protocol.md 5.1). The token is
kept in memory, and is in no error. By certificate the board asks itself, through relay.py.
"""

import json
import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from ..azurecalls import Mistrusted, NotNow, Reply, asked, object_of, plain, trusting
from ..errors import ServiceError
from ..repl import Repl
from ..roots import roots_from
from . import relay
from .findings import Dps, Identity

_API_VERSION = "2021-06-01"
_MOST_ROOTS = 4  # for a board to take in


def lookup(me: Identity, token: str, tls: ssl.SSLContext, key: str = "primary") -> Dps:
    """Ask for the device's registration; whatever comes of it is a finding."""
    place = f"{quote(me.id_scope)}/registrations/{quote(me.registration_id, safe='')}"
    url = f"https://{me.endpoint}:{me.https_port}/{place}?api-version={_API_VERSION}"
    body = {"registrationId": me.registration_id}
    try:
        return _told(asked("POST", url, {"Authorization": token}, body, tls), key)
    except Mistrusted:
        return Dps(told=f"the certificate of {me.endpoint} is not trusted", key=key, trusted=False)
    except (NotNow, ServiceError) as error:
        return Dps(told=plain(error), key=key)


def by_certificate(
    repl: Repl, me: Identity, number: int, roots: Sequence[bytes], now_at: int = 0
) -> Dps:
    """Have the board ask, by the factory's certificate (0) or by one issued since.

    roots: DER, over which it is to judge DPS; none: over its own. now_at: relay.Errand's.
    """
    place = f"{quote(me.id_scope)}/registrations/{quote(me.registration_id, safe='')}"
    body = json.dumps({"registrationId": me.registration_id})
    lines = (
        f"POST /{place}?api-version={_API_VERSION} HTTP/1.1",
        f"Host: {me.endpoint}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "",
        body,
    )
    key = "issued certificate" if number else "factory's certificate"
    request = "\r\n".join(lines).encode()
    errand = relay.Errand(me.endpoint, me.https_port, number, tuple(roots), request, now_at)
    try:
        return _told(relay.ask(repl, errand), key)
    except relay.Unanswered as error:
        return Dps(told=str(error), key=key, trusted=not error.is_mistrust)
    except ServiceError as error:
        return Dps(told=plain(error), key=key)


def trust(ders: Sequence[bytes], root_pem: Path | None) -> ssl.SSLContext:
    """TLS as the board would have it: over its own roots; over root_pem, or the PC's, if none."""
    if root_pem is not None or not ders:
        return trusting(root_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for der in ders:
        with suppress(ssl.SSLError):  # a certificate, but not one for OpenSSL
            context.load_verify_locations(cadata=der)
    return context


def roots_of(root_pem: Path) -> list[bytes]:
    """The DER of the first roots in a PEM file; raise UsageError."""
    return list(roots_from(root_pem).values())[:_MOST_ROOTS]


def _told(reply: Reply, key: str) -> Dps:
    found = object_of(reply, "the lookup")
    message = found.get("message") or found.get("errorMessage") or ""
    code = found.get("errorCode")
    told = plain(message) + (f" (code {plain(code)})" if code else "")
    if reply.status == 429 or reply.status >= 500:
        return Dps(0, told=f"{reply.status} {told}", key=key)
    state, hub = (plain(found.get(name) or "") for name in ("status", "assignedHub"))
    return Dps(reply.status, state if reply.status < 300 else "", hub, told, key)
