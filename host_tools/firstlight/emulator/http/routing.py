"""Which service an HTTPS request is for, by its path and its Host header.

Pure. DPS and the hubs share their ports, as they share an address; their paths do not meet:

    /enrollments*  /enrollmentGroups*  /registrations*      the service API of DPS
    /{idScope}/registrations/{id}...                        the device API of DPS
    /devices*  /twins*  /messages*  /statistics*  /jobs*    a hub, the one that Host names
    /devices/{id}/messages*                                 a hub's device API
    /$iothub/websocket                                      MQTT
    /emulator/*                                             ours
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from ..answers import Refusal

WEBSOCKET = "/$iothub/websocket"
_ENROLLMENTS = ("enrollments", "enrollmentgroups", "registrations")
_HUB = frozenset((
    "devices", "twins", "messages", "statistics", "jobs", "modules", "configurations",
    "digitaltwins", "files",
))  # fmt: skip


class Service(Enum):
    """What a path belongs to."""

    EMULATOR = "emulator"
    DPS = "the service API of DPS"
    DPS_DEVICE = "the device API of DPS"
    HUB = "the service API of a hub"
    HUB_METHOD = "a direct method of a hub"
    HUB_DEVICE = "the device API of a hub"


@dataclass(frozen=True)
class Place:
    """Where a request goes. hub: its name, for what is a hub's."""

    service: Service
    hub: str = ""


@dataclass(frozen=True)
class Names:
    """hubs: their names; dps: the names, in lower case, that DPS goes by."""

    hubs: Collection[str]
    dps: Collection[str]


def find(names: Names, method: str, path: str, host: str) -> Place:
    """Where a request goes. path: percent-decoded; host: the header, "" for none.

    Raise Refusal 404 for a hub's path if it cannot be told which hub is meant.
    """
    parts = path.removeprefix("/").lower().split("/")
    name = host_name(host)
    only_a_hub = name in names.hubs and name not in names.dps
    if parts[0] == "emulator":
        return Place(Service.EMULATOR)
    if parts[0] in _HUB or only_a_hub:
        return Place(_hub_service(method, parts), _hub(names, name))
    if parts[0] not in _ENROLLMENTS and len(parts) > 2 and parts[1] == "registrations":
        return Place(Service.DPS_DEVICE)
    return Place(Service.DPS)


def host_name(host: str) -> str:
    """The name in a Host header, in lower case, without a port."""
    return host.partition(":")[0].lower().removesuffix(".")


def _hub_service(method: str, parts: list[str]) -> Service:
    if parts[0] == "devices" and len(parts) > 2 and parts[2] == "messages":
        return Service.HUB_DEVICE
    if parts[0] == "twins" and method == "POST" and len(parts) > 2 and parts[-1] == "methods":
        return Service.HUB_METHOD
    return Service.HUB


def _hub(names: Names, name: str) -> str:
    if name in names.hubs:
        return name
    if len(names.hubs) == 1:
        return next(iter(names.hubs))
    raise Refusal(
        404,
        404000,
        f"No hub is called '{name[:253]}' here. There are {', '.join(sorted(names.hubs))}: "
        "send the name of one in the Host header, as curl --connect-to does.",
    )
