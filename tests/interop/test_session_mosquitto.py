"""mosquitto's broker takes what a board's Session says, and its clients hear and answer it.

A general broker is no hub, but it is not ours: it checks each packet of link.py and session.py by
MQTT's own rules. mosquitto_pub says what a hub would.
"""

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.board import peers
from tests.board.conftest import on_micropython

__all__ = ("on_micropython",)  # a fixture
_PATIENCE_S = 30.0
_HEARD = ("-W", "60", "-d", "-v", "-t", "devices/#", "-t", "$iothub/#")


class Broker:
    """mosquitto on a free port, over TLS, and a client of it that hears everything."""

    def __init__(self, program: Callable[[str], str], folder: Path) -> None:
        issuer = trustme.CA()
        self.root = peers.root_file(issuer, folder)
        server = issuer.issue_cert("localhost")
        server.cert_chain_pems[0].write_to_path(folder / "server.pem")
        server.private_key_pem.write_to_path(folder / "server.key")
        issuer.cert_pem.write_to_path(folder / "root.pem")
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        (folder / "broker.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"certfile {folder}/server.pem\nkeyfile {folder}/server.key\nuser root\n"
        )
        self._program, self._folder = program, folder
        self._broker = self._start("mosquitto", "-v", "-c", str(folder / "broker.conf"))
        self._wait(self._broker, "running")
        self._drains = threading.Thread(target=self._drain)
        self._drains.start()
        self._heard = self._client("mosquitto_sub", *_HEARD)
        self._wait(self._heard, "Subscribed")

    def say(self, topic: str, body: str) -> None:
        """Publish at QoS 1, and see it acknowledged by the broker."""
        client = self._client("mosquitto_pub", "-t", topic, "-m", body)
        said, _ = client.communicate(timeout=_PATIENCE_S)
        assert client.returncode == 0, said

    def hears(self, topic: str) -> str:
        """Wait for a message whose topic begins so; the line that shows it."""
        return self._wait(self._heard, "\n" + topic)

    def end(self) -> None:
        for process in (self._heard, self._broker):
            process.terminate()
            process.wait(_PATIENCE_S)
        self._drains.join(_PATIENCE_S)
        for process in (self._heard, self._broker):
            assert process.stdout is not None
            process.stdout.close()

    def _client(self, name: str, *words: str) -> "subprocess.Popen[str]":
        where = (
            "-h",
            "localhost",
            "-p",
            str(self.port),
            "--cafile",
            str(self._folder / "root.pem"),
        )
        return self._start(name, *where, "-V", "mqttv311", "-q", "1", *words)

    def _start(self, name: str, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [self._program("stdbuf"), "-oL", self._program(name), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _drain(self) -> None:
        assert self._broker.stdout is not None
        for _ in self._broker.stdout:
            pass

    @staticmethod
    def _wait(process: "subprocess.Popen[str]", text: str) -> str:
        assert process.stdout is not None
        for line in process.stdout:
            if text in "\n" + line:
                return line
        raise AssertionError(f"no {text!r} before the end")


@pytest.fixture
def broker(program: Callable[[str], str], tmp_path: Path) -> Iterator[Broker]:
    made = Broker(program, tmp_path)
    yield made
    made.end()


def test_a_general_broker_takes_a_whole_conversation(broker: Broker, on_micropython: Any) -> None:
    asked = {
        "port": broker.port,
        "root": str(broker.root),
        "device_id": "d",
        "user": "u",
        "password": "p",
        "puts": ["one", "two"],
        "reports": {"led": "on"},
        "goal": {"acked": 2, "messages": 1, "calls": 1, "idle": True},
    }
    with ThreadPoolExecutor(1) as pool:
        talk = pool.submit(on_micropython, "session_probe.py", asked)
        rid = broker.hears("$iothub/twin/GET/?$rid=").split()[0].partition("=")[2]
        broker.say(f"$iothub/twin/res/200/?$rid={rid}", '{"desired": {"a": 1, "$version": 3}}')
        heard = broker.hears("$iothub/twin/PATCH/properties/reported/?$rid=")
        assert heard.partition(" ")[2] == '{"led": "on"}\n'
        rid = heard.split()[0].partition("=")[2]
        broker.say(f"$iothub/twin/res/204/?$rid={rid}&$version=2", "")
        broker.say("devices/d/messages/devicebound/%24.mid=7&n", "to the device")
        broker.say("$iothub/methods/POST/echo/?$rid=1a", json.dumps({"x": 1}))
        reply = broker.hears("$iothub/methods/res/200/?$rid=1a")
        result = talk.result()
    assert '{"x": 1}' in reply
    assert result["errors"] == [None]
    assert (result["acked"], result["left"]) == (2, 0)
    assert result["wholes"] == [{"a": 1, "$version": 3}]
    assert result["messages"] == [["<class 'bytes'>", "to the device", {"$.mid": "7", "n": None}]]
