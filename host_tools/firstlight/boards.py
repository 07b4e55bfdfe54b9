"""Kinds of board: the facts that tools need, read from boards/NAME/board.json.

Does no I/O beyond reading those files, and never guesses a fact that is not there. Names and keys
are upstream's (micropython, ports/*/boards/*/board.json).
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UsageError
from .layout import boards_folder

_NAME = re.compile(r"[A-Z0-9][A-Z0-9_]{0,63}")
_MCU = re.compile(r"[a-z][a-z0-9]{0,15}")


@dataclass(frozen=True)
class Board:
    """One kind of board. flash_offset: where an image begins, in bytes; None: not flashed so."""

    id: str
    port: str
    mcu: str
    vendor: str
    product: str
    features: tuple[str, ...]
    flash_offset: int | None

    def registration_id(self, unique_id: bytes) -> str:
        """The default registration id of the chip with that id, lowercase."""
        return f"{self.mcu}-{unique_id.hex()}"


def names() -> list[str]:
    """All known boards."""
    return sorted(path.parent.name for path in boards_folder().glob("*/board.json"))


def load(name: str) -> Board:
    """Read the board of that name. Raise UsageError, naming the known ones, if there is none."""
    if not _NAME.fullmatch(name) or name not in names():
        raise UsageError(f"unknown board {name[:64]!r}; known are {', '.join(names())}")
    return parse(name, boards_folder() / name / "board.json")


def parse(name: str, path: Path) -> Board:
    """Read and check one board.json. Raise UsageError naming the first field that is wrong."""
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise UsageError(f"{path.name} of {name} cannot be read as JSON") from None
    if not isinstance(facts, dict):
        raise UsageError(f"{path.name} of {name} is not a JSON object")
    texts = {key: _text(name, facts, key) for key in ("id", "port", "mcu", "vendor", "product")}
    if texts["id"] != name or not _MCU.fullmatch(texts["mcu"]):
        raise UsageError(f"board.json of {name}: id must be the folder's name, mcu lowercase")
    return Board(features=_features(name, facts), flash_offset=_offset(name, facts), **texts)


def _text(name: str, facts: dict[str, Any], key: str) -> str:
    value = facts.get(key)
    if not isinstance(value, str) or not value:
        raise UsageError(f"board.json of {name}: {key} must be text")
    return value


def _features(name: str, facts: dict[str, Any]) -> tuple[str, ...]:
    value = facts.get("features")
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"board.json of {name}: features must be a list of texts")
    return tuple(value)


def _offset(name: str, facts: dict[str, Any]) -> int | None:
    options = facts.get("deploy_options", {})
    text = options.get("flash_offset") if isinstance(options, dict) else ""
    if text is None:
        return None
    if not isinstance(text, str) or not re.fullmatch(r"0x[0-9a-fA-F]{1,8}|0", text):
        raise UsageError(f"board.json of {name}: deploy_options.flash_offset must be like 0x1000")
    return int(text, 16)
