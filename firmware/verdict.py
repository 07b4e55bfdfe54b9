"""What the hub makes of a certificate that was issued: kept, or the one before it comes back.

A new one is good as soon as the hub has acknowledged something over it. Whatever fails meanwhile
gives the one before the next try; three refusals of it, where the one before did reach the hub,
end the trial: so what no certificate could reach is held against none. Without a trial a refusal
gives the factory's its turn, and is forgotten with it, or kept if that did reach the hub.
"""

from aziot._const import const
from aziot.errors import Refused

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from device import Device

_ALERT = const(-0x7780)  # mbedTLS's: the peer's own word; others tell of memory, or of us
_TRIES = const(3)  # as certificate.py has it: no trial any more
_REFUSED = const(2)  # for the turn: the one before has it, because the hub refused the new one


def doubted(device: "Device", error: Exception) -> None:
    """The hub was not reached, or said no: choose what it is shown next."""
    proof = device.proof
    refused = isinstance(error, Refused) and not error.transient
    if isinstance(error, OSError):
        refused = error.errno == _ALERT
    if proof["trial"]:
        turn = _REFUSED if refused else 1
    else:
        turn = int(refused and not proof["turn"] and proof["wanted"] > 0)
    if turn != proof["turn"]:
        device.trusts, proof["turn"] = None, turn


def reached(device: "Device") -> None:
    """The hub answered, over one on trial or over one that is older than there are."""
    import certificate

    proof, board = device.proof, device.board
    found = certificate.state(board, device.me["x509"])
    if proof["trial"]:
        proof["trial"] = False
        found["good"], found["tries"] = found["trial"], 0
        device.say("cert", "renewed")
    elif not certificate.on_trial(found):
        found["good"], found["tries"] = 0, _TRIES  # what was issued is no good any more
    else:
        device.trusts = None  # the next connection tries the new one again
        if proof["turn"] == _REFUSED:
            found["tries"] += 1
            device.say("cert", "the new one was refused: back to the old")
    proof["turn"] = 0
    certificate.keep(board, found)
