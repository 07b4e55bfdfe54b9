"""The time of day over SNTP (RFC 4330).

Speaks Unix seconds alone: a port's own epoch is board.py's business. Sets no clock, and believes
no answer but one to its own question.

    -> 0x23 (version 4, a client), 39 zeros, our nonce in place of the time of sending
    <- 0x24 (version 4, a server), stratum 1 to 15, .. our nonce .. the server's time at byte 40
"""

import select
import struct

from aziot._const import const
from aziot.errors import ProtocolError
from aziot.stream import Deadline
from dates import plausible

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from device import Device

_LIMIT_MS = const(5000)
_NTP_TO_UNIX = const(2208988800)  # seconds from 1900 to 1970
_ERA = const(4294967296)  # NTP's seconds start again at 0 in 2036 (RFC 4330 section 3)


def ask(device: "Device", address: str) -> int:
    """Ask one server, "host" or "host:port"; return Unix seconds.

    Its answer must repeat 8 random bytes, so that neither a late one is taken nor somebody else's.
    Raises OSError, or ProtocolError for a bad answer.
    """
    net, nonce = device.board.net, device.board.entropy(8)
    host, _, port = address.partition(":")
    family, _, _, _, place = net.getaddrinfo(host, int(port or 123), 0, net.SOCK_DGRAM)[0]
    sock = net.socket(family, net.SOCK_DGRAM)
    try:
        sock.connect(place)
        sock.setblocking(False)
        sock.send(b"\x23" + bytes(39) + nonce)
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        deadline = Deadline(device.clock, _LIMIT_MS)
        while not deadline.poll(poller):
            pass
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
    if not seconds or not plausible(at):
        raise ProtocolError("SNTP: the server's time cannot be")
    return int(at)
