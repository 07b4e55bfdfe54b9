"""What a connected device costs the server's process in resident memory."""

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from tests.bench import servers
from tests.bench.figures import Size, Target, row
from tests.bench.processes import Crew, Server
from tests.bench.rates import Row, read

_DEVICES, _GIGABYTE = 10_000, 1_000_000_000
_Others = list[tuple[str, AbstractContextManager[Server], str]]


def residents(size: Size, folder: Path, program: str | None) -> list[Target]:
    """The emulator with every device connected, and others with a tenth as many."""
    with servers.emulator(folder / "azure") as azure:
        idle = azure.resident_bytes()
        read(Row("", azure, "register"), 0, size.devices, size)
        registered = azure.resident_bytes()
        connected = _connected_bytes(azure, "hub", size.devices, size)
    print(row("resident memory", ["MB", "KB each", "devices"]))
    _print_row("emulator, idle", idle)
    _print_row("  every device registered", registered, idle, size.devices)
    _print_row("  connected, subscribed, sent", connected, idle, size.devices)
    few = max(size.devices // 10, 1)
    for name, starting, do in _others(folder, program):
        with starting as server:
            empty = server.resident_bytes()
            _print_row(name, _connected_bytes(server, do, few, size), empty, few)
    print()
    met = None if size.devices < _DEVICES else connected < _GIGABYTE
    found = f"{connected / 1e6:.0f} MB with {size.devices}"
    return [Target(f"{_DEVICES} connected devices in under 1 GB", found, met)]


def _others(folder: Path, program: str | None) -> _Others:
    others: _Others = [("bare TLS, asyncio's own", servers.bare(folder / "bare"), "handshake")]
    if program is not None:
        broker = servers.mosquitto(program, folder / "broker", checks_password=False)
        others.append(("mosquitto", broker, "broker"))
    return others


def _connected_bytes(server: Server, do: str, count: int, size: Size) -> int:
    job = replace(server.job, do=do, count=count, keep=True)
    with Crew(server, job, size.processes) as crew:
        crew.act()
        return server.resident_bytes()


def _print_row(name: str, resident: int, empty: int = 0, devices: int = 0) -> None:
    each = f"{(resident - empty) / devices / 1000:.1f}" if devices else ""
    print(row(name, [f"{resident / 1e6:.1f}", each, str(devices or "")]))
