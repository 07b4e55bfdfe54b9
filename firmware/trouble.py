"""What becomes of a phase that failed: told, remembered, and given to the supervisor to judge.

Loaded for that, and let go. Never raises: the next try is all that follows.
"""

from aziot.errors import AziotError

TYPE_CHECKING = 0
if TYPE_CHECKING:
    from device import Device


def take(device: "Device", event: str, error: Exception) -> None:
    """Take a failure; leave the next plan in device.plan, and a word on the console."""
    device.error = device.call("notes", "told", error)
    device.call("notes", "note", device.board, device.phase, error)
    if device.on_trial or device.old_roots or not isinstance(error, OSError):
        device.call("trust", "doubted", device, error)
    device.decide(event, error)
    told = error if isinstance(error, AziotError) else "OSError %s" % error
    device.say(device.phase, "failed: %s; next in %d s" % (told, device.plan["wait_s"]))
    device.tell()
