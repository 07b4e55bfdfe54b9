"""What is read once when a board wakes: its identity, its trust roots, the hub that it knows.

Loaded for that, and let go. Never changes any of it.
"""

import errno
import os

from aziot import identity, record
from aziot.errors import IdentityError
from device import let_go

TYPE_CHECKING = 0
if TYPE_CHECKING:
    from typing import Any


def run(board: "Any") -> tuple:
    """Return (me, kept, context), as Device takes them.

    Raises IdentityError if there is no identity that can be used, and OSError for a flash that
    does not read: the one waits for an injection, the other for a reset.
    """
    try:
        me = identity.load(read_file("/identity.json", 8192))
    except MemoryError:  # JSON of brackets alone, say
        raise IdentityError("identity does not fit into memory")
    except OSError as e:
        if e.errno not in (errno.ENOENT, errno.EINVAL):
            raise
        raise IdentityError("identity.json: %s" % e)
    # A hub is remembered for one identity: a board that is injected anew asks DPS anew.
    me["whose"] = "%s/%s/%s" % (me["endpoint"], me["id_scope"], me["registration_id"])
    kept = record.unpack(board.load("assignment")) or {}
    let_go("aziot.identity", "aziot.record")
    return me, kept if kept.get("whose") == me["whose"] else {}, context(board.ssl, "/roots/")


def context(ssl: "Any", folder: str) -> "Any":
    """Return a TLS client context that trusts the DER roots in folder, and nothing else.

    ssl: the module; folder: its name ends in a slash.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_mode = ssl.CERT_REQUIRED  # MicroPython's default is none (protocol.md 8)
    for name in os.listdir(folder):
        if name.endswith(".der"):
            made.load_verify_locations(cadata=read_file(folder + name, 4096))  # each adds one
    return made


def read_file(path: str, longest: int) -> bytes:
    """Return a file's bytes; raise OSError (EINVAL) if there are more than longest."""
    size: int = os.stat(path)[6]
    if size > longest:
        raise OSError(errno.EINVAL, "file is too long")
    with open(path, "rb") as file:
        raw: bytes = file.read(size)
    return raw
