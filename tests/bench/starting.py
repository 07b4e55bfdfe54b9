"""How long a server takes from its command to the first CONNECT that it answers."""

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench import servers
from tests.bench.figures import Size, Target, ratios, row, spread, table
from tests.bench.processes import BenchError, child
from tests.emulator.peers import connect

_PYTHON, _EMULATE = "python -c pass", "firstlight emulate"
_CONNACK = 0x20
_PATIENCE_S = 20.0


def starts(size: Size, folder: Path, program: str | None) -> list[Target]:
    """From the command to the first CONNACK, beside Python's own start and mosquitto's."""
    found: dict[str, list[float]] = {}
    for i in range(size.rounds):
        for name, seconds in _round(folder / str(i), program):
            found.setdefault(name, []).append(seconds)
    print(table("start to the first CONNACK, ms", found, lambda seconds: seconds * 1000))
    ratio = ratios(found[_EMULATE], found[_PYTHON])
    print(row(f"{_EMULATE} / {_PYTHON}", ratio.columns(1)) + "\n")
    middle_s = spread(found[_EMULATE]).middle
    met = None if size.is_quick else middle_s < 1
    return [Target("firstlight emulate starts in under a second", f"{middle_s:.2f} s", met)]


def _round(folder: Path, program: str | None) -> Iterator[tuple[str, float]]:
    yield _PYTHON, _python_s()
    yield _EMULATE, _emulate_s(folder / "emulate")
    if program is not None:
        yield "mosquitto", _mosquitto_s(program, folder / "mosquitto")


def _python_s() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.monotonic() - began


def _emulate_s(folder: Path) -> float:
    folder.mkdir(parents=True)
    port = servers.free_port()
    command = [
        servers.FIRSTLIGHT,
        "emulate",
        "--folder",
        str(folder),
        "--mqtt-port",
        str(port),
    ]
    command += ["--https-port", "0", "--sntp-port", "0"]
    return _answered_s(command, port)


def _mosquitto_s(program: str, folder: Path) -> float:
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    servers.write_papers(folder)
    port = servers.free_port()
    lines = [*servers.mosquitto_lines(folder, port), "allow_anonymous true"]
    (folder / "conf").write_text("\n".join(lines) + "\n")
    return _answered_s([program, "-c", str(folder / "conf")], port)


def _answered_s(command: list[str], port: int) -> float:
    began = time.monotonic()
    with child(command) as process:
        servers.wait_for_port(process, port)
        _ask(port)
        return time.monotonic() - began


def _ask(port: int) -> None:
    """CONNECT as nobody in particular: whatever CONNACK says, it is an answer."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only time is measured; the root is not known yet
    plain = socket.create_connection((servers.HOST, port), _PATIENCE_S)
    with context.wrap_socket(plain, server_hostname="localhost") as wire:
        wire.sendall(connect("nobody", "localhost/nobody/?api-version=2021-04-12", "none"))
        if wire.recv(4)[:1] != bytes([_CONNACK]):
            raise BenchError("a server did not answer CONNECT")
