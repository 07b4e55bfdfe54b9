"""The time of day over SNTP (RFC 4330), and what counts as a plausible one.

Speaks Unix seconds alone: a port's own epoch is board.py's business. Sets no clock.
"""

import errno
import select
import struct

from aziot._const import const
from aziot.errors import ProtocolError

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from typing import Any

    from device import Device

_EARLIEST_AT = const(1767225600)  # 2026-01-01: no board that runs this was made before
_NTP_TO_UNIX = const(2208988800)  # seconds from 1900 to 1970
_SPAN_S = const(1262304000)  # 40 years: a board that is older needs new firmware anyway
_ASK_MS = const(5000)
_ERA = const(4294967296)  # NTP's seconds start again at 0 in 2036 (RFC 4330 section 3)


def run(device: "Device") -> None:
    """Set the board's clock, and say by whom."""
    board, host = device.board, device.me["ntp"]
    board.set_unix_time(ask(board.net, host, board.entropy(8), _ASK_MS))
    device.say("clock", "set by SNTP from " + host)


def ask(net: "Any", address: str, nonce: bytes, timeout_ms: int) -> int:
    """Ask one server; return Unix seconds. Raises OSError, or ProtocolError for a bad answer.

    net: the socket module. address: "host" or "host:port", as identity.py lets pass.
    nonce: 8 random bytes, which the answer must repeat, so that neither a late answer nor
    somebody else's is taken.
    """
    host, _, port = address.partition(":")
    family, _, _, _, place = net.getaddrinfo(host, int(port or 123), 0, net.SOCK_DGRAM)[0]
    sock = net.socket(family, net.SOCK_DGRAM)
    try:
        sock.connect(place)
        sock.setblocking(False)
        sock.send(b"\x23" + bytes(39) + nonce)
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        if not poller.poll(timeout_ms):
            raise OSError(errno.ETIMEDOUT)
        return parse(sock.recv(64), nonce)
    finally:
        sock.close()


def parse(answer: bytes, nonce: bytes) -> int:
    """Return the Unix seconds in an SNTP answer to nonce; ProtocolError if it is none."""
    if len(answer) < 48 or answer[24:32] != nonce:
        raise ProtocolError("SNTP: not an answer to our question")
    if answer[0] & 7 != 4 or answer[0] >> 6 == 3 or not 1 <= answer[1] <= 15:
        raise ProtocolError("SNTP: the server has no time to give")
    seconds = struct.unpack("!I", answer[40:44])[0]
    at = seconds - _NTP_TO_UNIX + (0 if seconds & 0x80000000 else _ERA)
    if not seconds or not _EARLIEST_AT <= at < _EARLIEST_AT + _SPAN_S:
        raise ProtocolError("SNTP: the server's time cannot be")
    return int(at)
