"""What a local Azure can be told before it starts.

Values and their check; no I/O.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .dps.rules import Behaviour, Rules
from .faults.specs import BadFault, parse_text
from .hub.rules import HubRules
from .mqtt.rules import ConnectionRules

DPS_NAME = "global.azure-devices-provisioning.net"

_ID_SCOPE = re.compile(r"0ne[0-9A-Fa-f]{8}")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_LOOPBACK = re.compile(r"localhost|127(\.(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}")


@dataclass(frozen=True)
class Settings(Behaviour):
    """How a local Azure is laid out and behaves. A port of 0 means any free one.

    host: the loopback address to bind; id_scope: made at random if None; hubs: host names, which
    devices are assigned to and connect to; addresses: those of hubs that are not at `host` (a hub
    whose name is a loopback address is there by itself); more_https_ports: beside https_port;
    group: an enrollment group to make at the start; folder: where root.pem, the connection
    strings and the group's key are written, or None for a temporary one; state: the file that
    outlives us, or None; auth_at: register (as Azure) or connect (protocol.md 2.7);
    webhook_timeout_s, webhook_roots: how long a custom allocation may take, and a PEM file of the
    roots that its https may have beside the system's; max_connections: fewer if the system does
    not let us open so many files; names: what DPS is called and the certificate is for, beside the
    usual; hub_rules: how every hub behaves; connection_rules: how MQTT connections to DPS do;
    faults: what goes wrong from the start on, each as faults/specs.py reads it. DPS's
    own behaviour: see Behaviour in dps/rules.py.
    """

    host: str = "127.0.0.1"
    mqtt_port: int = 8883
    https_port: int = 8443
    sntp_port: int = 0
    id_scope: str | None = None
    hubs: tuple[str, ...] = ("localhost",)
    addresses: Mapping[str, str] = field(default_factory=dict)
    more_https_ports: tuple[int, ...] = ()
    group: str | None = None
    folder: Path | None = None
    state: Path | None = None
    connect_timeout_s: float = 10.0
    packet_timeout_s: float = 30.0
    max_connections: int = 20_000
    names: tuple[str, ...] = field(default=())
    hub_rules: HubRules = field(default_factory=HubRules)
    connection_rules: ConnectionRules = field(default_factory=ConnectionRules)
    faults: tuple[str, ...] = ()
    auth_at: str = "register"
    webhook_timeout_s: float = 10.0
    webhook_roots: Path | None = None

    def check(self) -> None:
        """Raise UsageError naming the first setting that cannot be."""
        self._check_ports()
        if self.id_scope is not None and not _ID_SCOPE.fullmatch(self.id_scope):
            raise UsageError("an id scope is 0ne and eight hexadecimal digits, as 0ne00111111")
        self._check_names()
        if self.auth_at not in ("register", "connect"):
            raise UsageError("credentials are checked at register or at connect")
        if not 0 <= self.polls_before_assigned <= 1000:
            raise UsageError("polls before an assignment must be from 0 to 1000")
        if not 0 <= self.retry_after_s <= 3600:
            raise UsageError("retry-after must be from 0 to 3600 seconds")
        self.hub_rules.check()
        self.connection_rules.check()
        self._check_faults()
        super().check()
        self._check_latencies()
        if not all(0 < bound < float("inf") for bound in self._bounds()):
            raise UsageError("the bounds on connections must be above 0")
        if not 0 < self.webhook_timeout_s < float("inf"):
            raise UsageError("a webhook must be given some time")

    def _bounds(self) -> tuple[float, ...]:
        return self.connect_timeout_s, self.packet_timeout_s, self.max_connections

    def _check_latencies(self) -> None:
        for table in (self.latencies_ms, *self.device_latencies_ms.values()):
            for hub in set(table).difference(self.hubs):
                raise UsageError(f"latencies are for {str(hub)[:80]!r}, which is not a hub here")
        if any(id != id.lower() for id in self.device_latencies_ms):
            raise UsageError("device_latencies_ms takes registration ids in lower case")

    def rules(self, id_scope: str) -> Rules:
        """DPS's rules: its part of these settings."""
        own = {rule.name: getattr(self, rule.name) for rule in fields(Behaviour)}
        return Rules(id_scope, **own)

    def _check_faults(self) -> None:
        for text in self.faults:
            try:
                parse_text(text)
            except BadFault as bad:
                raise UsageError(f"the fault {text[:80]!r}: {bad}") from None

    def _check_ports(self) -> None:
        for name in ("mqtt_port", "https_port", "sntp_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise UsageError(f"{name.replace('_', ' ')} must be from 0 to 65535")
        if not all(1 <= port <= 65535 for port in self.more_https_ports):
            raise UsageError("a further https port must be from 1 to 65535")
        fixed = [p for p in (self.mqtt_port, self.https_port, *self.more_https_ports) if p]
        if len(set(fixed)) != len(fixed):
            raise UsageError("a port is named twice; MQTT and HTTPS each need their own")

    def _check_names(self) -> None:
        series: tuple[Any, ...] = (self.hubs, self.names, self.faults)  # of which one may be text
        if any(isinstance(one, str) for one in series):
            raise UsageError("hubs, names and faults are tuples of texts, not a text")
        for address in (self.host, *self.addresses.values()):
            if not _LOOPBACK.fullmatch(address):
                raise UsageError(
                    f"the host {address!r} is not a loopback address, as 127.0.0.1: telemetry is "
                    "shown without a token, so nobody but this machine may ask"
                )
        if not set(self.addresses) <= set(self.hubs):
            raise UsageError("an address was given for a hub that is not there")
        if not self.hubs or len(set(self.hubs)) != len(self.hubs) or len(self.hubs) > 50:
            raise UsageError("there must be from 1 to 50 hubs, each named once")
        for name in (*self.hubs, *self.names):
            if not _HOST.fullmatch(name):
                raise UsageError(f"{name!r} is not a host name in lower case")

    def certificate_names(self) -> tuple[str, ...]:
        """Every name the server's certificate is for; names: more than the hubs and DPS's own."""
        usual = ("localhost", "127.0.0.1", *self.listening(), DPS_NAME)
        return tuple(dict.fromkeys((*usual, *self.hubs, *self.names)))

    def dps_host(self) -> str:
        """The name by which DPS is reached on this machine without further ado."""
        return "localhost" if self.host == "127.0.0.1" else self.host

    def dps_names(self) -> frozenset[str]:
        """Every name that DPS goes by."""
        return frozenset(("localhost", "127.0.0.1", self.host, DPS_NAME, *self.names))

    def address_of(self, hub: str) -> str:
        """Where a hub is: the address it was given, or that it is named after, or DPS's own."""
        own = hub if hub != "localhost" and _LOOPBACK.fullmatch(hub) else self.host
        return self.addresses.get(hub, own)

    def listening(self) -> tuple[str, ...]:
        """Every address to listen at, each once; DPS's own is the first."""
        every = (self.host, *map(self.address_of, self.hubs))
        return tuple(dict.fromkeys(map(_numeric, every)))

    def directory(self) -> dict[str, str]:
        """Every name and its address, DPS's own among them."""
        found = dict.fromkeys((DPS_NAME, self.dps_host(), *self.names), self.host)
        found |= {hub: self.address_of(hub) for hub in self.hubs}
        return {name: _numeric(address) for name, address in found.items()}


def _numeric(address: str) -> str:
    return "127.0.0.1" if address == "localhost" else address
