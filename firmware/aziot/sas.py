"""HMAC-SHA256, and the shared access signature (SAS) tokens made of it.

Reads no clock: the caller says when a token expires. Keeps no key. A token, and what is signed
(protocol.md 1.4; azure/iot-dps/how-to-control-access):

    sr      quote("0ne00111111/registrations/esp32-a1b2c3")
    signed  sr + "\\n" + se                                     se: Unix seconds, decimal
    token   SharedAccessSignature sr={sr}&sig={quote(base64)}&se={se}&skn=registration
"""

from binascii import a2b_base64, b2a_base64
from hashlib import sha256

from ._const import const
from .quote import quote

_BLOCK = const(64)  # SHA-256 works on blocks of 64 bytes (FIPS 180-4)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the 32-byte HMAC-SHA256 of message (RFC 2104)."""
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    key = key + bytes(_BLOCK - len(key))
    inner = sha256(bytes([b ^ 0x36 for b in key]))
    inner.update(message)
    outer = sha256(bytes([b ^ 0x5C for b in key]))
    outer.update(inner.digest())
    digest: bytes = outer.digest()
    return digest


def token(resource: str, key_b64: str, expires_at: int, policy: str = "") -> str:
    """Return the SAS token that opens resource until expires_at, in Unix seconds.

    resource is unquoted, such as "0ne00111111/registrations/esp32-a1b2c3"; policy becomes skn.
    """
    signed = "%s\n%d" % (quote(resource), expires_at)
    signature = hmac_sha256(a2b_base64(key_b64), signed.encode())
    text = "SharedAccessSignature sr=%s&sig=%s&se=%d" % (
        quote(resource),
        quote(b2a_base64(signature).decode().strip()),
        expires_at,
    )
    return text + "&skn=" + policy if policy else text
