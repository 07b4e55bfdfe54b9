"""A local Azure in a thread of its own, for tests and for programs without an asyncio loop.

Every call is carried out in that thread, so nothing of the services is ever touched from two.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from .. import keys
from . import names
from .answers import Json
from .authorities import DPS, Authority
from .azure import LocalAzure
from .device import DeviceHandle
from .dps.records import Enrollment
from .events import Emit, Event
from .faults.specs import parse, parse_text
from .hub.telemetry import Message
from .keys import Keys
from .settings import Settings

_T = TypeVar("_T")
_START_S = 30.0
_CALL_S = 10.0
_MAX_EVENTS = 10_000


class RunningAzure:
    """A handle on a LocalAzure that runs elsewhere; the same names, callable from any thread.

    But not from its own, where on_event is called, nor after its end: that is a RuntimeError.
    Made in its own thread.
    """

    def __init__(
        self,
        azure: LocalAzure,
        loop: asyncio.AbstractEventLoop,
        stop: asyncio.Event,
        log: deque[Event],
    ) -> None:
        self.local = self._azure = azure
        self._loop = loop
        self._stop = stop
        self._log = log
        self._thread_id = threading.get_ident()
        self.host = azure.host
        self.mqtt_port = azure.mqtt_port
        self.https_port = azure.https_port
        self.sntp_port = azure.sntp_port
        self.root_pem = azure.root_pem
        self.root_der = azure.root_der
        self.id_scope = azure.id_scope
        self.connection_string = azure.connection_string
        self.group = azure.group

    @property
    def log(self) -> list[Event]:
        """The last 10 000 events, oldest first."""
        return self.call(lambda _: list(self._log))

    def stop(self) -> None:
        """Ask it to end; running_azure does, and waits."""
        self._loop.call_soon_threadsafe(self._stop.set)

    def enroll_group(self, group_id: str, document: Json | None = None) -> Enrollment:
        """Create or replace an enrollment group; its keys are in the result's `keys`."""
        return self.call(lambda azure: azure.enroll_group(group_id, document))

    def enroll_device(self, registration_id: str, document: Json | None = None) -> Enrollment:
        """Create or replace an individual enrollment; its keys are in the result's `keys`."""
        return self.call(lambda azure: azure.enroll_device(registration_id, document))

    def add_ca(
        self, name: str, pem: str | bytes, verified: bool = True, owner: str = DPS
    ) -> Authority:
        """Give DPS, or the hub of that name, a CA certificate: PEM, or DER."""
        return self.call(lambda azure: azure.add_ca(name, pem, verified, owner))

    def enroll_x509(
        self,
        registration_id: str,
        primary_pem: str | bytes,
        secondary_pem: str | bytes | None = None,
        **more: Any,
    ) -> Enrollment:
        """Enroll a device by its certificate; more: further fields, as iotHubs=["one"]."""
        return self.call(
            lambda azure: azure.enroll_x509(registration_id, primary_pem, secondary_pem, **more)
        )

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
        return self.call(
            lambda azure: azure.enroll_x509_group(name, ca_pem, ca_name, secondary_pem, **more)
        )

    def create_device(self, device_id: str, hub: str | None = None) -> Keys:
        """Create a device at a hub, by default the first, without DPS; its keys."""
        return self.call(lambda azure: azure.create_device(device_id, hub))

    def device_key(self, registration_id: str, group: Enrollment | None = None) -> str:
        """The primary key of a device of a group, base64; group: by default the settings'."""
        found = group or self.group
        if found is None:
            raise ValueError("there is no group: enroll one, or name it in the settings")
        return keys.derive(found.keys.primary_b64, registration_id)

    def device(self, id: str, hub: str | None = None) -> DeviceHandle:
        """A handle on a device: its twin, messages and methods, its telemetry, its connection."""
        return DeviceHandle(self, id, hub)

    def dps_connection_string(self, policy: str) -> str:
        """DPS's for a lesser policy than the owner's, as enrollmentRead. A secret."""
        return self.call(lambda azure: azure.dps_connection_string(policy))

    def hub_connection_string(self, hub: str | None = None, policy: str = "iothubowner") -> str:
        """A hub's, by default the first one's: what its service SDKs take. A secret."""
        return self.call(
            lambda azure: azure.hub_connection_string(hub or next(iter(azure.hubs)), policy)
        )

    def redirected(self) -> Any:
        """A context in which this process finds every name here, whatever the port (names.py)."""
        return names.redirected(names.table(self.call(lambda azure: azure.info())))

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make other programs trust the root: curl, requests, Node, OpenSSL."""
        variables = (
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "NODE_EXTRA_CA_CERTS",
        )
        return dict.fromkeys(variables, str(self.root_pem.absolute()))

    def add_fault(self, words: str | None = None, **fields: Any) -> Json:
        """Let something go wrong: add_fault("poll refuse times=2"), or at="poll", do="refuse"...

        Returns the fault with its id. Raises BadFault, a ValueError, for one that cannot be.
        """
        fault = parse(fields) if words is None else parse_text(words)
        return self.call(lambda azure: azure.services.faults.add(fault))

    def faults(self) -> list[Json]:
        """Every fault that was not cleared, with its counts of `matches` and `hits`."""
        return self.call(lambda azure: azure.services.faults.all())

    def clear_faults(self, id: str | None = None) -> bool:
        """Take away one fault, or all; whether there was one."""
        return self.call(lambda azure: azure.services.faults.clear(id))

    def telemetry(self, device_id: str | None = None) -> list[Message]:
        """What the hubs received and still keep, oldest first."""
        return self.call(lambda azure: azure.telemetry(device_id))

    def wait_for_telemetry(
        self, count: int, device_id: str | None = None, timeout_s: float = 10.0
    ) -> list[Message]:
        """Wait for so many messages; raise TimeoutError."""
        steps = self._azure.wait_for_telemetry(count, device_id, timeout_s)
        return self.wait(steps, timeout_s)

    def call(self, do: Callable[[LocalAzure], _T]) -> _T:
        """Do something to the LocalAzure in its own thread; give back what it gives.

        What was done is kept before this returns; raise OSError if that cannot be.
        """

        async def step() -> _T:
            done = do(self._azure)
            self._azure.commit()
            return done

        return self.wait(step(), 0.0)

    def wait(self, steps: Coroutine[Any, Any, _T], timeout_s: float) -> _T:
        """Run steps in the LocalAzure's own thread; give back what they give."""
        try:
            self._check_caller()
            running = asyncio.run_coroutine_threadsafe(steps, self._loop)
        except RuntimeError:
            steps.close()  # they never begin
            raise
        try:
            return running.result(timeout_s + _CALL_S)
        finally:
            running.cancel()  # which is nothing, unless we wait no longer

    def wait_for(self, look: Callable[[LocalAzure], _T], timeout_s: float = 10.0) -> _T:
        """What look() gives once that is something, or after timeout_s, whatever it is."""
        return self.wait(self._azure.wait_for(timeout_s, lambda: look(self._azure)), timeout_s)

    def _check_caller(self) -> None:
        if threading.get_ident() == self._thread_id:
            raise RuntimeError("the local Azure's own thread, as in on_event, cannot wait for it")
        if self._loop.is_closed():
            raise RuntimeError("this local Azure has ended")


