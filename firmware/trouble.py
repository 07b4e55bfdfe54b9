"""What becomes of a phase that failed: told, remembered, and given to the supervisor to judge.

Loaded for that, and let go. Never gives up: the next try follows, or a reset to make room for it.
"""

import errno

from aziot._const import const
from aziot.errors import AziotError

_ALERT = const(-0x7780)  # mbedTLS's: the peer breaks off the handshake

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from device import Device


def take(device: "Device", event: str, error: Exception) -> None:
    """Take a failure; leave the next plan in device.plan, and a word on the console."""
    if isinstance(error, MemoryError):  # one thing was too large: the next try may do without it
        if device.work and device.phase == "register":
            device.call("leave", "reset", device, "no memory to register beside app.py", True)
        error = OSError(errno.ENOMEM)
    text = device.call("notes", "told", error)
    if device.work and text == device.error == "OSError %d" % errno.ENOMEM:
        device.outbox.shed()  # twice: what waits is what takes the memory
    device.error = text
    device.call("notes", "note", device.board, device.phase, error)
    if device.on_trial or device.old_roots or not isinstance(error, OSError):
        device.call("trust", "doubted", device, error)
    if device.proof and device.phase == "serve":
        device.call("verdict", "doubted", device, error)
    device.decide(event, error)
    told = str(error) if isinstance(error, AziotError) else "OSError %s" % error
    if device.proof and isinstance(error, OSError) and error.errno == _ALERT:
        told += " (is the key that of the certificate?)"  # mbedTLS does not compare them
    device.say(device.phase, "failed: %s; next in %d s" % (told, device.plan["wait_s"]))
    device.tell()
