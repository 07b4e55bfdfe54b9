"""Writing files whole: beside their place, then into it.

A secret is readable by its owner alone from the moment its file exists.
"""

import os
from pathlib import Path


def write_public(path: Path, text: str) -> Path:
    """Write text for all to read; return path."""
    return _write(path, text, 0o644)


def write_private(path: Path, text: str) -> Path:
    """Write text for its owner alone; return path."""
    return _write(path, text, 0o600)


def _write(path: Path, text: str, mode: int) -> Path:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    beside.replace(path)
    return path
