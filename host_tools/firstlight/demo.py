"""The whole story on one machine: a bare board goes in, telemetry in a hub comes out, twice.

Every part is the real one: the service API enrolls, mpremote's transport injects, MicroPython
runs the firmware, MQTT goes over verified TLS. Prints nothing: tell(who, text) is the caller's.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import azure, keys
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


def play(folder: Path, tell: Tell) -> Story:
    """Play it in folder, which must be empty; raise ToolError for the first step that fails."""
    settings = Settings(mqtt_port=0, https_port=0, retry_after_s=1, folder=folder / "azure")
    with running_azure(settings, lambda event: _tell_event(event, tell)) as local:
        tell("azure", f"DPS, hubs and a clock are up, id scope {local.id_scope}")
        board = make(folder / "board", wifi=dict([WIFI]))
        name = _prepare(board, _enrolled(local, tell), local, tell)
        first = _boot(board, local, name, 1, tell)
        tell("you", "cut its power, and give it back")
        second = _boot(board, local, name, 4, tell)
        received = local.telemetry(name)
    _require(any("dps" in line for line in first), "the first boot did not ask DPS")
    _require(not any("dps" in line for line in second), "the second boot asked DPS again")
    tell("hub", f"{len(received)} messages received; the second boot went straight to the hub")
    return Story(name, first, second, received)


def _enrolled(local: RunningAzure, tell: Tell) -> str:
    """Enroll a group as an operator would; return its primary key."""
    connection = azure.parse_connection(local.connection_string)
    service = azure.Service(connection, local.root_pem)
    attestation = {"type": "symmetricKey"}
    service.create(
        "enrollmentGroups", _GROUP, {"enrollmentGroupId": _GROUP, "attestation": attestation}
    )
    tell("host", f"enrolled group {_GROUP} through the service API; its key stays here")
    return service.key_pair("enrollmentGroups", _GROUP)[0]


def _prepare(board: VirtualBoard, group_key: str, local: RunningAzure, tell: Tell) -> str:
    """Inject an identity into the bare board over its serial port; return its name."""
    with board, Repl(board.port or "") as repl:
        tell("host", f"a bare board answers on {board.port}")
        name = "virtual-" + repl.unique_id().hex()
        document = _document(name, keys.derive(group_key, name), local)
        files = plan(loads_mpy(repl.implementation().mpy), roots_from(local.root_pem))
        done = inject(repl, document, [_fast(file) for file in files], lambda _: None)
        tell("host", f"injected {len(done.written)} files as {name}")
        tell("host", "the board signed a fresh nonce: it holds its key")
    return name


def _document(name: str, device_key: str, local: RunningAzure) -> dict[str, Any]:
    return {
        "version": 1,
        "id_scope": local.id_scope,
        "registration_id": name,
        "symmetric_key": {"primary": device_key},
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
