"""ssl as on a board: a session's buffers lie in MicroPython's heap, where a Pico W has them.

Never changes what TLS does: that is the unix port's mbedTLS, which allocates outside of the heap.
"""

import sys
from errno import ENOMEM

import _wires

sys.path.insert(0, ".frozen")
import ssl
from ssl import *  # noqa: F403

sys.path.pop(0)
_UNANSWERED = b"\x40\xe0"  # MQTT's PUBACK and DISCONNECT
_BUFFERS = (16384, 4096) if _wires.settings.get("tls_in_heap") else ()  # in and out


def _nothing(answers: int) -> None:
    """Time does not fly: nobody wants to know."""


_sent = _came = _nothing
if _wires.settings.get("speed", 1) > 1:
    from _fast import come as _came
    from _fast import expect as _sent


class SSLContext(ssl.SSLContext):
    def wrap_socket(self, sock, **options):
        try:
            buffers = [bytearray(size) for size in _BUFFERS]
        except MemoryError:
            raise OSError(ENOMEM)  # as extmod/modtls_mbedtls.c
        _sent(1)
        return _Session(super().wrap_socket(sock, **options), sock, buffers)


class _Session:
    """A TLS socket, and what it takes. native, bare: itself, and the one underneath, to poll."""

    def __init__(self, native, bare, buffers):
        self.native = native
        self.bare = bare
        self._buffers = buffers

    def read(self, *size):
        data = self.native.read(*size)
        if data:
            _came(1)
        return data

    recv = read

    def readinto(self, *place):
        count = self.native.readinto(*place)
        if count:
            _came(1)
        return count

    def write(self, *data):
        count = self.native.write(*data)
        if count and data[0][0] not in _UNANSWERED:  # None: the handshake goes on first
            _sent(1)
        return count

    send = write

    def setblocking(self, wait):
        self.native.setblocking(wait)

    def close(self):
        self._buffers = None
        self.native.close()


def wrap_socket(sock, **options):
    return SSLContext(PROTOCOL_TLS_CLIENT).wrap_socket(sock, **options)  # noqa: F405
