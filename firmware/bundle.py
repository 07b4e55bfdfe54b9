"""New trust roots from the cloud, checked and laid beside the others for trust.py to try.

Taken only if the key whose public half was injected signed them, and if they are newer than any
that came before. Never reads a certificate before it knows who signed for it; the record that
names a bundle is written when all of it lies on the flash. As it comes, by desired property or
direct method, and what of it is signed (RSA, PKCS #1 v1.5, SHA-256):

    {"version": 2, "roots": ["<base64 of a certificate's DER>", ...], "signature": "<base64>"}
    "firstlight roots\\n2\\n", and for each root: the hex of its DER's SHA-256, "\\n"

Let go with trust, folders and aziot.record, which it needs.
"""

import sys
from binascii import a2b_base64, hexlify
from hashlib import sha256

import trust
from aziot import record
from aziot._const import const
from folders import sweep, write

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from typing import Any

_MOST = const(4)  # roots in a bundle
_LONGEST = const(2048)  # bytes of a root: a twin's text holds 4096, in base64


def install(board: "Any", me: dict, bundle: "Any") -> tuple:
    """Check a bundle, whatever it is, and put it on trial. Return (status, text), as HTTP's.

    202: on trial from the next connection on; 200: here already; 400: not a bundle; 403: not
    signed by me["roots_key"]; 409: not newer than all that came, one of which may have failed;
    507: no room. Only 202 and 507 write: the same bundle may come with every connection.
    """
    found = trust.state(board)
    try:
        return _refusal(board, me, bundle, found) or _written(board, bundle, found)
    except (KeyError, TypeError, ValueError) as e:
        return 400, "not a bundle: %s" % e
    except (OSError, MemoryError) as e:
        sweep("roots", found)
        return 507, "no room: %s" % e


def _refusal(board: "Any", me: dict, bundle: "Any", found: dict) -> tuple | None:
    """Return (status, text) for a bundle that is not to be written, None for one that is."""
    version = bundle["version"]
    if type(version) is not int or not 0 < version < 1 << 31:
        raise ValueError("version")
    if version == found["good"] or (version == found["trial"] and trust.on_trial(found)):
        return 200, "roots %d are here" % version
    if version <= found["trial"]:
        why = "failed" if version == found["trial"] else "came before"
        return 409, "roots %d %s" % (found["trial"], why)
    roots = bundle["roots"]
    if not isinstance(roots, list) or not 0 < len(roots) <= _MOST:
        raise ValueError("roots")
    signed = b"firstlight roots\n%d\n" % version
    for text in roots:
        signed += hexlify(sha256(_der(text)).digest()) + b"\n"
    rsa = __import__("rsa")
    sys.modules.pop("rsa")  # its memory goes back with this call
    key = a2b_base64(me["roots_key"] or "")
    if not rsa.verified(key, signed, a2b_base64(bundle["signature"])):
        return 403, "not signed by the roots key"
    context = board.ssl.SSLContext(board.ssl.PROTOCOL_TLS_CLIENT)
    for text in roots:
        context.load_verify_locations(cadata=_der(text))  # ValueError: no certificate
    return None


def _der(text: str) -> bytes:
    """Return the one DER SEQUENCE in base64 text; raise TypeError or ValueError."""
    raw: bytes = a2b_base64(text)
    if (
        len(raw) > _LONGEST
        or raw[:2] != b"\x30\x82"
        or int.from_bytes(raw[2:4], "big") != len(raw) - 4
    ):
        raise ValueError("root")
    return raw


def _written(board: "Any", bundle: dict, found: dict) -> tuple:
    """Write a bundle's roots, and then the record that names them; raise OSError."""
    sweep("roots", found)  # what a power cut left
    write("roots", bundle["version"], (_der(text) for text in bundle["roots"]))
    found = found | {"trial": bundle["version"], "tries": 0}
    board.save("roots", record.pack(found))
    return 202, "roots %d are on trial" % found["trial"]
