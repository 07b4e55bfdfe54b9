"""Who a CONNECT is for, by its user name: the provisioning service, or one device's hub."""

import re

from ..answers import Refusal
from ..dps import service as dps
from ..dps.service import Request
from ..hub import hub
from ..hub.hub import NOT_AUTHORIZED, NotAdmitted
from .dps_role import DpsRole
from .hub_role import HubRole
from .packets import Connect
from .roles import Cloud, Role

_DPS_USER = re.compile(
    r"(?P<scope>[^/]+)/registrations/(?P<id>[^/]+)/api-version=(?P<version>[^&]+)"
    r"(&ClientVersion=.*)?"
)
_BAD_USER = 4


def admit(cloud: Cloud, packet: Connect) -> Role:
    """Judge a CONNECT by its user name; raise NotAdmitted with CONNACK's code."""
    user = packet.user or ""
    match = _DPS_USER.fullmatch(user)
    if match is not None:
        return _admit_to_dps(cloud, packet, match)
    name = hub.hub_of(user)
    if name is None:
        raise NotAdmitted(_BAD_USER, "the user name is neither DPS's nor a hub's")
    if name not in cloud.hubs:
        raise NotAdmitted(NOT_AUTHORIZED, f"no hub {name} here")
    return HubRole(cloud, cloud.hubs[name], packet)


def _admit_to_dps(cloud: Cloud, packet: Connect, match: re.Match[str]) -> Role:
    if packet.client_id != match["id"]:
        raise NotAdmitted(hub.IDENTIFIER_REJECTED, "the client id is not the registration id")
    if match["version"] not in dps.API_VERSIONS:
        raise NotAdmitted(NOT_AUTHORIZED, "unknown api-version")
    request = Request(match["scope"], match["id"], packet.password or "")
    if cloud.auth_at == "connect":
        try:
            cloud.dps.authenticate(request, cloud.clock())
        except Refusal as refusal:
            raise NotAdmitted(NOT_AUTHORIZED, refusal.why) from None
    return DpsRole(cloud, request)
