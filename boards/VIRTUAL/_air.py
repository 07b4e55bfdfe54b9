"""What is in the air and on the cable around the board, as one may change it while it runs.

virtual.json says which networks there are and their passwords; air.json beside it, if it is there,
has the last word (firstlight.virtual.VirtualBoard.set_air writes it). Packets travel by the PC's
own network in any case: a network that is gone takes no TCP connection with it.
"""

import json

import _wires


def now() -> dict:
    """Return wifi, rssi, hidden, quirks, cable and join_ms, as they are at this moment."""
    try:
        with _wires.open_file("air.json", "r") as file:
            return _wires.settings | json.load(file)
    except OSError:
        return _wires.settings
