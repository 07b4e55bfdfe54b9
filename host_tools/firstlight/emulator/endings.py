"""How a fault ends a TCP connection otherwise than in good order."""

import asyncio
import contextlib
import socket
import struct

_NO_LINGER = struct.pack("ii", 1, 0)


def end(transport: asyncio.BaseTransport, how: str) -> None:
    """`fin`: TCP's end without TLS's, and the caller aborts later; `reset`: RST, at once.

    What was written goes first, as far as the system has taken it.
    """
    plug = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # the peer may have ended it
        if how == "fin":
            plug.shutdown(socket.SHUT_WR)
            return
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
