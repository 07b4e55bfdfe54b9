"""Who a CONNECT is for, by its user name: the provisioning service, or one device's hub.

No I/O. Which code refuses what is protocol.md's; where that is UNCERTAIN, rules.py's.
"""

import re

from ..answers import Refusal
from ..dps.rules import API_VERSIONS, Request
from ..hub import hub
from ..hub.hub import IDENTIFIER_REJECTED, NOT_AUTHORIZED, NotAdmitted
from .dps_role import DpsRole
from .hub_role import HubRole
from .packets import Connect
from .roles import Cloud, Role

_DPS_USER = re.compile(
    r"(?P<scope>[^/]+)/registrations/(?P<id>[^/]+)/api-version=(?P<version>[^&]+)"
    r"(&ClientVersion=.*)?"
)


def admit(cloud: Cloud, packet: Connect, over: str, chain: tuple[bytes, ...] = ()) -> Role:
    """Judge a CONNECT by its user name; raise NotAdmitted with CONNACK's code.

    over: mqtt, or websocket; chain: the certificates that TLS carried, DER, the leaf first.
    """
    user, rules = packet.user or "", cloud.rules
    refuses_empty = rules.empty_password == "refuse"  # noqa: S105  (a setting, no password)
    if chain and packet.password == "" and refuses_empty:
        raise NotAdmitted(rules.token_code, "an empty password beside a certificate")
    match = _DPS_USER.fullmatch(user)
    if match is not None:
        return _admit_to_dps(cloud, packet, match, over, chain)
    at_hub = cloud.hubs.get(user.partition("/")[0].lower())
    if at_hub is not None:  # which judges the rest of the name
        return HubRole(cloud, at_hub, packet, chain)
    name = hub.hub_of(user)
    if name is None:
        raise NotAdmitted(rules.user_code, "the user name is neither DPS's nor a hub's")
    raise NotAdmitted(NOT_AUTHORIZED, f"no hub {name} here")


def _admit_to_dps(
    cloud: Cloud, packet: Connect, match: re.Match[str], over: str, chain: tuple[bytes, ...]
) -> DpsRole:
    rules = cloud.rules
    id, version = match["id"], match["version"]
    _check(packet.client_id == id, rules.id_code, "the client id is not the registration id")
    _check(version in API_VERSIONS, rules.version_code, "unknown api-version")
    _check(_is_scope(cloud, match["scope"]), rules.scope_code, "no such id scope")
    if rules.parallel == "oldest" and id.lower() in cloud.dps_lines:
        code = rules.id_code or IDENTIFIER_REJECTED
        raise NotAdmitted(code, "the registration id is connected already")
    token = packet.password or ""
    request = Request(match["scope"], id, token, api_version=version, chain=chain)
    if cloud.auth_at == "connect":
        try:
            cloud.dps.authenticate(request, cloud.clock())
        except Refusal as refusal:
            raise NotAdmitted(rules.token_code, refusal.why) from None
    return DpsRole(cloud, request, over)


def _check(is_right: bool, code: int, why: str) -> None:
    """Refuse what is wrong, unless it is to be let in (code 0)."""
    if not is_right and code:
        raise NotAdmitted(code, why)


def _is_scope(cloud: Cloud, scope: str) -> bool:
    rules = cloud.dps.rules
    if rules.scope_case:
        return scope == rules.id_scope
    return scope.lower() == rules.id_scope.lower()
