"""A local Azure as a process of its own, which a test may kill, and its REST APIs.

Shares no code with the emulator but the command line.
"""

import http.client
import json
import queue
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import peers

FIRSTLIGHT = [sys.executable, "-c", "from firstlight.cli import main; main()"]
PATIENCE_S = 30.0


@dataclass
class Emulation:
    """A running `firstlight emulate`; has what peers.Peer takes of a RunningAzure."""

    process: "subprocess.Popen[str]"
    folder: Path
    info: dict[str, Any]
    events: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return str(self.info["host"])

    @property
    def mqtt_port(self) -> int:
        return int(self.info["mqtt_port"])

    @property
    def id_scope(self) -> str:
        return str(self.info["id_scope"])

    @property
    def root_pem(self) -> Path:
        return Path(self.info["root_pem"])

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def end(self, number: int = signal.SIGINT) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def owner_key(self, paper: str = "connection-string.txt") -> str:
        """The key of the policy in a connection string that it wrote."""
        return (self.folder / paper).read_text().strip().partition("SharedAccessKey=")[2]

    def rest(self, token: str) -> "Rest":
        """Its REST APIs, for whoever has that token."""
        return Rest(self, token)

    def dps(self) -> "Rest":
        """The service API of DPS, as its owner."""
        return self.rest(
            peers.token("localhost", self.owner_key(), skn="provisioningserviceowner")
        )

    def hub(self, name: str = "localhost") -> "Rest":
        """The service API of a hub, as its owner."""
        key = self.owner_key(f"hub-{name}.txt")
        return self.rest(peers.token(name, key, skn="iothubowner"))


class Rest:
    """One kept-alive HTTPS connection."""

    def __init__(self, azure: Emulation, token: str) -> None:
        context = ssl.create_default_context(cafile=str(azure.root_pem))
        self._token = token
        self._wire = http.client.HTTPSConnection(
            "localhost", azure.info["https_port"], timeout=PATIENCE_S, context=context
        )

    def __enter__(self) -> "Rest":
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    def ask(self, method: str, path: str, document: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and document; raise OSError or HTTPException if there is no answer."""
        joint = "&" if "?" in path else "?"
        body = document if isinstance(document, bytes | None) else json.dumps(document).encode()
        usual = {"Authorization": self._token, "Content-Type": "application/json"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._wire.request(method, f"{path}{joint}api-version=2021-10-01", body, usual | named)
        answer = self._wire.getresponse()
        raw = answer.read()
        return answer.status, json.loads(raw) if raw else None


@contextmanager
def emulation(folder: Path, *options: str) -> Iterator[Emulation]:
    """Start one on free ports, its papers in folder; kill it in the end if it still runs."""
    command = [*FIRSTLIGHT, "emulate", "--json", "--mqtt-port", "0", "--https-port", "0"]
    command += ["--sntp-port", "0", "--retry-after", "0", "--folder", str(folder), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        events: list[str] = []
        reader = threading.Thread(target=_read, args=(process, lines, events))
        reader.start()
        try:
            first = lines.get(timeout=PATIENCE_S)
            assert first.startswith("{"), first
            yield Emulation(process, folder, json.loads(first), events)
        finally:
            process.kill()
            reader.join(PATIENCE_S)


def _read(
    process: "subprocess.Popen[str]", first: "queue.SimpleQueue[str]", events: list[str]
) -> None:
    """Read what it says to the end: a full pipe would hold it up."""
    assert process.stdout is not None
    for number, line in enumerate(process.stdout):
        if number == 0:
            first.put(line)
        events.append(line)
    first.put("it said nothing")
