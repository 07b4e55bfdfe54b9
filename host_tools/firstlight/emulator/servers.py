"""The servers of a local Azure: MQTT and HTTPS at every address, the time, webhooks' client.

Decides nothing: what is served is services.py's.
"""

import os
from collections.abc import Callable

from .answers import Json
from .doors import Room, rooms
from .http.fault_calls import FaultCalls
from .http.own import OwnApi
from .http.own_certificates import CertificateCalls
from .http.routing import Names
from .http.server import Backstage, HttpServer
from .http.talk import Manners
from .http.telemetry import Reading
from .http.websocket import Gate
from .mqtt.clockwork import Bounds
from .mqtt.server import MqttServer
from .mqtt.session import Session
from .ports import Listener, cannot_serve
from .reports import Reports
from .root import Root
from .services import Services
from .settings import Settings
from .sntp import SntpServer
from .threshold import Lobby
from .webhook import Webhooks


class Servers:
    """All of them. info: what /emulator/info shows. After start(): mqtt_port, https_port, ..."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        root: Root,
        reports: Reports,
        info: Callable[[], Json],
    ) -> None:
        self.mqtt_port = self.https_port = self.sntp_port = 0
        self._settings = settings
        self._services = services
        self._root = root
        self._reports = reports
        cloud = services.cloud
        bounds = Bounds(settings.connect_timeout_s, settings.packet_timeout_s)
        self.mqtt = MqttServer(cloud, bounds, self._lobby("mqtt"))
        self.gate = Gate(cloud, bounds, cloud.commit)
        self.http = HttpServer(self._backstage(info), self._lobby("https"))
        self._sntp = SntpServer(cloud.clock)
        self._webhooks = Webhooks(
            self._on_webhook,
            lambda where, what: reports.tell("http", where, what),
            settings.webhook_timeout_s,
            settings.webhook_roots,
        )
        services.dps.ask = self._webhooks.ask

    async def start(self) -> None:
        """Listen on every port; raise ToolError if one cannot be had."""
        settings, addresses = self._settings, self._settings.listening()
        context = self._root.context(settings.certificate_names())
        most, most_https = rooms(settings.max_connections)
        mqtt = Listener("MQTT", Room(most), self.mqtt.start, self._turned_away("mqtt"))
        https = Listener("HTTPS", Room(most_https), self.http.start, self._turned_away("http"))
        self.mqtt_port = await mqtt.open(addresses, settings.mqtt_port, context)
        self.https_port = await https.open(addresses, settings.https_port, context)
        for port in settings.more_https_ports:
            await https.open(addresses, port, context)
        try:
            self.sntp_port = await self._sntp.start(settings.host, settings.sntp_port)
        except OSError as error:
            raise cannot_serve("SNTP", settings.host, settings.sntp_port, error) from None

    async def stop(self) -> None:
        """Close every port and connection."""
        await self.mqtt.stop()
        await self.http.stop()
        self._sntp.stop()
        await self._webhooks.stop()

    def connections(self) -> list[Json]:
        """Who is connected over MQTT or WebSocket, and over which."""
        plain = [(connection.session, "mqtt") for connection in self.mqtt.connections]
        framed = [(session, "websocket") for session in self.gate.sessions()]
        return [
            _shown(session, over)
            for session, over in plain + framed
            if session is not None and not session.is_closed  # its socket may outlive it
        ]

    def _turned_away(self, part: str) -> Callable[[str], None]:
        return lambda peer: self._reports.complain(part, peer, "refused: too many connections")

    def _lobby(self, over: str) -> Lobby:
        names = self._settings.certificate_names()
        return Lobby(self._services.faults, over, lambda kind: self._root.other(kind, names))

    def _on_webhook(self, operation_id: str, status: int, body: bytes) -> None:
        dps, now_at = self._services.dps, self._services.cloud.clock()
        done = dps.webhook_answered(operation_id, status, body, now_at)
        if done is not None:
            self._reports.tell("dps", *done)

    def _backstage(self, info: Callable[[], Json]) -> Backstage:
        services, cloud = self._services, self._services.cloud
        patience_s = self._settings.packet_timeout_s
        kicks = {name: hub.kick for name, hub in services.hubs.items()}
        calls = FaultCalls(services.faults, os.urandom).handle
        certificates = CertificateCalls(services.authorities, services.hubs, os.urandom).handle
        return Backstage(
            manners=Manners(cloud.clock, os.urandom, cloud.emit, patience_s),
            names=Names(frozenset(services.hubs), self._settings.dps_names()),
            own=OwnApi(info, self.connections, kicks, os.urandom, calls, certificates).handle,
            dps=services.api.handle,
            dps_device=services.devices.handle,
            hubs=services.sides,
            reading=Reading(services.telemetry, self._reports.arrivals.wait_for, patience_s),
            gate=self.gate,
            commit=cloud.commit,
            faults=services.faults,
        )


def _shown(session: Session, over: str) -> Json:
    whom = session.whom()
    return {
        "part": whom.part or "mqtt",
        "device": whom.device,
        "hub": whom.hub,
        "over": over,
        "peer": session.peer,
    }
