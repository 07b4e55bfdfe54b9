"""Small records that survive a power cut: bytes that either read back whole or not at all.

A record is JSON behind its CRC-32, so that a torn or foreign one reads as absent, never as
garbage. Where the bytes lie is the caller's business. Never holds a key: identity.py does.
"""

import json
from binascii import crc32


def pack(value: dict) -> bytes:
    """Return the bytes of value, for unpack()."""
    body = json.dumps(value).encode()
    return b"%08x" % crc32(body) + body


def unpack(raw: bytes | None) -> dict | None:
    """Return what pack() was given; None if raw is None, torn, or something else."""
    if not raw or raw[:8] != b"%08x" % crc32(raw[8:]):
        return None
    try:
        value = json.loads(raw[8:])
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
