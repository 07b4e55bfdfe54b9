"""LocalAzure: the services and their servers, put together.

The only place that reads the clock and the system's randomness. Use it from asyncio (LocalAzure),
from a program without a loop (running_azure: a thread of its own), or as a command (serve).
"""

import asyncio
import base64
import errno
import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ..errors import ToolError
from .answers import Json
from .doors import Door, enter, rooms
from .dps.api import POLICY, ServiceApi
from .dps.records import Enrollment
from .dps.service import ProvisioningService, Rules
from .dps.store import Shelf, Store
from .events import Emit, Event, event
from .http.server import Backstage, HttpServer, wait_until
from .hub.hub import Hub
from .hub.telemetry import Message, Telemetry
from .mqtt.roles import Cloud
from .mqtt.server import Bounds, MqttServer
from .root import Root, write_papers
from .settings import DPS_NAME, Settings
from .sntp import SntpServer

_COMPLAIN_EVERY_S = 1.0


class LocalAzure:
    """A DPS, its hubs and their servers, in a running asyncio loop.

    After start(): mqtt_port, https_port, sntp_port, root_pem (a path), root_der, id_scope,
    connection_string (the service's: a secret). Raises UsageError for settings that cannot be.
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
        self.id_scope = settings.id_scope or "0ne" + os.urandom(4).hex().upper()
        self.mqtt_port = self.https_port = self.sntp_port = 0
        self.root_pem = Path()
        self._on_event = on_event
        self._clock = clock
        self._key_b64 = base64.b64encode(os.urandom(64)).decode()
        self._temporary: Path | None = None
        self._arrived = asyncio.Event()
        self._complained: dict[str, float] = {}
        self._build()

    def _build(self) -> None:
        settings = self.settings
        rules = Rules(
            self.id_scope,
            settings.polls_before_assigned,
            settings.retry_after_s,
            settings.registrations_per_minute,
            settings.wrong_key_code,
            settings.expired_code,
        )
        self.store = Store()
        self.messages = Telemetry()
        self.hubs = {name: Hub(name, self.messages) for name in settings.hubs}
        self.dps = ProvisioningService(rules, self.store, self.hubs, os.urandom)
        self.service = ServiceApi(self.store, self._key_b64, self._service_names, os.urandom)
        self._root = Root()
        self.root_der = self._root.der
        cloud = Cloud(self.dps, self.hubs, settings.auth_at, self._clock, self._emit)
        bounds = Bounds(settings.connect_timeout_s, settings.packet_timeout_s)
        self._mqtt = MqttServer(cloud, bounds)
        backstage = Backstage(
            api=self.service,
            telemetry=self.messages,
            wait=self.wait_for,
            info=self.info,
            clock=self._clock,
            random_bytes=os.urandom,
            emit=self._emit,
            request_s=settings.packet_timeout_s,
        )
        self._http = HttpServer(backstage)
        self._sntp = SntpServer(self._clock)

    @property
    def connection_string(self) -> str:
        """The service's, with the owner's policy. A secret."""
        return (
            f"HostName={self.service_address};"
            f"SharedAccessKeyName={POLICY};SharedAccessKey={self._key_b64}"
        )

    @property
    def service_address(self) -> str:
        """Host and port of the service API."""
        host = "localhost" if self.host == "127.0.0.1" else self.host
        return f"{host}:{self.https_port}"

    async def start(self) -> None:
        """Listen on every port; raise ToolError if one cannot be had, and leave nothing open."""
        context = self._root.context(self.settings.certificate_names())
        asyncio.get_running_loop().set_exception_handler(self._on_trouble)
        try:
            await self._listen(context)
            self._write_papers()
        except OSError as error:
            await self.stop()
            why = error.strerror or str(error)
            raise ToolError(f"cannot write {error.filename}: {why}; mend its folder") from None
        except ToolError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every port and connection, and remove what was temporary."""
        await self._mqtt.stop()
        await self._http.stop()
        self._sntp.stop()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def info(self) -> Json:
        """Where everything is; no secrets."""
        return {
            "id_scope": self.id_scope,
            "host": self.host,
            "mqtt_port": self.mqtt_port,
            "https_port": self.https_port,
            "sntp_port": self.sntp_port,
            "hubs": list(self.hubs),
            "received": self.messages.received,
            "dropped": self.messages.dropped,
            "connections": len(self._mqtt.connections),
            "root_pem": str(self.root_pem),
        }

    def enroll_group(self, group_id: str, document: Json | None = None) -> Enrollment:
        """Create or replace an enrollment group; keys are generated if the document has none."""
        return self._enroll(self.store.groups, group_id, document)

    def enroll_device(self, registration_id: str, document: Json | None = None) -> Enrollment:
        """Create or replace an individual enrollment."""
        return self._enroll(self.store.individuals, registration_id, document)

    def telemetry(self, device_id: str | None = None) -> list[Message]:
        """What the hubs received and still keep, oldest first."""
        return self.messages.select(device_id=device_id)

    async def wait_for_telemetry(
        self, count: int, device_id: str | None = None, timeout_s: float = 10.0
    ) -> list[Message]:
        """Wait for so many messages; raise TimeoutError."""

        def enough() -> list[Message]:
            found = self.telemetry(device_id)
            return found if len(found) >= count else []

        found = await self.wait_for(timeout_s, enough)
        if len(found) < count:
            got = len(self.telemetry(device_id))
            raise TimeoutError(f"{got} of {count} messages came in {timeout_s:g} s")
        return found

    async def wait_for(self, wait_s: float, look: Callable[[], list[Message]]) -> list[Message]:
        """What look() gives once it is not empty, or after wait_s seconds."""
        deadline = asyncio.get_running_loop().time() + wait_s
        while not (found := look()):
            if not await wait_until(self._arrived, deadline):
                break
        return found

    def _enroll(self, shelf: Shelf, id: str, document: Json | None) -> Enrollment:
        return self.service.put(shelf, id, document or {}, self._clock())

    def _emit(self, event: Event) -> None:
        if "sequence" in event:
            # Wake whoever waits; the next to wait gets an event of its own.
            self._arrived.set()
            self._arrived = asyncio.Event()
        self._on_event(event)

    async def _listen(self, context: ssl.SSLContext) -> None:
        host, mqtt, https = self.host, self.settings.mqtt_port, self.settings.https_port
        sntp = self.settings.sntp_port
        most, most_https = rooms(self.settings.max_connections)
        full = "refused: too many connections"
        door = Door(most, lambda peer: self._complain("mqtt", peer, full))
        opened = enter(door, (host, mqtt), context, self._mqtt.start)
        self.mqtt_port = await _port("MQTT", host, mqtt, opened)
        door = Door(most_https, lambda peer: self._complain("http", peer, full))
        opened = enter(door, (host, https), context, self._http.start)
        self.https_port = await _port("HTTPS", host, https, opened)
        self.sntp_port = await _port("SNTP", host, sntp, self._sntp.start(host, sntp))

    def _on_trouble(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # asyncio's own report would go to stderr, and may show what it was handling.
        error = context.get("exception")
        why = error.strerror if isinstance(error, OSError) and error.strerror else ""
        self._complain("azure", self.host, f"unexpected {type(error).__name__} {why}".rstrip())

    def _complain(self, part: str, id: str, what: str) -> None:
        """Emit an event, but not again and again."""
        now = time.monotonic()
        if now - self._complained.get(part, float("-inf")) >= _COMPLAIN_EVERY_S:
            self._complained[part] = now
            self._emit(event(self._clock(), part, id, what))

    def _write_papers(self) -> None:
        folder = self.settings.folder
        if folder is None:
            folder = self._temporary = Path(tempfile.mkdtemp(prefix="firstlight-"))
        self.root_pem = write_papers(folder, self._root, self.connection_string)

    def _service_names(self) -> frozenset[str]:
        names = (*self.settings.certificate_names(), DPS_NAME)
        return frozenset(names) | {f"{name}:{self.https_port}" for name in names}


async def _port(what: str, host: str, port: int, listening: Awaitable[int]) -> int:
    try:
        return await listening
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            reason = "another program has it; stop that one, or choose another port"
        raise ToolError(f"cannot serve {what} on {host}:{port}: {reason}") from None
