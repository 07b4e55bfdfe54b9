"""The whole story on one machine: a bare board goes in, telemetry in a hub comes out, twice.

Every part is the real one: the service API enrolls, mpremote's transport injects, MicroPython
runs the firmware, MQTT goes over verified TLS. By certificate there is a third act, in which the
board's is about to end and DPS issues the next. Prints nothing: tell(who, text) is the caller's.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import azure, keys
from .certdemo import CertifiedLine
from .emulator.events import Event
from .emulator.hub.telemetry import Message
from .emulator.running import RunningAzure, running_azure
from .emulator.settings import Settings
from .errors import ToolError
from .inject import inject
from .repl import Repl
from .roots import roots_from
from .stage import StagedFile, loads_mpy, plan
from .virtual import VirtualBoard, make

Tell = Callable[[str, str], None]

WIFI = ("firstlight", "a network that only this board sees")
_GROUP = "demo-line"
_TELEMETRY_S = 60.0
_SETTINGS = Settings(mqtt_port=0, https_port=0, retry_after_s=1)
APP = """\
import gc
INTERVAL_S = 1
count = 0
def sample():
    global count
    count += 1
    return {"sample": count, "free_bytes": gc.mem_free()}
"""


@dataclass(frozen=True)
class Story:
    """What the demo showed, for those who want to check it."""

    registration_id: str
    first_boot: list[str]
    second_boot: list[str]
    received: list[Message]
    third_boot: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """What a factory has for a board. proof_of: a name's part of an identity, with its secret.

    root: of the CA that signed it, DER; None: it is by key.
    """

    proof_of: Callable[[str], dict[str, Any]]
    root: bytes | None = None


def play(folder: Path, tell: Tell, attestation: str = "symmetric-key") -> Story:
    """Play it in folder, which must be empty; raise ToolError for the first step that fails.

    attestation: symmetric-key, or x509.
    """
    settings = replace(_SETTINGS, folder=folder / "azure")
    with running_azure(settings, lambda event: _tell_event(event, tell)) as local:
        tell("azure", f"DPS, hubs and a clock are up, id scope {local.id_scope}")
        board = make(folder / "board", wifi=dict([WIFI]))
        by_certificate = attestation == "x509"
        factory = CertifiedLine(folder / "ca", folder / "azure", tell) if by_certificate else None
        line = _certified(factory, local) if factory else _keyed(local, tell)
        name = _prepare(board, line, local, tell)
        first = _boot(board, local, name, 1, tell)
        tell("you", "cut its power, and give it back")
        second = _boot(board, local, name, 4, tell)
        third = _renewed(board, factory, local, tell) if factory else []
        received = local.telemetry(name)
    _require(any("dps" in line for line in first), "the first boot did not ask DPS")
    _require(not any("dps" in line for line in second), "the second boot asked DPS again")
    tell("hub", f"{len(received)} messages received; the second boot went straight to the hub")
    return Story(name, first, second, received, third)


def _service(local: RunningAzure) -> azure.Service:
    return azure.Service(azure.parse_connection(local.connection_string), local.root_pem)


def _certified(factory: CertifiedLine, local: RunningAzure) -> Line:
    factory.open(_service(local), _GROUP)
    return Line(factory.section, factory.root)


def _keyed(local: RunningAzure, tell: Tell) -> Line:
    """Enroll a group as an operator would, and derive its boards' keys from its own."""
    service = _service(local)
    attestation = {"type": "symmetricKey"}
    service.create(
        "enrollmentGroups", _GROUP, {"enrollmentGroupId": _GROUP, "attestation": attestation}
    )
    tell("host", f"enrolled group {_GROUP} through the service API; its key stays here")
    group_key = service.key_pair("enrollmentGroups", _GROUP)[0]
    return Line(lambda name: {"symmetric_key": {"primary": keys.derive(group_key, name)}})


def _prepare(
    board: VirtualBoard, line: Line, local: RunningAzure, tell: Tell, what: str = "a bare board"
) -> str:
    """Inject an identity into the board over its serial port; return its name."""
    with board, Repl(board.port or "") as repl:
        tell("host", f"{what} answers on {board.port}")
        name = "virtual-" + repl.unique_id().hex()
        document = _document(name, local) | line.proof_of(name)
        files = plan(loads_mpy(repl.implementation().mpy), roots_from(local.root_pem))
        done = inject(repl, document, [_fast(file) for file in files], lambda _: None, line.root)
        tell("host", f"injected {len(done.written)} files as {name}")
        how = "shook hands over TLS with its certificate" if line.root else "signed a fresh nonce"
        tell("host", f"the board {how}: it holds its key")
    return name


def _renewed(
    board: VirtualBoard, factory: CertifiedLine, local: RunningAzure, tell: Tell
) -> list[str]:
    """Have the board come from a shelf, its certificate about to end, and be issued another."""
    tell("you", "give it a certificate that lay on a shelf until four hours before its end")
    name = _prepare(board, Line(factory.old_section, factory.root), local, tell, "it")
    lines = _boot(board, local, name, len(local.telemetry(name)) + 1, tell)
    issued = any("on trial" in line for line in lines)
    _require(issued, "DPS issued no certificate to the board")
    _require(any("renewed" in line for line in lines), "the new certificate was not taken")
    tell("dps", "issued it the next one, by the CSR that was made with its key")
    return lines


def _document(name: str, local: RunningAzure) -> dict[str, Any]:
    return {
        "version": 1,
        "id_scope": local.id_scope,
        "registration_id": name,
        "endpoint": "localhost",
        "port": local.mqtt_port,
        "ntp": f"{local.host}:{local.sntp_port}",
        "wifi": [{"ssid": WIFI[0], "password": WIFI[1]}],
    }


def _fast(file: StagedFile) -> StagedFile:
    """The example's app sends once a minute; nobody waits that long for a demo."""
    return replace(file, data=APP.encode(), keep=False) if file.path == "/app.py" else file


def _boot(board: VirtualBoard, local: RunningAzure, name: str, nth: int, tell: Tell) -> list[str]:
    """Power the board until the hub has three messages of it, from its nth on.

    Return what its console said.
    """
    lines: list[str] = []
    with board:
        tell("board", "power on")
        reader = threading.Thread(target=_read, args=(board, lines, tell), daemon=True)
        reader.start()
        try:
            for count in range(nth, nth + 3):
                message = local.wait_for_telemetry(count, name, _TELEMETRY_S)[count - 1]
                tell("hub", f"received {message.body.decode(errors='replace')}")
        except TimeoutError:
            last = lines[-1] if lines else "nothing"
            raise ToolError(
                f"no telemetry within {_TELEMETRY_S:g} s; the board last said: {last}"
            ) from None
    reader.join(_TELEMETRY_S)
    return lines


def _read(board: VirtualBoard, lines: list[str], tell: Tell) -> None:
    rest = b""
    for piece in board.follow():
        *whole, rest = (rest + piece).split(b"\n")
        for raw in whole:
            lines.append(raw.decode(errors="replace").rstrip())
            tell("board", lines[-1])


def _tell_event(event: Event, tell: Tell) -> None:
    if event["part"] in ("dps", "hub") and "sequence" not in event:  # bodies say more
        tell(event["part"], f"{event['id']} {event['what']}")


def _require(held: bool, reason: str) -> None:
    if not held:
        raise ToolError(reason)
