"""What a board with an X.509 identity proves itself with: chains and a key, for TLS alone to keep.

They lie on the flash, and in memory only while a TLS context takes them in. The factory's chain is
the identity's; /certN holds number N of those that were issued since, for the same key (renew.py).
DPS is shown the factory's, or an issued one where it refused that (the plan's key); the hub the
newest that is good. One that was issued is on trial until the hub has acknowledged something over
it (verdict.py). Never judges the peer: trust.py makes the context.

A host that wants a board to prove what it holds:

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    certificate.load(context, certificate.section(board, "/identity.json"))
"""

import errno
import json
from binascii import a2b_base64, hexlify
from hashlib import sha256

from aziot import record
from aziot._const import const
from aziot.errors import IdentityError

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from typing import Any

    from device import Device

_FILE = const("/identity.json")
_LONGEST = const(2048)  # bytes of a certificate
_MOST = const(4)  # certificates in a chain
_TRIES = const(3)  # of one on trial
_DAY_S = const(86400)
_HOUR_S = const(3600)


def section(board: "Any", path: str = _FILE) -> dict:
    """Return the x509 of the identity at path, or else of the one in NVS: checked before.

    Raises OSError, and KeyError, TypeError or ValueError where there is none.
    """
    try:
        with open(path) as file:
            whole = json.load(file)
    except OSError as e:
        if e.errno != errno.ENOENT:
            raise
        whole = json.loads(board.load("identity"))
    found: dict = whole["x509"]
    return found


def load(context: "Any", x509: dict, number: int = 0) -> None:
    """Have a TLS context show x509's chain, or number N of those issued since, with x509's key.

    Each certificate by a call of its own: MicroPython reads the first of what it is given. Raises
    ValueError for what TLS does not take, and OSError; the context is of no use then.
    """
    key = a2b_base64(x509["key"])
    n = 0
    while (raw := piece(x509, number, n)) is not None:
        context.load_cert_chain(raw, key)
        n += 1


def piece(x509: dict, number: int, n: int) -> "bytes | None":
    """Return a chain's n-th certificate as DER, None if there is none; the leaf, 0, has to be."""
    if n == _MOST or (not number and n == len(x509["chain"])):
        return None
    if not number:
        raw: bytes = a2b_base64(x509["chain"][n])
        return raw
    try:
        with open("/cert%d/%d.der" % (number, n), "rb") as file:
            raw = file.read(_LONGEST)
    except OSError as e:
        if n and e.errno == errno.ENOENT:
            return None
        raise
    return raw


def state(board: "Any", whose: str) -> dict:
    """Return what is known of the certificates issued for an identity; 0 is the factory's.

    good: reached the hub last; trial: the newest that came, on trial while it is not good and has
    failed fewer than 3 times; asked: when one was asked for last; wait: until when none that is
    issued is good for longer, 0 or absent if that is not known. An identity that was injected
    since makes all of it void.
    """
    found = record.unpack(board.load("cert")) or {}
    if found.get("whose") != whose:
        found = {"whose": whose, "good": 0, "trial": 0, "tries": 0, "asked": 0}
    return found


def keep(board: "Any", found: dict) -> None:
    """Keep a state."""
    try:
        board.save("cert", record.pack(found))
    except OSError:  # a worn or full flash: it goes on as it was
        pass


def on_trial(found: dict) -> bool:
    """Whether the newest of a state is still to prove itself."""
    return not (found["trial"] == found["good"] or found["tries"] >= _TRIES)


def begin(board: "Any", x509: dict) -> tuple:
    """Return what names an identity's leaf, a Device's proof, and how many ways there are to be
    known to DPS, 1 or 2. Raise IdentityError if TLS does not take certificates or key.
    """
    try:
        load(board.ssl.SSLContext(board.ssl.PROTOCOL_TLS_CLIENT), x509)
    except (OSError, ValueError) as e:  # mbedTLS names what of the two it was
        raise IdentityError("x509 is refused by TLS: %s" % e)
    whose = hexlify(sha256(piece(x509, 0, 0)).digest()[:8]).decode()
    found = state(board, whose)
    proof = {"wanted": 0, "trial": False, "turn": 0, "until": 0, "due": 0, "asks": False}
    return whose, proof, 2 if found["good"] or on_trial(found) else 1


def show(device: "Device", context: "Any") -> "Any":
    """Return the device's new TLS context, or another like it, that shows what its step wants.

    What does not load gives what came before its turn, for this context alone: it may be lost,
    or TLS had no memory for it just now.
    """
    board, proof = device.board, device.proof
    x509 = section(board)
    found = state(board, device.me["x509"])
    number = wanted = _wanted(device, found)
    while True:
        try:
            load(context, x509, number)
            break
        except (OSError, ValueError) as e:
            if not number:
                raise
            device.say("cert", "number %d does not load: %s" % (number, e))
            number = found["good"] if number != found["good"] else 0
            context = device.call("trust", "context", board, device.old_roots > 0)[0]
    proof["wanted"] = wanted
    proof["trial"] = on_trial(found) and number == found["trial"]
    if wanted == used(found, proof["turn"]):
        _look(device, piece(x509, number, 0), number)
    return context


def choose(device: "Device") -> None:
    """Before a step: have TLS show what it wants; or go to DPS first, if it is time to renew.

    A DPS that is not reached is left alone for an hour, counted over deep sleep too (the plan
    outlives it): the hub is served meanwhile.
    """
    proof, plan = device.proof, device.plan
    found = state(device.board, device.me["x509"])
    proof["asks"] = _due(device, found)
    if proof["asks"] and not plan["step"] and device.up_s >= plan.get("again", 0):
        device.say("cert", "it is time for a new one")
        device.decide("reprovision", None)
        device.plan["again"] = device.up_s + _HOUR_S
    if _wanted(device, found) != proof["wanted"]:
        device.trusts = None  # first its memory
        device.call("trust", "equip", device)


def _due(device: "Device", found: dict) -> bool:
    """Whether to ask for a new certificate, at most once a day, where there is a CSR for that."""
    due_at, now_at = device.proof["due"], device.board.unix_time()
    due_at = due_at and max(due_at, found.get("wait", 0))
    if not 0 < due_at <= now_at or 0 <= now_at - found["asked"] < _DAY_S:
        return False
    return "csr" in section(device.board)


def _wanted(device: "Device", found: dict) -> int:
    """Return the number of what the next step is to show."""
    if not device.plan["step"]:
        return used(found, device.proof["turn"])
    if not device.plan["key"]:
        return 0
    number: int = found["good"] or (found["trial"] if on_trial(found) else 0)
    return number


def used(found: dict, turn: int) -> int:
    """Return the number of what the hub is shown; turn: that of the one before."""
    number: int = found["good"]
    if on_trial(found):
        number = number if turn else found["trial"]
    elif turn:
        number = 0
    return number


def _look(device: "Device", leaf: "bytes | None", number: int) -> None:
    """Take note how long the hub's certificate is good, and report it; once for each."""
    proof = device.proof
    try:
        from_at, until_at = device.call("der", "certificate", leaf)[3:]
    except ValueError:  # TLS took it all the same: it is used, and not renewed
        return
    if until_at == proof["until"]:
        return
    proof["until"] = until_at
    proof["due"] = until_at - (until_at - from_at) // 3
    text = device.call("dates", "iso", until_at)
    name = "issued" if number else "of the factory"
    device.say("cert", "%s, good until %s" % (name, text) + "; on trial" * proof["trial"])
    device.report("certificate", {"until": text})
