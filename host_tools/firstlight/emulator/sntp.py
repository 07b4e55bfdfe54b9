"""A time server of few words (SNTP, RFC 4330), so that a virtual board needs no network.

Answers a client's request of exactly the right shape, with one packet of the same length; anything
else gets no answer.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Any

_UNIX_IN_NTP_S = 2_208_988_800  # 1900 to 1970, RFC 868
_PACKET_BYTES = 48
_CLIENT, _SERVER = 3, 4


def answer(request: bytes, now_at: float) -> bytes | None:
    """The reply to a request; None if it is not one. now_at: Unix seconds."""
    if len(request) != _PACKET_BYTES or request[0] & 7 != _CLIENT:
        return None
    version = request[0] >> 3 & 7
    if not 1 <= version <= 4:
        return None
    now = _timestamp(now_at)
    head = struct.pack("!BBbb", version << 3 | _SERVER, 1, request[2] & 0x7F, -20)
    return head + struct.pack("!II4s", 0, 0, b"LOCL") + now + request[40:48] + now + now


def _timestamp(at: float) -> bytes:
    # 32 bits of seconds wrap in 2036: era 1 of RFC 4330 section 3.
    seconds, fraction = divmod(at + _UNIX_IN_NTP_S, 1)
    return struct.pack("!II", int(seconds) & 0xFFFFFFFF, int(fraction * 2**32))


class SntpServer(asyncio.DatagramProtocol):
    """Answers on one UDP port."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port. Raise OSError if it cannot be had."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        self._transport = transport
        return int(transport.get_extra_info("sockname")[1])

    def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """One packet."""
        reply = answer(data, self._clock())
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)
