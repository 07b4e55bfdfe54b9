"""Percent-encoding, as tokens, topics and user names want it.

A file of its own because a hub's session needs it for ever, and of sas.py nothing else.
"""


def quote(text: str) -> str:
    """Percent-encode text's UTF-8 bytes, all but RFC 3986's unreserved characters, in one pass."""
    out = bytearray()
    for b in text.encode():
        plain = 48 <= b <= 57 or 97 <= b | 32 <= 122 or b in b"-._~"
        out += bytes((b,)) if plain else b"%%%02X" % b
    return out.decode()
