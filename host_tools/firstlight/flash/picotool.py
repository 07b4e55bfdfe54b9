"""Writing with picotool, to boards in their boot loader whose drive is not mounted.

picotool (github.com/raspberrypi/picotool) is Raspberry Pi's own; it is used where it is installed.
Never picks a board by itself: it is told which one by its place on the USB.
"""

import re
import shutil
import subprocess
import tempfile

from ..errors import BoardError
from .bootroms import Loader

_LOAD_S = 180.0
_SHOWN = 200


def program() -> str | None:
    """The path of picotool, if it is installed."""
    return shutil.which("picotool")


def plan(tool: str, image: str, loader: Loader) -> list[str]:
    """The command that writes a UF2 file, reads it back, and starts it."""
    place = ["--bus", str(loader.bus), "--address", str(loader.address)]
    return [tool, "load", "-v", "-x", image, "-t", "uf2", *place]


def load(tool: str, uf2: bytes, loader: Loader) -> None:
    """Write a UF2 file to that board. Raise BoardError with what picotool says of it."""
    with tempfile.NamedTemporaryFile(suffix=".uf2") as file:  # readable by its owner alone
        file.write(uf2)
        file.flush()
        try:
            done = subprocess.run(
                plan(tool, file.name, loader),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LOAD_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BoardError(
                f"picotool did not end in {_LOAD_S:g} s: unplug the board at {loader.seat}, hold "
                "BOOTSEL and plug it in again"
            ) from None
        except OSError as error:
            raise BoardError(f"{tool} does not start: {error.strerror}") from None
    if done.returncode:
        said = _last_words(done.stderr) or _last_words(done.stdout) or f"code {done.returncode}"
        raise BoardError(f"picotool could not write to the board at {loader.seat}: {said}")


def _last_words(output: bytes) -> str:
    """The last line, past the progress bars, without what could steer a terminal."""
    lines = [line.strip() for line in re.split("[\r\n]", output.decode(errors="replace"))]
    said = [line for line in lines if line and "%" not in line]
    return "".join(c if c.isprintable() else "?" for c in (said or [""])[-1][:_SHOWN])