@contextmanager
def running_azure(settings: Settings, on_event: Emit | None = None) -> Iterator[RunningAzure]:
    """Start a local Azure in a thread; stop it at the end. on_event is called in that thread.

    Raises UsageError or ToolError, as LocalAzure does.
    """
    ready: Future[RunningAzure] = Future()
    thread = threading.Thread(
        target=_thread, args=(settings, on_event, ready), name="local-azure", daemon=True
    )
    thread.start()
    try:
        azure = ready.result(_START_S)
        yield azure
    finally:
        if ready.done() and ready.exception() is None:
            ready.result().stop()
        thread.join(_CALL_S)


def _thread(settings: Settings, on_event: Emit | None, ready: "Future[RunningAzure]") -> None:
    try:
        asyncio.run(_live(settings, on_event, ready))
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)  # raised in the caller's thread


async def _live(settings: Settings, on_event: Emit | None, ready: "Future[RunningAzure]") -> None:
    log: deque[Event] = deque(maxlen=_MAX_EVENTS)

    def keep(event: Event) -> None:
        log.append(event)
        if on_event is not None:
            on_event(event)

    azure = LocalAzure(settings, keep)
    await azure.start()
    stop = asyncio.Event()
    ready.set_result(RunningAzure(azure, asyncio.get_running_loop(), stop, log))
    await stop.wait()
    await azure.stop()
