"""A new certificate for the key that a board has: asked of DPS, checked, laid beside the old.

DPS issues it with the assignment, if the registration carries a CSR: one that was made for this
key in the factory, and that holds nothing secret. It is taken only if it is for the board's own
key and good for longer than the one in use, and if TLS takes it; the record that names it is
written when all of it lies on the flash, so a power cut at any write leaves the old or the new.
Never touches the factory's: that is the identity's.
"""

import sys
from binascii import a2b_base64

from aziot import record
from aziot._const import const
from certificate import keep, load, piece, section, state

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from typing import Any

    from device import Device

_MOST = const(4)  # certificates in a chain, without its root
_LONGEST = const(2048)  # bytes of one


def csr(device: "Device") -> str:
    """Return what to register with, to be issued a certificate."""
    made: str = section(device.board)["csr"]
    return made


def asked(device: "Device") -> None:
    """DPS has been asked: it is not again before tomorrow."""
    found = state(device.board, device.me["x509"])
    found["asked"] = device.board.unix_time()
    keep(device.board, found)


def take(device: "Device", issued: "Any") -> None:
    """Put what DPS issued on trial, whatever it is; or say why not, and go on with the old one."""
    board = device.board
    x509 = section(board)
    found = state(board, device.me["x509"])
    number = found["trial"] + 1
    folders = _once("folders")
    folders.sweep("cert", found)  # what a power cut left
    try:
        chain, until_at = _checked(piece(x509, 0, 0), issued)
        _judge_life(device, found, until_at)
        folders.write("cert", number, chain)
        load(board.ssl.SSLContext(board.ssl.PROTOCOL_TLS_CLIENT), x509, number)
        board.save("cert", record.pack(found | {"trial": number, "tries": 0, "wait": 0}))
    except (OSError, TypeError, ValueError, MemoryError) as e:
        folders.sweep("cert", found)
        device.say("cert", "the new one is not taken: %s" % e)
        return
    device.trusts, device.proof["turn"] = None, 0
    device.plan["keys"] = 2


def _judge_life(device: "Device", found: dict, until_at: int) -> None:
    """Raise ValueError unless what ends then is good for longer than the one in use.

    What DPS issues may be good for less than a long life's last third: it is asked again when
    the one in use has less left than that.
    """
    now_at, old_at = device.board.unix_time(), device.proof["until"]
    if until_at > max(old_at, now_at):
        return
    if until_at > now_at:
        found["wait"] = old_at - (until_at - now_at)
        keep(device.board, found)
    raise ValueError("it is good for no longer than the old one")


def _checked(own: "bytes | None", issued: "Any") -> tuple:
    """Return a chain as DER, without its root, and until when it is good; raise ValueError.

    own: the factory's leaf, of the same key.
    """
    read = _once("der").certificate
    chain = _chain(read, issued)
    key, _, until_at = read(chain[0])[2:]
    if key != read(own)[2]:
        raise ValueError("it is for another key")
    return chain, until_at


def _chain(read: "Any", issued: "Any") -> list:
    """Return a chain's DER, in order from the leaf, without the root: the hub knows that."""
    if not isinstance(issued, list) or not issued:
        raise ValueError("DPS gave none")
    chain: list = []
    issuer = b""
    for text in issued[: _MOST + 1]:
        raw: bytes = a2b_base64(text)
        facts = read(raw)
        if len(raw) > _LONGEST or (chain and facts[1] != issuer):
            raise ValueError("not a chain")
        issuer = facts[0]
        if chain and issuer == facts[1]:
            return chain
        chain.append(raw)
    if len(chain) > _MOST:
        raise ValueError("too long a chain")
    return chain


def _once(name: str) -> "Any":
    """Load a module whose memory goes back with the call."""
    module = __import__(name)
    sys.modules.pop(name)
    return module
