"""Whom the board trusts: the roots of the factory, and newer ones from the cloud, on trial first.

/roots, as injected, stays for ever; /rootsN holds bundle number N (bundle.py). A bundle is used
from the next connection on, and is the good one once the hub has answered over it; a connection
that fails is followed by one over the roots that were good before. Three times that a server was
not trusted, and the hub answered over the old roots, end the trial. Never trusts a root that lies
elsewhere, nor none; a power cut at any write leaves the old record or the new one.
"""

import errno
import os

from aziot import record
from aziot._const import const
from aziot.errors import ProtocolError

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from typing import Any

    from device import Device

_LONGEST = const(4096)  # bytes of a root
_TRIES = const(3)  # of roots on trial
_MISTRUSTED = const(2)  # for old_roots: their turn, because the new ones did not trust a server


def equip(device: "Device") -> None:
    """Give the device the TLS context for its next connections: whom it trusts, what it shows."""
    made, on_trial = context(device.board, device.old_roots > 0)
    if device.proof:
        made = device.call("certificate", "show", device, made)
    device.trusts, device.on_trial = made, on_trial


def doubted(device: "Device", error: Exception) -> None:
    """A step failed: choose the roots for the next try.

    Roots on trial and the ones before take turns. Without a trial a server that is not trusted
    leads, one time in eight, to the factory's roots, the last resort of a board that nothing else
    lets in: a bundle takes back no trust in them, an injection does.
    """
    tls = isinstance(error, ProtocolError) and str(error)[:4] == "TLS:"
    if device.on_trial:
        turn = _MISTRUSTED if tls else 1
    else:
        turn = int(tls and not device.old_roots and device.board.jitter() < 0.125)
    if turn != device.old_roots:
        device.trusts, device.old_roots = None, turn


def reached(device: "Device") -> None:
    """The hub answered, over roots on trial or over older ones than there are."""
    found = state(device.board)
    if device.on_trial:
        device.on_trial = False
        _keep(device.board, found["trial"], found["trial"], 0)
    elif on_trial(found):  # they have their turn again with the next connection
        if device.old_roots == _MISTRUSTED:
            _keep(device.board, found["good"], found["trial"], found["tries"] + 1)
        device.trusts = None
        device.old_roots = 0


def state(board: "Any") -> dict:
    """Return {"good": number, "trial": number, "tries": count}, of which 0 is the factory's.

    good: reached the hub last; trial: the newest that ever came, so that no older one is taken
    again; on trial only while it is not good and has failed fewer than 3 times.
    """
    return record.unpack(board.load("roots")) or {"good": 0, "trial": 0, "tries": 0}


def on_trial(found: dict) -> bool:
    """Whether the newest roots of a state are still to prove themselves."""
    return not (found["trial"] == found["good"] or found["tries"] >= _TRIES)


def context(board: "Any", old: bool) -> tuple:
    """Return (TLS client context, whether its roots are on trial).

    old: pass over the roots on trial; or, with none on trial, over those that came after the
    factory's. Roots that do not read are followed by older ones. Raises OSError or ValueError if
    not even the factory's do.
    """
    found = state(board)
    good = found["good"]
    numbers = [good, 0]
    if on_trial(found) != old:
        numbers = [0 if old else found["trial"]] + numbers
    error: Exception | None = None
    for number in numbers:
        try:
            return trusting(board.ssl, "/roots%s/" % (number or "")), number > good
        except (OSError, ValueError) as e:
            error = e
    raise error or OSError(errno.ENOENT)


def _keep(board: "Any", good: int, trial: int, tries: int) -> None:
    try:
        board.save("roots", record.pack({"good": good, "trial": trial, "tries": tries}))
    except OSError:  # a worn or full flash: the trial goes on
        pass


def trusting(ssl: "Any", folder: str) -> "Any":
    """Return a TLS client context that trusts the DER roots in folder, which ends in a slash."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_mode = ssl.CERT_REQUIRED  # MicroPython's default is none (protocol.md 8)
    names = [name for name in os.listdir(folder) if name.endswith(".der")]
    for name in names:
        size = min(os.stat(folder + name)[6], _LONGEST)
        with open(folder + name, "rb") as file:
            made.load_verify_locations(cadata=file.read(size))  # each adds one
    if not names:
        raise OSError(errno.ENOENT)
    return made
