"""Names that lead to a local Azure, for this process alone: no root, no file of the system.

Clients that fix port 8883 or 443, and names such as global.azure-devices-provisioning.net, come to
the emulator's own addresses and ports while the context lasts:

    with redirected(Path("local-azure")):      # or running.redirected()
        ProvisioningDeviceClient.create_from_symmetric_key(GLOBAL_NAME, ...)

Works by socket.getaddrinfo, which socket.create_connection, asyncio (for names; it does not ask
for addresses), aiohttp, requests and paho-mqtt all use. Changes no certificate check: the
emulator's certificate has the names. Other processes see nothing of it.
"""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import UsageError

Table: TypeAlias = dict[tuple[str, int], tuple[str, int]]
_MAX_BYTES = 1024 * 1024
_lock = threading.Lock()
_tables: list[Table] = []
_genuine: Any = None


def table(info: Mapping[str, Any]) -> Table:
    """(name, port) to (address, port), of what /emulator/info and info.json say."""
    ports = {8883: info["mqtt_port"], 443: info["https_port"], 8443: info["https_port"]}
    ports.update({port: port for port in info["https_ports"]})
    ports.update({info["mqtt_port"]: info["mqtt_port"]})
    return {
        (name, asked): (address, port)
        for name, address in info["addresses"].items()
        for asked, port in ports.items()
    }


@contextmanager
def redirected(to: Path | str | Table) -> Iterator[None]:
    """Send names to a local Azure, in this process. to: its folder, or a table of one's own.

    May be nested; the inner one goes first. Raise UsageError for a folder that is not one.
    """
    entries = dict(to) if isinstance(to, dict) else table(_read(Path(to) / "info.json"))
    with _lock:
        _tables.append(entries)
        _install()
    try:
        yield
    finally:
        with _lock:
            _tables.remove(entries)
            _uninstall()


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            info = json.loads(file.read(_MAX_BYTES))
        table(info)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{path.parent} is not the folder of a local Azure that runs") from None
    return dict(info)


def _install() -> None:
    global _genuine  # noqa: PLW0603  (the one function that it stands in for)
    if socket.getaddrinfo is not _getaddrinfo:
        _genuine = socket.getaddrinfo
        socket.getaddrinfo = _getaddrinfo


def _uninstall() -> None:
    if not _tables and socket.getaddrinfo is _getaddrinfo:
        socket.getaddrinfo = _genuine


def _getaddrinfo(host: Any, port: Any, *more: Any, **named: Any) -> Any:
    found = _find(host, port)
    return _genuine(*(found or (host, port)), *more, **named)


def _find(host: Any, port: Any) -> tuple[str, int] | None:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if not isinstance(name, str) or not str(port).isdigit():
        return None
    key = name.lower().removesuffix("."), int(port)
    return next((entries[key] for entries in reversed(_tables) if key in entries), None)
