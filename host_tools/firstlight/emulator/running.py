"""A local Azure in a thread of its own, for tests and for programs without an asyncio loop.

Every call is carried out in that thread, so nothing of the services is ever touched from two.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from .answers import Json
from .azure import LocalAzure
from .dps.records import Enrollment
from .events import Emit, Event
from .hub.telemetry import Message
from .settings import Settings

_T = TypeVar("_T")
_START_S = 30.0
_CALL_S = 10.0
_MAX_EVENTS = 10_000


class RunningAzure:
    """A handle on a LocalAzure that runs elsewhere; the same names, callable from any thread."""

    def __init__(
        self,
        azure: LocalAzure,
        loop: asyncio.AbstractEventLoop,
        stop: asyncio.Event,
        log: deque[Event],
    ) -> None:
        self._azure = azure
        self._loop = loop
        self._stop = stop
        self._log = log
        self.host = azure.host
        self.mqtt_port = azure.mqtt_port
        self.https_port = azure.https_port
        self.sntp_port = azure.sntp_port
        self.root_pem = azure.root_pem
        self.root_der = azure.root_der
        self.id_scope = azure.id_scope
        self.connection_string = azure.connection_string

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

    def telemetry(self, device_id: str | None = None) -> list[Message]:
        """What the hubs received and still keep, oldest first."""
        return self.call(lambda azure: azure.telemetry(device_id))

    def wait_for_telemetry(
        self, count: int, device_id: str | None = None, timeout_s: float = 10.0
    ) -> list[Message]:
        """Wait for so many messages; raise TimeoutError."""
        steps = self._azure.wait_for_telemetry(count, device_id, timeout_s)
        return asyncio.run_coroutine_threadsafe(steps, self._loop).result(timeout_s + _CALL_S)

    def call(self, do: Callable[[LocalAzure], _T]) -> _T:
        """Do something to the LocalAzure in its own thread; give back what it gives."""

        async def step() -> _T:
            return do(self._azure)

        return asyncio.run_coroutine_threadsafe(step(), self._loop).result(_CALL_S)


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
