"""A board with an X.509 identity for tests: its certificates, its flash in a probe, and a hub.

The flash is a real littlefs, the hub a real TLS server that demands a certificate; the device is
the firmware's own. What DPS issues, and what the hub says, is a script.
"""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firstlight.layout import firmware_folder
from firstlight.stage import compiled
from tests.board import peers
from tests.board.issuing import (
    NOW,
    SEC1,
    Issuer,
    Key,
    b64,
    csr,
    ec_key,
    key_der,
    server_wants,
)
from tests.board.signing import FACTORY, der

DEVICE = "esp32-a1b2c3"
ROOT = Issuer("the factory's root")
BATCH = Issuer("batch 7", Issuer("line 2", ROOT))
CLOUD = Issuer("policy", Issuer("the cloud's root"))
KEY = ec_key()
AT = int(NOW.timestamp())
DAY_S = 86400
DUE = (-200, 99)  # days of a life of which less than a third is left
FRESH = (-1, 400)
Play = Callable[..., list[Any]]


def section(
    days: tuple[float, float] = (-100, 201), key: Key = KEY, form: Any = SEC1, **changes: Any
) -> dict[str, Any]:
    made = {
        "chain": BATCH.chain(BATCH.leaf(DEVICE, key, days)),
        "key": b64(key_der(key, form)),
        "csr": b64(csr(key, DEVICE)),
    }
    return {name: value for name, value in (made | changes).items() if value is not None}


def identity(x509: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": 1,
        "id_scope": "0ne00111111",
        "registration_id": DEVICE,
        "x509": x509,
    }


def issued(days: tuple[float, float] = FRESH, key: Key = KEY) -> list[str]:
    """What DPS answers: leaf first, up to the root."""
    return CLOUD.chain(CLOUD.leaf(DEVICE, key, days), root=True)


OLD = section(DUE)
NEW = issued()


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the firmware as boards get it."""
    top, folder = firmware_folder(), tmp_path_factory.mktemp("firmware")
    (folder / "aziot").mkdir()
    for path in (*top.glob("*.py"), *top.glob("aziot/*.py")):
        made = (folder / path.relative_to(top)).with_suffix(".mpy")
        made.write_bytes(compiled(path.read_bytes(), path.stem))
    return folder


@pytest.fixture
def play(on_micropython: Any, firmware: Path) -> Play:
    """Run steps on a board with this identity."""

    def run(x509: dict[str, Any], *steps: list[Any], **asked: Any) -> list[Any]:
        given = {
            "firmware": str(firmware),
            "identity": identity(x509),
            "roots": [b64(der(FACTORY))],
            "at": AT,
            "steps": [list(step) for step in steps],
        }
        found: list[Any] = on_micropython("certificate_probe.py", given | asked)
        return found

    return run


def renewed(play: Play, *steps: list[Any], hubs: tuple[Any, ...], **asked: Any) -> list[Any]:
    """A board that is issued NEW at its first registration; the hub says so and so; then steps."""
    return play(OLD, ["boot"], ["steps", NEW, *hubs], *steps, **asked)[1:]


@pytest.fixture
def hub() -> Iterator[int]:
    """The port of a hub that knows the factory's devices and the cloud's."""
    context = server_wants(peers.server_context(FACTORY), ROOT)
    server_wants(context, CLOUD.above[-1])
    with peers.serving(context, *[_let_in] * 600) as port:
        yield port


def _let_in(sock: ssl.SSLSocket, _: Any) -> None:
    sock.sendall(b"in")


def lines(told: list[str], word: str) -> list[str]:
    return [line for line in told if line.startswith(word)]
