"""Where a serial port is plugged in, and which port is at a seat now. Never opens a port."""

import os
from pathlib import Path

from serial.tools import list_ports


def seat_of(port: str) -> str:
    """The seat of a port, as a Volume's: a USB path, a virtual unit's folder, or "": unknown.

    A port that is gone for the moment has no USB path; a virtual unit's folder stays.
    """
    device = os.path.realpath(port)
    for one in list_ports.comports():
        if os.path.realpath(one.device) == device and one.location:
            return _plain(one.location)
    if "://" in port or "/" not in port or port.startswith("/dev/"):
        return ""
    return str(Path(port).parent.resolve())


def port_at(seat: str) -> str | None:
    """The serial port at a USB path now."""
    ports = (one.device for one in list_ports.comports() if _plain(one.location) == seat)
    return next(ports, None)


def _plain(location: str | None) -> str:
    """A USB path without the interface, which another mode of the same board may not have."""
    return (location or "").partition(":")[0]
