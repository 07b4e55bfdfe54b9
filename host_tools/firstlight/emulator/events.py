"""Events: what happened, one dict each, as a line for people or as JSON for programs.

{"at": 1795000000.0, "part": "dps", "id": "esp32-a1b2c3", "what": "registered -> localhost"}

Never holds a key or a token; whatever came from the network is cut and made printable.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

Event = dict[str, Any]
Emit = Callable[[Event], None]
_MAX_ID, _MAX_WHAT = 128, 300


def event(at: float, part: str, id: str, what: str, **more: str | int | float) -> Event:
    """at: Unix seconds; part: dps, hub, http, mqtt or sntp; id: a device, a route or a peer."""
    id, what = _printable(id, _MAX_ID), _printable(what, _MAX_WHAT)
    return {"at": round(at, 3), "part": part, "id": id, "what": what, **more}


def line(event: Event) -> str:
    """For people: `12:00:01 dps  esp32-a1b2c3 registered -> localhost`, in local time."""
    clock = datetime.fromtimestamp(event["at"]).strftime("%H:%M:%S")
    return f"{clock} {event['part']:<4} {event['id']} {event['what']}"


def json_line(event: Event) -> str:
    """For programs: one JSON object on one line."""
    return json.dumps(event)


def _printable(text: str, longest: int) -> str:
    text = text[:longest]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)
