"""The status line on the console, for programs that watch a board; pure.

    @firstlight {"up_s": 3661, "step": "hub", "hub": "h.azure-devices.net", "queued": 0}

Fields, each left out when there is nothing to say:
    up_s     seconds since the start           step     network, clock, dps or hub
    wait_s   seconds until the next try        error    why the last try failed
    hub      the hub that is kept              queued   messages in the outbox
    dropped  messages it had to drop           sent     messages acknowledged since the start
    free     bytes of free heap                reset    why the board started

One line of ASCII, at most 512 bytes. Never holds a secret, nor a field beyond these.
"""

import gc
import json

from aziot._const import const

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from device import Device

_STEPS = {"wifi": "network", "ethernet": "network", "register": "dps", "serve": "hub"}

_LONGEST = const(120)  # of one text
_TEXTS = ("step", "error", "hub", "reset")
_NUMBERS = ("up_s", "wait_s", "queued", "dropped", "sent", "free")


def line(facts: dict) -> str:
    """Return the line, without its end. facts: by name; others, and None, are left out."""
    told: dict[str, object] = {}
    for name in _NUMBERS:
        if facts.get(name) is not None:
            told[name] = int(facts[name])
    for name in _TEXTS:
        if facts.get(name):
            raw = facts[name].encode()[:_LONGEST]
            told[name] = bytes([b if 32 <= b < 127 else 63 for b in raw]).decode()
    text = "@firstlight " + json.dumps(told)
    if len(text) > 512:  # there was much to escape
        return line({name: told.get(name) for name in _NUMBERS})
    return text


def tell(device: "Device") -> None:
    """Print the line of a device."""
    device.turn()
    facts = {
        "up_s": device.up_s,
        "step": _STEPS.get(device.phase, device.phase),
        "wait_s": device.plan["wait_s"],
        "error": device.error,
        "hub": device.kept.get("hub"),
        "sent": device.sent,
        "free": gc.mem_free(),
        "reset": device.reset,
    }
    if device.work:
        facts["queued"] = len(device.outbox)
        facts["dropped"] = device.outbox.dropped
    device.say("", line(facts))
