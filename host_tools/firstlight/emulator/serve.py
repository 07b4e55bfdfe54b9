"""The body of `firstlight emulate`: run a local Azure until it is told to stop.

Prints only through `say`. The one secret that it shows is the key of the group that it makes, and
only to people, not in JSON: that key opens nothing but this emulator, on this machine, and one who
tries a device by hand needs it. Every other secret is in a file for its owner alone.
"""

import asyncio
import signal
import time
from collections.abc import Callable

from . import events
from .azure import LocalAzure
from .dps.allocation import NotAllocated, allocate, candidates
from .dps.records import Enrollment
from .recipes import DEVICE, recipes
from .settings import DPS_NAME, Settings


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
    folder = azure.root_pem.parent
    if json_lines:
        start = {"at": time.time(), "part": "azure", "id": azure.host, "what": "ready"}
        files = {"folder": str(folder.absolute())}
        if azure.group is not None:
            key = (folder / "group.key").absolute()
            files |= {"group": azure.group.id, "group_key": str(key)}
        return [events.json_line(start | azure.info() | files)]
    lines = [
        f"local Azure on {azure.host}",
        f"  id scope           {azure.id_scope}",
        f"  DPS and hubs       {azure.host}:{azure.mqtt_port} (MQTT over TLS)",
        f"  hubs               {', '.join(_hubs(azure))}",
        *(
            f"  {title:<18} https://{azure.settings.dps_host()}:{port}"
            for title, port in _ports(azure)
        ),
        f"  time (SNTP)        {azure.host}:{azure.sntp_port}",
        f"  root certificate   {azure.root_pem}",
        f"  connection strings {folder}/connection-string.txt, {folder}/hub-NAME.txt",
    ]
    if azure.group is None:
        return lines
    lines.append(f"  group {azure.group.id + ',':<12} key {azure.group.keys.primary_b64}")
    home = _home(azure, azure.group)
    for title, commands in recipes(azure.info(), str(folder), DPS_NAME, home).items():
        lines += ["", f"# {title}:", *commands]
    return [*lines, ""]


def _home(azure: LocalAzure, group: Enrollment) -> str:
    """The hub that the device of the recipes will be assigned to, as far as can be foreseen."""
    rules, hubs = azure.settings.rules(azure.id_scope), candidates(group, azure.hubs)
    try:
        return allocate(group.allocation_policy, hubs, DEVICE, rules).hub
    except NotAllocated:
        return next(iter(azure.hubs))


def _hubs(azure: LocalAzure) -> list[str]:
    places = {hub: azure.settings.address_of(hub) for hub in azure.hubs}
    return [
        hub if address in (hub, azure.host) else f"{hub} at {address}"
        for hub, address in places.items()
    ]


def _ports(azure: LocalAzure) -> list[tuple[str, int]]:
    first, *more = azure.https_ports
    return [("REST, and wss", first), *(("", port) for port in more)]
