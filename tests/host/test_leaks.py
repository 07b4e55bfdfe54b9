"""Runs of the command line leave no secret behind: not in files, prints, arguments, children.

First that what looks for secrets finds them; then that there is nothing to find.
"""

import os
import subprocess
import sys
import zlib
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha512
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePrivateNumbers,
)
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from firstlight import keys, virtual
from firstlight.ca.certificate import PrivateKey
from firstlight.ca.seal import unsealed
from firstlight.custody import write_private
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.interop.softhsm import SoftHSM
from tests.leaks import find_secrets
from tests.watched import Watched, look, run_watched

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

G = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
SECOND = b64encode(sha512(b"the second").digest()).decode()
WIFI, PIN = "correct horse/battery+7", "pin 917356 of the line"
FIRSTLIGHT = [sys.executable, "-c", "from firstlight.cli import main; main()"]
RAW = b64decode(G)


@pytest.mark.parametrize(
    "planted",
    [
        G.encode(),
        G[20:60].encode(),  # a part of it
        quote(G, safe="").encode(),
        G.replace("+", "%2b").replace("/", "%2f").replace("=", "%3d").encode(),
        G.replace("/", "\\/").encode(),
        G.encode("utf-16-le"),
        RAW,
        RAW[20:40],
        RAW.hex().encode(),
        RAW.hex().upper().encode(),
        urlsafe_b64encode(RAW),
        b64encode(b"user:" + G.encode()),
        b64encode(b"{}" + RAW),
        repr(RAW).encode(),
        repr(list(RAW)).encode(),
        b"\x89PNG..." + zlib.compress(b"x" + G.encode()),
    ],
)
def test_a_secret_is_found_in_every_form(planted: bytes, tmp_path: Path) -> None:
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / "deep" / "down" / "file").write_bytes(b"\0before" + planted + b"after\xff")
    (tmp_path / "other").write_bytes(os.urandom(1000))
    found = find_secrets(tmp_path, {"the key": G})
    assert found
    assert all("down/file" in line and "the key as" in line for line in found)
    assert G[:16] not in "".join(found)
    assert find_secrets(tmp_path, {"the key": G}, skip=[tmp_path / "deep"]) == []
    assert find_secrets(tmp_path, {"another": SECOND}) == []


def test_a_secret_in_a_files_name_is_found(tmp_path: Path) -> None:
    (tmp_path / WIFI.replace("/", ":")).touch()
    assert find_secrets(tmp_path, {"wifi": WIFI.replace("/", ":")})


