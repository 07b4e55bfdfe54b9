"""What a station last wrote, noted outside the record: so a record put back is found out.

One small file for each record and station, in the user's own state folder; replaced in one step,
so that it is whole after a power cut. Holds numbers and digests, no secret.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import platformdirs

from ..errors import ToolError
from ..wholefile import write_whole
from .chain import Head
from .places import Place

_MAX_BYTES = 4096


@dataclass(frozen=True)
class Note:
    """The last entry that a station of this PC wrote, in which record, and where that is noted."""

    record_id: str
    head: Head
    path: Path


def folder() -> Path:
    """Where notes are kept, unless one says otherwise."""
    return Path(platformdirs.user_state_dir("firstlight", appauthor=False)) / "heads"


class Heads:
    """The notes of one PC about one record. where: their folder."""

    def __init__(self, where: Path, place: Place) -> None:
        self._where = where
        self._place = str(place.path or place.shown)

    def all(self) -> list[Note]:
        """Every station's note. Raises ToolError."""
        return [_read(path) for path in sorted(self._where.glob(f"{_short(self._place)}-*.json"))]

    def noted(self, station: str) -> Note | None:
        """The station's note, None if it never wrote into this record. Raises ToolError."""
        path = self._path(station)
        return _read(path) if path.exists() else None

    def note(self, station: str, record_id: str, head: Head) -> None:
        """Replace the station's note. Raises ToolError."""
        path = self._path(station)
        text = json.dumps(
            {"record": record_id, "number": head[0], "digest": head[1], "of": self._place}
        )
        try:
            self._where.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, text.encode())
        except OSError as error:
            raise ToolError(
                f"the note of the record's head cannot be written to {path}: {error.strerror}"
            ) from None

    def _path(self, station: str) -> Path:
        return self._where / f"{_short(self._place)}-{_short(station)}.json"


def _short(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def _read(path: Path) -> Note:
    try:
        with open(path, "rb") as file:
            raw = file.read(_MAX_BYTES)
        known = json.loads(raw)
        number, digest, record = known["number"], known["digest"], known["record"]
        if isinstance(number, int) and isinstance(digest, str) and isinstance(record, str):
            return Note(record, (number, digest), path)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ToolError(
        f"{path}, where the record's head is noted, cannot be read; "
        "delete that file, then run: firstlight record verify"
    )
