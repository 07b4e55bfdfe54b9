"""A virtual board at a local Azure, for end-to-end tests and for measuring its firmware."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstlight import keys
from firstlight.emulator.dps.records import Enrollment
from firstlight.emulator.running import RunningAzure
from firstlight.inject import inject
from firstlight.repl import Repl
from firstlight.roots import roots_from
from firstlight.stage import loads_mpy, plan
from firstlight.virtual import VirtualBoard, make
from tests.e2e.flashed import flash

WIFI = {"bench": "a password of the bench"}
NAME = "virtual-0a0b0c"
APP = b"""\
import gc
INTERVAL_S = 1
count = 0
def sample():
    global count
    count += 1
    return {"count": count, "free": gc.mem_free()}
"""


class Bench:
    """One board in folder, at azure. Its registration id is NAME."""

    def __init__(self, folder: Path, azure: RunningAzure) -> None:
        self.azure = azure
        self.board: VirtualBoard = make(folder, unique_id=b"\x0a\x0b\x0c", wifi=WIFI, join_ms=10)

    def document(self, primary: str, **changes: Any) -> dict[str, Any]:
        """An identity for this board at this Azure."""
        return {
            "version": 1,
            "id_scope": self.azure.id_scope,
            "registration_id": NAME,
            "symmetric_key": {"primary": primary},
            "endpoint": "localhost",
            "port": self.azure.mqtt_port,
            "ntp": f"127.0.0.1:{self.azure.sntp_port}",
            "wifi": [{"ssid": ssid, "password": password} for ssid, password in WIFI.items()],
        } | changes

    def group_key(self) -> tuple[Enrollment, str]:
        """Enroll a group; give back it and this board's primary key in it."""
        group = self.azure.enroll_group("line-1")
        assert group.keys is not None
        return group, keys.derive(group.keys.primary_b64, NAME)

    def certified(self, x509: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """An identity for this board that proves itself with certificates."""
        return self.document("", symmetric_key=None, x509=x509, **changes)

    def give(self, document: dict[str, Any], app: bytes = APP) -> None:
        """Have on the bare board what inject() would leave there, without the time it takes."""
        flash(self.board.folder / "flash.img", document, app, self.azure.root_pem)

    def inject(self, document: dict[str, Any], app: bytes = APP) -> None:
        """Put the firmware and an identity onto the board, through its REPL."""
        with self.board, Repl(self.board.port or "") as repl:
            files = plan(loads_mpy(repl.implementation().mpy), roots_from(self.azure.root_pem))
            swapped = [
                replace(file, data=app, keep=False) if file.path == "/app.py" else file
                for file in files
            ]
            inject(repl, document, swapped, lambda _: None)

    def set_heap(self, heap_bytes: int) -> None:
        """Give the board's code so much memory, from its next power-on."""
        self.tune(heap_bytes=heap_bytes)

    def tune(self, **settings: Any) -> None:
        """Change what virtual.json says: heap_bytes, speed... from its next power-on."""
        path = self.board.folder / "virtual.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))

    def forget(self) -> None:
        """Erase what the board remembers of its hub: its next boot is a first one."""
        for path in self.board.folder.glob("nvs*"):
            path.unlink()
