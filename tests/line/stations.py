"""A line for tests: a station at a record, a key of its own, firmware that sends at once."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from firstlight import boards
from firstlight.flash.whole import pieces
from firstlight.groupkey import MemoryKey
from firstlight.line.credentials import Credentials, GroupKeys
from firstlight.line.seats import Seats, Wanted
from firstlight.line.station import Flashing, Labelling, Station
from firstlight.record.record import Record
from firstlight.roots import roots_from
from firstlight.stage import StagedFile, plan
from tests.e2e.bench import APP

GROUP_KEY = b64encode(bytes(range(64))).decode()
WIFI = {"bench": "a password of the bench"}


def files_for(root: Path) -> list[StagedFile]:
    """The firmware, trusting root alone, with an app that sends once a second."""
    return [
        replace(file, data=APP, keep=False) if file.path == "/app.py" else file
        for file in plan(True, roots_from(root))
    ]


def document(**changes: Any) -> dict[str, Any]:
    """An identity, but for name and key."""
    networks = [{"ssid": ssid, "password": password} for ssid, password in WIFI.items()]
    return {"version": 1, "id_scope": "0ne00111111", "wifi": networks} | changes


def group_keys(key: str = GROUP_KEY) -> GroupKeys:
    """What a line with that group key gives its units."""
    return GroupKeys(MemoryKey(key, "the group key"))


def station(
    record: Record,
    places: dict[str, Sequence[str]],
    files: list[StagedFile],
    *,
    labels: Path | None = None,
    credentials: Credentials | None = None,
    **changes: Any,
) -> Station:
    """A station for the units at places: globs, by kind."""
    wanted = [Wanted(boards.load(name), tuple(globs)) for name, globs in places.items()]
    made = {one.board.id: pieces(one.board, None, files) for one in wanted}
    flashing = {
        name: Flashing(parts, sha256(b"".join(p.data for p in parts)).hexdigest())
        for name, parts in made.items()
    }
    settings: dict[str, Any] = {
        "wanted": ("flash", "inject", "prove", "unit") + (("label",) if labels else ()),
        "document": document(),
        "credentials": credentials or group_keys(),
        "files": lambda _: files,
        "flashing": lambda board: flashing[board.id],
        "labelling": Labelling(labels, ("zpl",)) if labels else None,
    }
    return Station(record=record, **({"seats": Seats(wanted)} | settings | changes))
