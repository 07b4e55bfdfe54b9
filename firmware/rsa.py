"""Whether an RSA key signed a message: RSASSA-PKCS1-v1_5 with SHA-256, e = 65537.

Makes the one encoding that the message may have, and compares the whole of it (RFC 8017 section
8.2.2): parses nothing that a forger wrote, and never sees a private key.
"""

from hashlib import sha256

from aziot._const import const

# DigestInfo up to the digest (RFC 8017 section 9.2, note 1), behind its zero.
_SHA256 = const(b"\0\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20")


def verified(modulus: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether signature is message's, by the key of modulus (big-endian, e = 65537).

    modulus: odd, of 256 to 512 bytes, the first not 0. What is anything else is not verified.
    """
    size = len(modulus)
    n = int.from_bytes(modulus, "big")
    s = int.from_bytes(signature, "big")
    if not 256 <= size <= 512 or len(signature) != size or not modulus[0] or s >= n:
        return False
    m = s
    for _ in range(16):  # boards' pow() may take no third argument
        m = m * m % n
    encoded = b"\0\1" + b"\xff" * (size - 54) + _SHA256 + sha256(message).digest()
    return n % 2 == 1 and m * s % n == int.from_bytes(encoded, "big")
