"""What a board remembers over a reset: the phase it was in, the last error, how many resets.

In memory that costs no wear where there is some (an ESP32's, board.remember), with a checksum: at
power-on it holds anything. Never holds a secret: an error of ours is told in its words, which
carry none (errors.py), every other by its kind and number alone. Loaded for a note, and let go.
"""

from aziot import record
from aziot._const import const
from aziot.errors import AziotError

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from typing import Any

_LONGEST = const(120)  # characters of an error
# What a reset was, by the phase that was kept, on a board that does not know (picopower.py).
_PLANNED = {"reset": "hard reset", "fault": "hard reset", "sleep": "deep sleep"}


def note(
    board: "Any", phase: str, error: "BaseException | str | None" = None, final: bool = False
) -> None:
    """Keep the phase, and the error, or what told() made of it; "" or None keeps the last one.

    final: the board is about to reset or to sleep. Where keeping costs wear (RP2) only such a
    note is kept. Phases "reset", "fault" and "sleep" say what comes, others what is being done.
    """
    kept = record.unpack(board.recall()) or {}
    kept["phase"] = phase
    if error:
        kept["error"] = error if isinstance(error, str) else told(error)
    board.remember(record.pack(kept), final)


def story(board: "Any") -> dict:
    """Return what is known of the last reset, for the reported property. Once a boot: it counts.

    {"reset": str, "boots": int, "phase"?: str, "error"?: str}; boots since the power came.
    """
    kept = record.unpack(board.recall()) or {}
    cause = board.reset_cause()
    boots = 1 if cause == "power on" else kept.get("boots", 0) + 1  # a file outlives a power cut
    found = {"boots": boots, "reset": cause}
    for name in ("phase", "error"):
        if name in kept:
            found[name] = kept[name]
    if cause == "reset":
        found["reset"] = _PLANNED.get(kept.get("phase", ""), "watchdog")
    board.remember(record.pack({"boots": boots, "phase": "boot"}), True)
    return found


def told(error: BaseException) -> str:
    """Return an error as ASCII text of at most 120 characters, without a secret."""
    text = type(error).__name__
    if isinstance(error, AziotError):
        text += " %s" % error
    elif isinstance(error, OSError) and error.args and isinstance(error.args[0], int):
        text += " %d" % error.args[0]
    raw = text.encode()[:_LONGEST]
    return bytes([b if 32 <= b < 127 and b not in (34, 92) else 63 for b in raw]).decode()
