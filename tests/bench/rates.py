"""How many a second: registrations beside what a server does that checks less, and telemetry."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench import servers
from tests.bench.figures import Size, Spread, Target, ratios, row, table
from tests.bench.processes import Crew, Reading, Server

_HALF = 0.5
_WARM = 900_000  # numbers of devices that no round has
_BARE, _REGISTER, _STATE = "bare TLS handshake", "registration", "registration, --state"
_CONNECT, _PASSWORD = "mosquitto CONNECT", "mosquitto CONNECT, password"
Readings = dict[str, list[Reading]]


@dataclass(frozen=True)
class Row:
    """One thing that is measured."""

    name: str
    server: Server
    do: str


def registrations(size: Size, folder: Path, program: str | None) -> list[Target]:
    """Every row in every round, each round beginning with another."""
    with ExitStack() as stack:
        rows = list(_rows(stack, folder, program))
        for one in rows:
            read(one, _WARM, max(size.per_round // 10, 4), size)
        readings: Readings = {one.name: [] for one in rows}
        for i in range(size.rounds):
            for one in rows[i % len(rows) :] + rows[: i % len(rows)]:
                readings[one.name].append(read(one, i * size.per_round, size.per_round, size))
    print(table("a second", readings, lambda reading: reading.rate))
    _print_processor(readings)
    _print_ratios("processor seconds / bare", readings, lambda reading: reading.server_us)
    rate = _print_ratios("rate / bare", readings, lambda reading: reading.rate)[_REGISTER].middle
    met = None if size.is_quick else rate >= _HALF
    what = "at least half as many registrations a second as bare TLS handshakes"
    return [Target(what, f"{rate:.2f}, the median of {size.rounds} rounds", met)]


def telemetry(size: Size, folder: Path, program: str | None) -> list[Target]:
    """Messages at QoS 1, each acknowledged, 20 of a device on their way at a time."""
    with ExitStack() as stack:
        azure = stack.enter_context(servers.emulator(folder / "azure"))
        kept = stack.enter_context(servers.emulator(folder / "kept", state=True))
        for server in (azure, kept):
            read(Row("", server, "register"), 0, size.senders, size)
        rows = [Row("telemetry", azure, "hub"), Row("telemetry, --state", kept, "hub")]
        if program is not None:
            broker = stack.enter_context(servers.mosquitto(program, folder / "broker", False))
            rows.append(Row("mosquitto PUBLISH", broker, "broker"))
        crews = {one.name: stack.enter_context(_senders(one, size)) for one in rows}
        for crew in crews.values():
            crew.act()
        readings: Readings = {name: [] for name in crews}
        for _ in range(size.rounds):
            for name, crew in crews.items():
                readings[name].append(crew.send())
    print(table("messages a second", readings, lambda reading: reading.rate))
    _print_processor(readings)
    return []


def read(one: Row, first: int, count: int, size: Size) -> Reading:
    """Let devices act, each once."""
    job = replace(one.server.job, do=one.do, first=first, count=count)
    with Crew(one.server, job, size.processes) as crew:
        return crew.act()


def _rows(stack: ExitStack, folder: Path, program: str | None) -> Iterator[Row]:
    yield Row(_BARE, stack.enter_context(servers.bare(folder / "bare")), "handshake")
    azure = stack.enter_context(servers.emulator(folder / "azure"))
    yield Row(_REGISTER, azure, "register")
    kept = stack.enter_context(servers.emulator(folder / "kept", state=True))
    yield Row(_STATE, kept, "register")
    if program is not None:
        for name, checks in ((_CONNECT, False), (_PASSWORD, True)):
            where = folder / ("with-passwords" if checks else "without")
            broker = stack.enter_context(servers.mosquitto(program, where, checks))
            yield Row(name, broker, "connect")


def _senders(one: Row, size: Size) -> Crew:
    """Devices that stay connected."""
    job = replace(one.server.job, do=one.do, count=size.senders, keep=True)
    return Crew(one.server, replace(job, each=size.messages, window=20), size.processes)


def _print_processor(readings: Readings) -> None:
    print(table("server's processor, us each", readings, lambda reading: reading.server_us))
    print(table("clients' processor, us each", readings, lambda reading: reading.client_us))


def _print_ratios(
    title: str, readings: Readings, take: Callable[[Reading], float]
) -> dict[str, Spread]:
    """Each row beside bare handshakes."""
    base = [take(reading) for reading in readings[_BARE]]
    found = {
        name: ratios([take(reading) for reading in own], base)
        for name, own in readings.items()
        if name != _BARE
    }
    print(row(title, ["least", "median", "most"]))
    for name, ratio in found.items():
        print(row(name, ratio.columns(2)))
    print()
    return found
