"""What a hub may ask of the board itself: the component `firstlight`, of methods and twin.

Loaded for that, and let go. Follows a wish once; what it refuses, it answers. Never trusts roots
that are not signed.

    method   firstlight*reprovision            any payload
    method   firstlight*renewRoots             a bundle, see bundle.py
    desired  {"firstlight": {"reprovision": "2026-11-22", "roots": {a bundle}}}
    reported {"firstlight": {"reprovision": "2026-11-22", "roots": {"ac": 202, "ad": "on trial"}}}

A desired `reprovision` is followed when its value is another than the last one that was.
"""

import json

from device import let_go

TYPE_CHECKING = 0
if TYPE_CHECKING:
    from typing import Any

    from device import Device

_COMPONENT = "firstlight"
_LONGEST = 64  # of a reprovision's value, as JSON


def method(device: "Device", name: str, body: bytes) -> tuple:
    """Answer a direct method: (status, body). What is not the component's is app.py's."""
    try:
        payload = json.loads(body or b"null")
    except ValueError:
        return 400, b'"not JSON"'
    component, _, own = name.partition("*")
    answer: Any = (404, "no such method")
    if component == _COMPONENT:
        answer = _own_method(device, own, payload) or answer
    elif hasattr(device.work.app, "on_method"):
        answer = device.work.call("on_method", name, payload)
        fault = device.work.fault
        if not isinstance(answer, tuple) or len(answer) != 2 or type(answer[0]) is not int:
            answer = (500, repr(fault)) if fault else (200, answer)
    return answer[0], json.dumps(answer[1]).encode()


def desired(device: "Device", patch: dict, whole: bool) -> None:
    """Follow desired properties. What is not the component's is app.py's."""
    section = patch.pop(_COMPONENT, None)
    if isinstance(section, dict):
        if section.get("reprovision") is not None:
            _reprovision(device, section["reprovision"])
        if section.get("roots") is not None:
            status, text = _roots(device, section["roots"])
            device.report("roots", {"ac": status, "ad": text})
    answer = device.work.call("on_desired", patch, whole)
    if isinstance(answer, dict):
        device.work.report(answer)


def _own_method(device: "Device", name: str, payload: "Any") -> tuple | None:
    if name == "reprovision":
        device.wish = "reprovision"
        return 202, "registering anew"
    return _roots(device, payload) if name == "renewRoots" else None


def _reprovision(device: "Device", value: "Any") -> None:
    """Register anew, once for each value: device.asked is kept with the assignment."""
    text = json.dumps(value)[:_LONGEST]
    if text == device.kept.get("reprovision"):
        device.report("reprovision", value)
    elif text != device.asked:
        device.asked = text
        device.wish = "reprovision"


def _roots(device: "Device", wanted: "Any") -> tuple:
    status, text = device.call("bundle", "install", device.board, device.me, wanted)
    let_go("trust", "folders")
    device.say("roots", text)
    if status == 202:
        device.trusts = None  # the next connection reads them
        device.old_roots = 0
        device.wish = device.wish or "renew"
    return status, text
