"""Numbered folders of DER files, /roots2 or /cert1: written, and swept when in no record.

The record that names a folder is written by whoever calls, when all of it lies on the flash; what
a power cut left before that is swept with the next one. Never touches a folder without a number.
"""

import os

TYPE_CHECKING = 0
if TYPE_CHECKING:
    from collections.abc import Iterable


def write(name: str, number: int, ders: "Iterable[bytes]") -> None:
    """Write files into a folder that is not there yet. Raise OSError: some of it may be there."""
    folder = "/%s%d" % (name, number)
    os.mkdir(folder)
    for n, der in enumerate(ders):
        with open("%s/%d.der" % (folder, n), "wb") as file:  # littlefs: on flash when closed
            file.write(der)


def sweep(name: str, found: dict) -> None:
    """Remove the folders that are neither found["good"] nor found["trial"], as far as it goes."""
    kept = (found["good"], found["trial"])
    size = len(name)
    try:
        for folder in os.listdir("/"):
            number = folder[size:]
            if folder[:size] == name and number.isdigit() and int(number) not in kept:
                for leaf in os.listdir("/" + folder):
                    os.remove("/%s/%s" % (folder, leaf))
                os.rmdir("/" + folder)
    except OSError:  # a full littlefs may not even remove: what needs the room will say so
        pass
