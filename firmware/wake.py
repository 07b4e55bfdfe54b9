"""What is read once when a board wakes: its identity, and the hub that it knows.

Loaded for that, and let go. Never changes either.
"""

import errno
import os

from aziot import identity, record
from aziot.errors import IdentityError
from device import Device, let_go
from watchdog import WatchedClock

TYPE_CHECKING = 0
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BITE_MS = 60000  # the watchdog's; RP2 boards: see picopower.py


def run(board: "Any", time: "Any", say: "Callable[[str, object], None]") -> Device:
    """Return the device that this board is, watched from now on. time: MicroPython's module.

    Raises IdentityError if there is no identity that can be used, and OSError for a flash that
    does not read: the one waits for an injection, the other for a reset.
    """
    device = Device()
    device.me = me = _identity(board)
    device.board = board
    device.clock = clock = WatchedClock(time, board.watchdog(_BITE_MS))
    device.say = say
    keys = me.pop("symmetric_key") or {}
    device.keys = [keys[name] for name in ("primary", "secondary") if name in keys]
    ways = len(device.keys)
    if not ways:
        me["x509"], device.proof, ways = me["x509"]
    # A hub is remembered for one identity: a board that is injected anew asks DPS anew.
    me["whose"] = "%s/%s/%s" % (me["endpoint"], me["id_scope"], me["registration_id"])
    kept = record.unpack(board.load("assignment")) or {}
    device.kept = kept if kept.get("whose") == me["whose"] else {}
    left = _left(board)
    let_go("aziot.identity", "aziot.record", "certificate")
    device.plan = device.call("aziot.supervisor", "begin", bool(device.kept), ways)
    device.up_s = 0
    if device.kept and left.get("plan"):  # a deep sleep is no new beginning
        device.plan = device.plan | left["plan"]
        device.up_s = left["up_s"]
        if not device.call("dates", "plausible", board.unix_time()):  # an RP2 forgets it
            device.plan["sync"] = device.plan["sync"] or True  # 2, a doubt, stays one
    device.woke_s = device.up_s
    device.lean = bool(left.get("lean"))
    device.dropped = left.get("dropped", 0)
    story = device.call("notes", "story", board)
    device.reset = story["reset"]
    device.reports = {"firstlight": story}
    if device.kept and story.get("phase") == "register" and not left.get("plan"):
        device.plan["step"] = 1  # the last life ended there: it may have been app.py's size
        device.lean = True
    device.at_ms = clock.ticks_ms()
    none: Any = None
    device.work = device.nic = device.wish = device.operation_id = device.trusts = none
    device.asked = left.get("asked", device.kept.get("reprovision"))
    device.phase = device.error = ""
    device.sent = 0
    device.served = device.on_trial = False
    device.old_roots = 0
    if me["led"] is not None:
        clock.show = __import__("led").shower(device, board.light(me["led"]))
    say("id", me["registration_id"])
    return device


def _left(board: "Any") -> dict:
    """Return what leave.py left for this boot, and this alone."""
    left = record.unpack(board.load("plan")) or {}
    if left:
        try:
            board.erase("plan")
        except OSError:  # a worn or full flash: it is read once more
            pass
    return left


def _identity(board: "Any") -> dict:
    """Return the identity; in place of its certificates and their key, certificate.begin()'s."""
    try:
        me = identity.load(_stored(board))
        if me["x509"]:
            me["x509"] = __import__("certificate").begin(board, me["x509"])
        return me
    except MemoryError:  # JSON of brackets alone, say
        raise IdentityError("identity does not fit into memory")
    except OSError as e:
        if e.errno not in (errno.ENOENT, errno.EINVAL):
            raise
        raise IdentityError("identity.json: %s" % e)


def _stored(board: "Any") -> bytes:
    """Return the file that an injection wrote, or else what was flashed with everything else."""
    try:
        return read_file("/identity.json", 8192)
    except OSError as e:
        raw: bytes | None = board.load("identity") if e.errno == errno.ENOENT else None
        if raw is None:
            raise
        return raw


def read_file(path: str, longest: int) -> bytes:
    """Return a file's bytes; raise OSError (EINVAL) if there are more than longest."""
    size: int = os.stat(path)[6]
    if size > longest:
        raise OSError(errno.EINVAL, "file is too long")
    with open(path, "rb") as file:
        raw: bytes = file.read(size)
    return raw
