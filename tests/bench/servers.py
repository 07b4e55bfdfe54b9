"""The servers of a bench, each a process of its own: the emulator, bare TLS, mosquitto."""

import base64
import getpass
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme

from tests.bench.fleet import Job
from tests.bench.processes import BenchError, Server, child
from tests.emulator.peers import token

HOST = "127.0.0.1"
FIRSTLIGHT = str(Path(sys.executable).with_name("firstlight"))
_START_S = 20.0
_LOOK_EVERY_S = 0.002
_GROUP = "bench"


@contextmanager
def emulator(folder: Path, state: bool = False) -> Iterator[Server]:
    """`firstlight emulate` without its limits on registrations a minute; every check is on."""
    folder.mkdir()
    command = [FIRSTLIGHT, "emulate", "--json", "--no-group", "--folder", str(folder)]
    command += ["--mqtt-port", "0", "--https-port", "0", "--sntp-port", "0"]
    command += [
        "--polls",
        "0",
        "--retry-after",
        "0",
        "--set",
        "registrations_per_minute=none",
    ]
    command += ["--set", "operations_per_minute=none"]
    if state:
        command += ["--state", str(folder / "state.db")]
    with child(command, folder / "log") as process:
        info = _first_line(process, folder / "log")
        root = Path(info["root_pem"]).read_text()
        key_b64 = _enroll(folder, root, info["https_port"])
        scope = info["id_scope"]
        job = Job("", HOST, info["mqtt_port"], root, id_scope=scope, group_key_b64=key_b64)
        yield Server(process, job)


@contextmanager
def bare(folder: Path) -> Iterator[Server]:
    """TLS and nothing else."""
    folder.mkdir()
    with child([sys.executable, "-m", "tests.bench.bare"], folder / "log") as process:
        info = _first_line(process, folder / "log")
        yield Server(process, Job("", HOST, info["port"], info["root"]))


@contextmanager
def mosquitto(program: str, folder: Path, checks_password: bool) -> Iterator[Server]:
    """mosquitto with a certificate of the same kind, and nothing that outlives it."""
    folder.mkdir()
    folder.chmod(0o700)
    root = write_papers(folder)
    port, password = free_port(), os.urandom(12).hex() if checks_password else ""
    lines = mosquitto_lines(folder, port)
    if checks_password:
        lines += [f"password_file {_password_file(folder, password)}"]
    lines += [f"allow_anonymous {'false' if checks_password else 'true'}"]
    (folder / "conf").write_text("\n".join(lines) + "\n")
    with child([program, "-c", str(folder / "conf")], folder / "log") as process:
        wait_for_port(process, port)
        yield Server(process, Job("", HOST, port, root, password=password))


def mosquitto_program() -> str | None:
    """Where mosquitto is; Debian puts it where only root looks."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


def mosquitto_lines(folder: Path, port: int) -> list[str]:
    """A configuration: TLS 1.2 on loopback."""
    return [
        f"listener {port} {HOST}",
        f"user {getpass.getuser()}",
        "persistence false",
        "log_dest none",
        "set_tcp_nodelay true",
        f"certfile {folder / 'server.pem'}",
        f"keyfile {folder / 'server.key'}",
        "tls_version tlsv1.2",
    ]


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_for_port(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until somebody listens there; raise BenchError if nobody does."""
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            socket.create_connection((HOST, port), _START_S).close()
        except ConnectionError:
            time.sleep(_LOOK_EVERY_S)
        else:
            return
    raise BenchError(f"{Path(str(process.args[0])).name} did not start")  # type: ignore[index]


def write_papers(folder: Path) -> str:
    """Write a server's certificate and key; its root, PEM."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", HOST)
    certificate.cert_chain_pems[0].write_to_path(folder / "server.pem")
    certificate.private_key_pem.write_to_path(folder / "server.key")
    return authority.cert_pem.bytes().decode()


def _password_file(folder: Path, password: str) -> Path:
    """mosquitto's own, of one user; the program reads the password from its file, not its argv."""
    path = folder / "passwords"
    path.write_text(f"bench:{password}\n")
    path.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", str(path)], check=True, capture_output=True)
    return path


def _first_line(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    """The JSON object that a child prints once it serves."""
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        line, end, _ = log.read_text().partition("\n")
        if end:
            found: dict[str, Any] = json.loads(line)
            return found
        time.sleep(_LOOK_EVERY_S)
    raise BenchError("a server did not start")


def _enroll(folder: Path, root: str, port: int) -> str:
    """Create the fleet's group by the service API; its primary key."""
    line = (folder / "connection-string.txt").read_text().strip()
    parts = dict(part.split("=", 1) for part in line.split(";"))
    proof = token(parts["HostName"], parts["SharedAccessKey"], skn=parts["SharedAccessKeyName"])
    keys = [base64.b64encode(os.urandom(64)).decode() for _ in range(2)]
    pair = {"primaryKey": keys[0], "secondaryKey": keys[1]}
    document = {
        "enrollmentGroupId": _GROUP,
        "attestation": {"type": "symmetricKey", "symmetricKey": pair},
    }
    context = ssl.create_default_context(cadata=root)
    connection = http.client.HTTPSConnection("localhost", port, timeout=_START_S, context=context)
    path = f"/enrollmentGroups/{_GROUP}?api-version=2021-10-01"
    connection.request("PUT", path, json.dumps(document), {"Authorization": proof})
    status = connection.getresponse().status
    connection.close()
    if status != 200:
        raise BenchError(f"the group could not be created: {status}")
    return keys[0]
