"""The services of a local Azure, made of its settings and wired to each other.

No sockets and no files: what they keep goes to the journal that they are given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from .answers import Answer, Json, RandomBytes, Refusal
from .authorities import Authorities
from .dps.api import ServiceApi
from .dps.devices import RegistrationApi
from .dps.issuing import Issuer, new_issuer
from .dps.service import ProvisioningService
from .dps.store import Store
from .events import Emit, event
from .faults.faults import Faults
from .faults.specs import parse_text
from .http import methods
from .http.server import HubSide
from .hub.api import HubApi
from .hub.devices import DeviceApi
from .hub.hub import Hub
from .hub.proving import Trust
from .hub.registry import Registry
from .hub.telemetry import Message, Telemetry
from .journal import Journal, remember
from .mqtt.roles import Cloud
from .policies import DPS_POLICIES, HUB_POLICIES, Policies
from .rest import Call
from .settings import Settings


@dataclass(frozen=True)
class Surroundings:
    """What the services take from the world. names: what a service's token may be for."""

    clock: Callable[[], float]
    random_bytes: RandomBytes
    emit: Emit
    journal: Journal
    names: Callable[[], frozenset[str]]


class Services:
    """DPS, its hubs, their APIs, and the Cloud that MQTT conversations talk to."""

    def __init__(self, settings: Settings, around: Surroundings) -> None:
        random_bytes, journal = around.random_bytes, around.journal
        self._settings = settings
        self._around = around
        self.id_scope = _id_scope(settings.id_scope, journal, random_bytes)
        self.faults = Faults(around.emit, around.clock, random_bytes)
        for text in settings.faults:
            self.faults.add(parse_text(text))
        self.authorities = Authorities(journal)
        self.store = Store(journal, self.authorities)
        self.telemetry = Telemetry(journal=journal)
        self.policies = Policies("dps", DPS_POLICIES, random_bytes, journal)
        self.hub_policies = {
            name: Policies(name, HUB_POLICIES, random_bytes, journal) for name in settings.hubs
        }
        rules = settings.rules(self.id_scope)
        self.issuer = Issuer(rules, self._issuer_papers(), random_bytes)
        self.hubs = {name: self._hub(name) for name in settings.hubs}
        self.dps = ProvisioningService(
            rules, self.store, self.hubs, random_bytes, issuer=self.issuer
        )
        self.api = ServiceApi(rules, self.store, self.policies, around.names, random_bytes)
        self.devices = RegistrationApi(self.dps, random_bytes, self.faults)
        self.sides = {name: self._side(hub) for name, hub in self.hubs.items()}
        self.cloud = Cloud(
            self.dps,
            self.hubs,
            settings.auth_at,
            around.clock,
            around.emit,
            journal.commit,
            self.faults,
            settings.connection_rules,
            keeps=settings.state is not None,
        )

    def _issuer_papers(self) -> Json:
        around = self._around
        return remember(
            around.journal,
            "service",
            "issuer",
            lambda: new_issuer(around.random_bytes, around.clock()),
        )

    def _hub(self, name: str) -> Hub:
        random_bytes, journal = self._around.random_bytes, self._around.journal
        hub = Hub(
            name,
            Registry(name, random_bytes, journal),
            self.telemetry,
            random_bytes,
            journal,
            self.hub_policies[name],
            self._settings.hub_rules,
        )
        hub.believe(Trust(partial(self.authorities.anchors, name), lambda: self.issuer.anchors))
        return hub

    def _side(self, hub: Hub) -> HubSide:
        policies, around = self.hub_policies[hub.name], self._around
        names = partial(self._names_of, hub.name)
        api = HubApi(hub, policies, names, around.random_bytes)
        device = DeviceApi(hub, policies, names, around.random_bytes, self._heard, api.handle)

        async def method(call: Call) -> Answer:
            try:
                device_id, _ = api.method_call(call, around.clock())
            except Refusal as refusal:
                return api.refused(refusal, around.clock())
            return await methods.invoke(hub, device_id, call.body, around.clock)

        return HubSide(api.handle, device.handle, method)

    def _names_of(self, hub: str) -> frozenset[str]:
        """What a token for this hub may be for: no other hub."""
        others = set(self.hubs) - {hub}
        names = self._around.names()
        return frozenset(name for name in names if name.partition(":")[0] not in others)

    def _heard(self, message: Message) -> None:
        what = f"telemetry {message.sequence}, {len(message.body)} bytes"
        more = {"sequence": message.sequence}
        self._around.emit(event(message.received_at, "hub", message.device_id, what, **more))


def _id_scope(wanted: str | None, journal: Journal, random_bytes: RandomBytes) -> Any:
    """The one that is wanted, or the one of the last start, or a new one; kept."""
    if wanted is not None:
        journal.put("service", "id-scope", {"value": wanted})
        return wanted
    return remember(
        journal, "service", "id-scope", lambda: {"value": "0ne" + random_bytes(4).hex().upper()}
    )["value"]