@pytest.mark.parametrize(
    "script", ["read x # $KEY", "KEY=x sh -c 'echo; read x # '$KEY", "sh -c 'echo; read x'; true"]
)
def test_what_a_process_and_its_children_show_is_seen(script: str) -> None:
    script = script.replace("$KEY", G) if script.startswith("read") else script
    command = ["sh", "-c", f"echo; {script}"]
    with subprocess.Popen(
        command, env={**os.environ, "KEY": G}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        for _ in range(script.count("echo") + 1):
            process.stdout.readline()
        seen = Watched()
        look(process.pid, seen)
        process.stdin.close()
    assert find_secrets(seen.shown(), {"the key": G})


def test_what_a_command_prints_is_seen(tmp_path: Path) -> None:
    seen = run_watched(["od", "-tx1", "-An", "-w200"], env={}, cwd=tmp_path, stdin=G)
    assert seen.returncode == 0
    hexadecimal = seen.shown().replace(b" ", b"")
    assert "bytes: the key as hex of its text" in find_secrets(hexadecimal, {"the key": G})


@dataclass
class World:
    """Where the command line runs, and what it is given. keep: where secrets may lie."""

    azure: RunningAzure
    keep: Path
    runs: Path
    env: dict[str, str]
    token: str
    seen: list[Watched] = field(default_factory=list)

    def call(self, *words: str | Path, stdin: str = "", code: int = 0, **env: str) -> Watched:
        """Call firstlight, watched; it must end with code."""
        command = [*FIRSTLIGHT, *words]
        seen = run_watched(command, env=self.env | env, cwd=self.runs / "cwd", stdin=stdin)
        assert seen.returncode == code, seen.stderr
        self.seen.append(seen)
        return seen

    def leaks(self, *devices: str) -> list[str]:
        """Every place where a secret, or a key of one of the devices, came to lie."""
        groups = {"the key": G, "the secondary key": SECOND}
        secrets = groups | {"the password": WIFI, "the PIN": PIN}
        secrets["the policy's key"] = self.azure.connection_string.partition("AccessKey=")[2]
        for device in devices:
            for name, key in groups.items():
                secrets[f"{name} of {device}"] = keys.derive(key, device)
        found = find_secrets(self.runs, secrets)
        return found + [line for seen in self.seen for line in find_secrets(seen.shown(), secrets)]


def moved_into(runs: Path) -> dict[str, str]:
    """The environment of who writes nowhere but below a folder."""
    env = dict(os.environ)
    for name, variable in (
        ("home", "HOME"), ("tmp", "TMPDIR"), ("config", "XDG_CONFIG_HOME"),
        ("cache", "XDG_CACHE_HOME"), ("state", "XDG_STATE_HOME"), ("data", "XDG_DATA_HOME"),
        ("run", "XDG_RUNTIME_DIR"), ("cwd", "PWD"),
    ):  # fmt: skip
        (runs / name).mkdir(parents=True)
        env[variable] = str(runs / name)
    return env


@pytest.fixture
def world(tmp_path: Path, program: Callable[[str], str]) -> Iterator[World]:
    keep, runs = tmp_path / "keep", tmp_path / "runs"
    env = moved_into(runs)
    keep.mkdir()
    (keep / "ring.py").write_text(_RING)
    env |= {"PYTHONPATH": str(keep), "PYTHON_KEYRING_BACKEND": "ring.Ring"}
    hsm = SoftHSM(program("softhsm2-util"), keep / "softhsm")
    hsm.add("line", PIN)
    env |= hsm.env | {"FIRSTLIGHT_PKCS11_MODULE": hsm.module}
    settings = Settings(mqtt_port=0, https_port=0, retry_after_s=1, folder=keep / "azure")
    with running_azure(settings) as azure:
        for name, text in (
            ("group", G), ("second", SECOND), ("pin", PIN), ("wifi", WIFI),
            ("dps", azure.connection_string),
        ):  # fmt: skip
            write_private(keep / name, text + "\n")
        token = f"pkcs11:token=line;object=group-1?pin-source={quote(f'file:{keep}/pin')}"
        yield World(azure, keep, runs, env, token)


_RING = """
from pathlib import Path
from keyring.backend import KeyringBackend

class Ring(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return Path(__file__).with_name(username).read_text()
    def set_password(self, service, username, password): raise NotImplementedError
    def delete_password(self, service, username): raise NotImplementedError
"""


def test_deriving_leaves_nothing_wherever_the_key_comes_from(world: World) -> None:
    world.call(
        "keys", "to-token", "--group-key", f"file:{world.keep}/group", "--token", world.token
    )
    asked = world.token.partition("?")[0] + "?pin-source=-"
    for number, (source, second, stdin, second_key) in enumerate(
        [
            (f"file:{world.keep}/group", "env:SECOND", "", SECOND),
            ("-", "keyring:firstlight/second", G, SECOND),
            (world.token, asked, PIN, G),
        ]
    ):
        out = world.keep / f"{number}.csv"
        words = ["--group-key", source, "--secondary-group-key", second, "--out", str(out)]
        world.call("keys", "derive", "esp32-1", *words, stdin=stdin, SECOND=SECOND)
        assert out.read_text().split() == [keys.derive(key, "esp32-1") for key in (G, second_key)]
    world.call("keys", "derive", "esp32-1", "--group-key", f"env:{G[:20]}", code=2)
    world.seen[-1].arguments.clear()  # which the caller wrote
    assert world.leaks("esp32-1") == []


def test_enrolling_and_injecting_leave_nothing_but_the_boards_identity(world: World) -> None:
    azure = world.azure
    root = ["--root", str(azure.root_pem)]
    pair = ["--primary-key", "keyring:firstlight/group", "--secondary-key", "env:SECOND"]
    connection = ["--connection", f"file:{world.keep}/dps"]
    world.call("enroll", "group", "line-1", *connection, *root, *pair, SECOND=SECOND)
    board = virtual.make(world.keep / "board", wifi={"shop": WIFI})
    words = ["--id-scope", azure.id_scope, "--endpoint", "localhost", *root]
    words += ["--mqtt-port", str(azure.mqtt_port), "--ntp", f"127.0.0.1:{azure.sntp_port}"]
    words += ["--group-key", "env:GROUP_KEY", "--secondary-group-key", "-"]
    words += ["--wifi", f"shop=file:{world.keep}/wifi", "--registration-id", "esp32-1"]
    with board:
        at = ["inject", "VIRTUAL", "--port", board.port or ""]
        world.call(*at, *words, "--first-boot", "30", stdin=SECOND, GROUP_KEY=G)
    assert azure.device("esp32-1").wait_for_telemetry()
    assert world.leaks("esp32-1") == []
    kept = find_secrets(world.keep / "board", {"key": keys.derive(G, "esp32-1")})
    assert kept, "the board must hold its key, and whoever looks for it must find it"
    assert find_secrets(world.keep / "board", {"key": G, "secondary": SECOND}) == []


def scalar_of(key: PrivateKey) -> str:
    """What of a private key is secret, base64."""
    numbers = key.private_numbers()
    assert isinstance(numbers, EllipticCurvePrivateNumbers)
    return b64encode(numbers.private_value.to_bytes(32)).decode()


def test_a_ca_and_what_it_issues_leave_nothing_but_sealed_keys(tmp_path: Path) -> None:
    runs, keep = tmp_path / "runs", tmp_path / "keep"
    env = moved_into(runs)
    keep.mkdir()
    secret = {"the batch's passphrase": WIFI, "the root's passphrase": PIN}
    made = ["init", "ca", "--name", "Contoso line CA", "--passphrase", "env:CA_PASS"]
    seen = [
        run_watched([*FIRSTLIGHT, "ca", *words], env=env | more, cwd=runs / "cwd", stdin=stdin)
        for words, stdin, more in (
            ([*made, "--root-passphrase", "-"], PIN, {"CA_PASS": WIFI}),
            (["issue", "ca", "esp32-1", "--passphrase", "-", "--out-dir", keep], WIFI, {}),
            (["issue", "ca", "esp32-2", "--passphrase", f"env:{WIFI}", "--out-dir", keep], "", {}),
        )
    ]
    assert [each.returncode for each in seen] == [0, 0, 2]
    seen[-1].arguments.clear()  # which the caller wrote
    for name, passphrase in (("root", PIN), ("batch-1", WIFI)):
        sealed = (runs / "cwd" / "ca" / f"{name}.key").read_bytes()
        secret[f"the key of {name}"] = scalar_of(unsealed(sealed, passphrase, name))
    unit = load_pem_private_key((keep / "esp32-1.key").read_bytes(), None)
    assert isinstance(unit, EllipticCurvePrivateKey)
    secret["the unit's key"] = scalar_of(unit)
    assert find_secrets(runs, secret) == []
    assert [line for each in seen for line in find_secrets(each.shown(), secret)] == []
    der = b64decode(b"".join((keep / "esp32-1.key").read_bytes().splitlines()[1:-1]))
    assert find_secrets(der, secret), "whoever looks for the unit's key must find it"
