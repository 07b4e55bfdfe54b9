"""Ordinary clients with a certificate, as a person would use them: a shell's words, and paho.

A shell's words are a string in Bash's own syntax, as articles print them; what differs from test
to test comes by variables. Whatever a program prints comes back, and every wait is bounded.
"""

import json
import os
import queue
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt  # type: ignore[import-untyped]

from firstlight.emulator.running import RunningAzure
from tests.emulator.peers import POLL, REGISTER, RESULTS
from tests.interop.places import PATIENCE_S

DPS = "global.azure-devices-provisioning.net"


@dataclass(frozen=True)
class Said:
    """How a program ended, and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Reply:
    """What `curl -i` printed."""

    status: int
    document: Any


@dataclass(frozen=True)
class Shell:
    """A folder to work in, at a local Azure: $HOST, $SCOPE, $ROOT, $PORT, and variables.

    $AT: what makes curl find the local Azure behind names of Azure's own, and trust it.
    """

    bash: str
    folder: Path
    azure: RunningAzure
    variables: dict[str, str] = field(default_factory=dict)

    def having(self, **variables: str) -> "Shell":
        """The same, with further variables."""
        return Shell(self.bash, self.folder, self.azure, self.variables | variables)

    def run(self, words: str) -> Said:
        """Run a line of Bash."""
        azure = self.azure
        here = f"443:{azure.host}:{azure.https_port}"
        known = {
            "HOST": azure.host,
            "PORT": str(azure.mqtt_port),
            "SCOPE": azure.id_scope,
            "ROOT": str(azure.root_pem),
            "AT": f"--cacert {azure.root_pem} "
            f"--connect-to {DPS}:{here} --connect-to {azure.host}:{here}",
        }
        done = subprocess.run(
            [self.bash, "-euc", words],
            cwd=self.folder,
            env=os.environ | known | self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
            text=True,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def good(self, words: str) -> str:
        """Run a line of Bash that must end well; what it printed."""
        said = self.run(words)
        assert said.code == 0, said
        return said.out

    def curl(self, words: str) -> Reply:
        """Run a `curl -i` that must get an answer, whatever it is."""
        head, _, body = self.good(words).partition("\n\n")
        return Reply(int(head.split()[1]), json.loads(body) if body.strip() else None)


class Paho:
    """A device at DPS: paho's client, connected and subscribed; it sends no password.

    tls: with the client's certificate, if it shows one.
    """

    def __init__(self, azure: RunningAzure, id: str, tls: ssl.SSLContext) -> None:
        self._id = id
        said: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._said = said  # no circle: what paho holds, goes with it
        client = self._client = mqtt.Client(id, protocol=mqtt.MQTTv311)
        client.username_pw_set(f"{azure.id_scope}/registrations/{id}/api-version=2019-03-31")
        client.tls_set_context(tls)
        client.on_connect = lambda _c, _d, _f, code: said.put(("CONNACK", code))
        client.on_subscribe = lambda _c, _d, _m, granted: said.put(("SUBACK", granted))
        client.on_message = lambda _c, _d, m: said.put((m.topic, json.loads(m.payload)))
        client.connect(azure.host, azure.mqtt_port)
        client.loop_start()

    def __enter__(self) -> "Paho":
        assert self._next() == ("CONNACK", 0)
        self._client.subscribe(RESULTS, qos=1)
        assert self._next() == ("SUBACK", (1,))
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def register(self) -> tuple[str, Any]:
        """The topic and the document of the answer."""
        body = json.dumps({"registrationId": self._id})
        self._client.publish(f"{REGISTER}1", body, qos=1)
        return self._next()

    def poll(self, operation_id: str) -> tuple[str, Any]:
        """The topic and the document of the answer."""
        self._client.publish(f"{POLL}2&operationId={operation_id}", qos=1)
        return self._next()

    def _next(self) -> tuple[str, Any]:
        return self._said.get(timeout=PATIENCE_S)


def shell_at(program: Callable[[str], str], folder: Path, azure: RunningAzure) -> Shell:
    """A shell, once each program that these tests run is there."""
    for name in ("openssl", "curl", "mosquitto_pub"):
        program(name)
    return Shell(program("bash"), folder, azure)
