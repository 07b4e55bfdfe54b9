"""A virtual board's flash, written from outside: what an injection leaves there, in a moment.

That an injection leaves it there is shown elsewhere (tests/board/test_inject.py, and here where a
test injects); most tests are about what comes after.
"""

from functools import cache
from pathlib import Path
from typing import Any

from littlefs import LittleFS

from firstlight import boards
from firstlight.flash.filesystem import littlefs
from firstlight.inject import checked
from firstlight.roots import roots_from
from firstlight.stage import plan

_BLOCK = 4096


def flash(image: Path, document: dict[str, Any], app: bytes, root_pem: Path) -> None:
    """Make a flash with the firmware, an identity, an app.py and one root."""
    image.write_bytes(_firmware(image.stat().st_size))
    roots = {f"/roots/{name}.der": der for name, der in roots_from(root_pem).items()}
    put(image, roots | {"/app.py": app, "/identity.json": checked(document)})


def put(image: Path, files: dict[str, bytes]) -> None:
    """Write files onto a flash that is formatted."""
    raw = bytearray(image.read_bytes())
    fs = LittleFS(
        block_size=_BLOCK,
        block_count=len(raw) // _BLOCK,
        prog_size=32,
        read_size=32,
        lookahead_size=32,
        mount=False,
    )
    fs.context.buffer = raw
    fs.mount()
    for name, data in files.items():
        fs.makedirs(str(Path(name).parent), exist_ok=True)
        with fs.open(name, "wb") as file:
            file.write(data)
    fs.unmount()
    image.write_bytes(raw)


@cache
def _firmware(size: int) -> bytes:
    """What every board has alike."""
    return littlefs(boards.load("VIRTUAL"), plan(True, {}), size)
