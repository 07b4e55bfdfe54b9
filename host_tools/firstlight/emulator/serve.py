"""The body of `firstlight emulate`: run a local Azure until it is told to stop.

Prints only through `say`, and never a secret: those are in a file for their owner alone.
"""

import asyncio
import signal
import time
from collections.abc import Callable

from . import events
from .azure import LocalAzure
from .settings import Settings


async def serve(settings: Settings, say: Callable[[str], None], json_lines: bool = False) -> None:
    """Serve until SIGINT or SIGTERM. say takes one line; json_lines: events as JSON objects.

    Raises UsageError for settings that cannot be, ToolError for a port that cannot be had, and
    the OSError of a say that failed, once everything is closed.
    """
    render = events.json_line if json_lines else events.line
    stop = asyncio.Event()
    failures: list[OSError] = []

    def tell(text: str) -> None:
        # No device must suffer for it: the first failure ends the service in good order.
        try:
            if not failures:
                say(text)
        except OSError as error:
            failures.append(error)
            stop.set()

    azure = LocalAzure(settings, lambda event: tell(render(event)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await azure.start()
    try:
        for text in _banner(azure, json_lines):
            tell(text)
        await stop.wait()
    finally:
        await azure.stop()
    if failures:
        raise failures[0]


def _banner(azure: LocalAzure, json_lines: bool) -> list[str]:
    if json_lines:
        start = {"at": time.time(), "part": "azure", "id": azure.host, "what": "ready"}
        return [events.json_line(start | azure.info())]
    return [
        f"local Azure on {azure.host}",
        f"  id scope           {azure.id_scope}",
        f"  DPS and hubs       {azure.host}:{azure.mqtt_port} (MQTT over TLS)",
        f"  hubs               {', '.join(azure.hubs)}",
        f"  service API        https://{azure.service_address}",
        f"  time (SNTP)        {azure.host}:{azure.sntp_port}",
        f"  root certificate   {azure.root_pem}",
        f"  connection string  in {azure.root_pem.with_name('connection-string.txt')}",
    ]
