"""LocalAzure: the services and their servers, put together.

The only place that reads the clock and the system's randomness. Use it from asyncio (LocalAzure),
from a program without a loop (running_azure: a thread of its own), or as a command (serve).
"""

import asyncio
import base64
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ToolError, UsageError
from .answers import Json, Refusal
from .authorities import DPS, Authority
from .dps import certificates
from .dps.api import POLICY
from .dps.records import Enrollment
from .dps.store import Shelf
from .events import Emit
from .hub.credential import by_keys
from .hub.telemetry import Message
from .journal import remember
from .keeper import Keeper
from .keys import Keys, new_keys
from .papers import write_papers
from .reports import Reports
from .root import Root, new_authority
from .servers import Servers
from .services import Services, Surroundings
from .settings import DPS_NAME, Settings

_T = TypeVar("_T")
_LOOK_EVERY_S = 0.05


class LocalAzure:
    """A DPS, its hubs and their servers, in a running asyncio loop.

    After start(): mqtt_port, https_port, sntp_port, root_pem (a path), root_der, id_scope, group
    (the enrollment group of the settings), connection_string (the service's: a secret). Raises
    UsageError for settings that cannot be, and for a state file that is not one.
    """

    def __init__(
        self,
        settings: Settings,
        on_event: Emit = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        settings.check()
        self.settings = settings
        self.host = settings.host
        self.root_pem = Path()
        self.group: Enrollment | None = None
        self.clock = clock
        self._temporary: Path | None = None
        self._reports = reports = Reports(on_event, clock, settings.host)
        self._keeper = Keeper(
            settings.state, lambda why: reports.complain("state", self.host, why)
        )
        self._journal = self._keeper.journal
        with self._keeper.loading():
            self._build()

    def _build(self) -> None:
        reports = self._reports
        around = Surroundings(
            self.clock, os.urandom, reports.emit, self._journal, self._service_names
        )
        self.services = services = Services(self.settings, around)
        self.id_scope = services.id_scope
        self.messages, self.hubs = services.telemetry, services.hubs
        self.dps, self.store, self.service = services.dps, services.store, services.api
        self._root = Root(remember(self._journal, "service", "root", new_authority))
        self.root_der = self._root.der
        self.servers = Servers(self.settings, services, self._root, reports, self.info)

    @property
    def mqtt_port(self) -> int:
        """Of DPS and every hub; 0 before the start."""
        return self.servers.mqtt_port

    @property
    def https_port(self) -> int:
        """Of every REST API, and MQTT over WebSocket; 0 before the start."""
        return self.servers.https_port

    @property
    def sntp_port(self) -> int:
        """Of the time, by UDP; 0 before the start."""
        return self.servers.sntp_port

    @property
    def connection_string(self) -> str:
        """The service's, with the owner's policy. A secret."""
        return self.dps_connection_string(POLICY)

    def dps_connection_string(self, policy: str) -> str:
        """The same with any of DPS's policies; a secret. Raises KeyError for none of that name."""
        return self.services.policies.connection_string(policy, self.service_address)

    def hub_connection_string(self, hub: str, policy: str = "iothubowner") -> str:
        """A hub's, with one of its policies: what its service SDKs take. A secret.

        Raises KeyError for a hub or a policy that is not there.
        """
        policies = self.services.hub_policies[hub]
        return policies.connection_string(policy, self._at_port(hub))

    @property
    def https_ports(self) -> list[int]:
        """Every one, the first of which is https_port."""
        return [self.https_port, *self.settings.more_https_ports]

    @property
    def service_address(self) -> str:
        """Host and port of the service API."""
        return self._at_port(self.settings.dps_host())

    async def start(self) -> None:
        """Listen on every port; raise ToolError if one cannot be had, and leave nothing open."""
        asyncio.get_running_loop().set_exception_handler(self._reports.on_trouble)
        try:
            self._make_group()
            await self.servers.start()
            self._write_papers()
            self._journal.commit()
            self._keeper.start()
            self.dps.resume(self.clock())
        except OSError as error:
            await self.stop()
            why = error.strerror or str(error)
            raise ToolError(f"cannot write {error.filename}: {why}; mend its folder") from None
        except ToolError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every port and connection, and remove what was temporary."""
        await self.servers.stop()
        self._keeper.stop()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def info(self) -> Json:
        """Where everything is; no secrets."""
        return {
            "id_scope": self.id_scope,
            "host": self.host,
            "dps_host": self.settings.dps_host(),
            "mqtt_port": self.mqtt_port,
            "https_port": self.https_port,
            "https_ports": self.https_ports,
            "sntp_port": self.sntp_port,
            "hubs": list(self.hubs),
            "addresses": self.settings.directory(),
            "received": self.messages.received,
            "dropped": self.messages.dropped,
            "connections": len(self.connections()),
            "root_pem": str(self.root_pem.absolute()),
        }

    def connections(self) -> list[Json]:
        """Who is connected over MQTT or WebSocket, and over which."""
        return self.servers.connections()

    def enroll_group(self, group_id: str, document: Json | None = None) -> Enrollment:
        """Create or replace an enrollment group; keys are generated if the document has none."""
        return self._enroll(self.store.groups, group_id, document)

    def enroll_device(self, registration_id: str, document: Json | None = None) -> Enrollment:
        """Create or replace an individual enrollment."""
        return self._enroll(self.store.individuals, registration_id, document)

    def add_ca(
        self, name: str, pem: str | bytes, verified: bool = True, owner: str = DPS
    ) -> Authority:
        """Give DPS, or the hub of that name, a CA certificate: PEM, or DER."""
        certificate = certificates.loaded(certificates.read(_text(pem))["certificate"])
        put = self.services.authorities.put
        return put(owner, name, certificate, verified, self.clock(), os.urandom)

    def enroll_x509(
        self,
        registration_id: str,
        primary_pem: str | bytes,
        secondary_pem: str | bytes | None = None,
        **more: Any,
    ) -> Enrollment:
        """Enroll a device by its certificate; more: further fields, as iotHubs=["one"]."""
        attestation = _x509("clientCertificates", primary_pem, secondary_pem)
        return self.enroll_device(registration_id, {"attestation": attestation} | more)

    def enroll_x509_group(
        self,
        name: str,
        ca_pem: str | bytes | None = None,
        ca_name: str | None = None,
        secondary_pem: str | bytes | None = None,
        **more: Any,
    ) -> Enrollment:
        """Enroll the devices of a CA, by its certificate or by its name here (add_ca).

        Where only a root of it is verified here, the devices must send what is between.
        """
        if (ca_pem is None) == (ca_name is None):
            raise ValueError("a group is of a CA's certificate or of a CA's name: give one")
        if ca_name is not None:
            attestation: Json = {"type": "x509", "x509": {"caReferences": {"primary": ca_name}}}
        else:
            attestation = _x509("signingCertificates", ca_pem or b"", secondary_pem)
        return self.enroll_group(name, {"attestation": attestation} | more)

    def create_device(self, device_id: str, hub: str | None = None) -> Keys:
        """Create a device at a hub, by default the first, without DPS; its keys.

        Raises Refusal for an id that cannot be; a device that is there gets new keys.
        """
        keys = new_keys(os.urandom)
        self.hubs[hub or next(iter(self.hubs))].put_device(device_id, by_keys(keys), self.clock())
        return keys

    def telemetry(self, device_id: str | None = None) -> list[Message]:
        """What the hubs received and still keep, oldest first."""
        return self.messages.select(device_id=device_id)

    def commit(self) -> None:
        """Keep what was done so far, if there is a state file; raise OSError."""
        self._journal.commit()

    async def wait_for(self, wait_s: float, look: Callable[[], _T]) -> _T:
        """What look() gives once that is something, or after wait_s, whatever it is.

        It looks whenever something happened, and now and then, for not all is an event.
        """
        return await self._reports.arrivals.wait_for(wait_s, look, _LOOK_EVERY_S)

    async def wait_for_telemetry(
        self, count: int, device_id: str | None = None, timeout_s: float = 10.0
    ) -> list[Message]:
        """Wait for so many messages; raise TimeoutError."""

        def enough() -> list[Message]:
            found = self.telemetry(device_id)
            return found if len(found) >= count else []

        found = await self._reports.arrivals.wait_for(timeout_s, enough)
        if len(found) < count:
            got = len(self.telemetry(device_id))
            raise TimeoutError(f"{got} of {count} messages came in {timeout_s:g} s")
        return found

    def _at_port(self, name: str) -> str:
        # Without 443: the Node service SDKs take HostName as a plain name.
        return name if 443 in self.https_ports else f"{name}:{self.https_port}"

    def _enroll(self, shelf: Shelf, id: str, document: Json | None) -> Enrollment:
        return self.service.put(shelf, id, document or {}, self.clock())

    def _make_group(self) -> None:
        name = self.settings.group
        if name is None:
            return
        try:
            self.group = self.store.groups.get(name.lower()) or self.enroll_group(name)
        except Refusal as refusal:
            raise UsageError(f"the group {name[:80]!r} cannot be made: {refusal}") from None

    def _write_papers(self) -> None:
        folder = self.settings.folder
        if folder is None:
            folder = self._temporary = Path(tempfile.mkdtemp(prefix="firstlight-"))
        group_key = self.group.keys.primary_b64 if self.group else None
        secrets = {"connection-string.txt": self.connection_string, "group.key": group_key}
        secrets |= {f"hub-{name}.txt": self.hub_connection_string(name) for name in self.hubs}
        self.root_pem = write_papers(folder, self._root.pem, self.info(), secrets)

    def _service_names(self) -> frozenset[str]:
        names = (*self.settings.certificate_names(), DPS_NAME)
        return frozenset(names) | {f"{n}:{port}" for n in names for port in self.https_ports}


def _x509(form: str, primary: str | bytes, secondary: str | bytes | None) -> Json:
    pair = {"primary": {"certificate": _text(primary)}}
    if secondary is not None:
        pair["secondary"] = {"certificate": _text(secondary)}
    return {"type": "x509", "x509": {form: pair}}


def _text(certificate: str | bytes) -> str:
    """PEM as it is; DER as base64."""
    if isinstance(certificate, str):
        return certificate
    is_pem = b"-----BEGIN" in certificate
    return certificate.decode("ascii") if is_pem else base64.b64encode(certificate).decode()
