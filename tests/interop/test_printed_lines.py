"""Every command that `firstlight emulate` prints, run in a shell exactly as printed."""

import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.places import PATIENCE_S

BIN = Path(sys.executable).parent  # where this installation's own commands are


class Emulate:
    """A running `firstlight emulate`, and what it printed."""

    def __init__(self, folder: Path) -> None:
        ports = [f"--{name}-port=0" for name in ("mqtt", "https", "sntp")]
        self.process = subprocess.Popen(
            [BIN / "firstlight", "emulate", *ports, "--folder", "local azure"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.cwd = folder
        self.folder = folder / "local azure"
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.banner = self._until_the_last_recipe()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def _until_the_last_recipe(self) -> list[str]:
        lines: list[str] = []
        while "END" not in lines:
            lines.append(self._lines.get(timeout=PATIENCE_S))
        return lines

    def recipe(self, title: str) -> str:
        """The commands below the first heading that has these words."""
        start = next(
            number
            for number, line in enumerate(self.banner)
            if line.startswith("# ") and title in line
        )
        rest = self.banner[start + 1 :]
        end = next(n for n, line in enumerate([*rest, "# "]) if line.startswith("# "))
        return "\n".join(rest[:end])

    def run(self, commands: str) -> "subprocess.Popen[str]":
        """A shell that is at the first failure and told nothing but where our commands are."""
        return subprocess.Popen(
            ["bash", "-e", "-o", "pipefail", "-c", commands],
            cwd=self.cwd,
            env=os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def done(self, commands: str) -> str:
        """What a shell prints, once it has ended well."""
        shell = self.run(commands)
        said, complaint = shell.communicate(timeout=2 * PATIENCE_S)
        assert shell.returncode == 0, complaint
        return said

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def emulate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulate]:
    running = Emulate(tmp_path_factory.mktemp("emulate"))
    yield running
    running.end()


@pytest.fixture(scope="module")
def registered(emulate: Emulate, program: Callable[[str], str]) -> Any:
    """What curl got for the device of the recipes."""
    program("curl")
    said = emulate.done(emulate.recipe("over HTTPS"))
    return json.loads(said)


def test_curl_registers_a_device(registered: Any) -> None:
    assert registered["status"] == "assigning"
    assert registered["operationId"]


def test_mosquitto_sends_and_receives(
    emulate: Emulate, registered: Any, program: Callable[[str], str]
) -> None:
    program("mosquitto_pub")
    shell = emulate.run(emulate.recipe("send as"))
    # mosquitto_sub hears what is sent from when it has subscribed, which it does not tell.
    for _ in range(int(PATIENCE_S)):
        emulate.done(emulate.recipe("from another terminal"))
        try:
            shell.wait(1)
            break
        except subprocess.TimeoutExpired:
            continue
    said, complaint = shell.communicate(timeout=1)
    assert (said, shell.returncode) == ("from curl\n", 0), complaint


def test_curl_reads_what_was_sent_as_a_list_and_as_it_comes(
    emulate: Emulate, registered: Any, program: Callable[[str], str]
) -> None:
    program("mosquitto_pub")
    lines = emulate.recipe("send as").splitlines()
    emulate.done("\n".join(line for line in lines if not line.startswith("mosquitto_sub")))
    as_list, as_stream = [
        line for line in emulate.recipe("hubs received").splitlines() if line.startswith("curl")
    ]
    listed = json.loads(emulate.done(as_list))
    assert "from mosquitto_pub" in [message["body"] for message in listed]
    stream = emulate.run(as_stream)
    assert stream.stdout is not None
    data = next(line for line in stream.stdout if "mosquitto_pub" in line)
    assert json.loads(data.removeprefix("data:"))["body"] == "from mosquitto_pub"
    stream.kill()
    stream.communicate(timeout=PATIENCE_S)


def test_the_python_sdk_registers_and_sends(emulate: Emulate) -> None:
    code = emulate.recipe("Python SDK")
    assert "dev-1" in code
    emulate.done(code)
    lines = emulate.recipe("hubs received").splitlines()
    as_list = next(line for line in lines if line.startswith("curl"))
    assert "from the Python SDK" in emulate.done(as_list)


def test_no_line_repeats_a_secret_but_the_groups_key(emulate: Emulate) -> None:
    banner = "\n".join(emulate.banner)
    key = (emulate.folder / "group.key").read_text().strip()
    assert banner.count(key) == 1
    for name in ("connection-string.txt", "hub-localhost.txt"):
        secret = re.search("SharedAccessKey=(.+)", (emulate.folder / name).read_text())
        assert secret is not None
        assert secret[1].strip() not in banner
