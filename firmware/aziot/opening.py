"""How a connection begins: TCP to one of a host's addresses, TLS, and MQTT's hello.

Loaded for that alone: link.py lets it go before the conversation begins. Knows no default: whom
to trust is in the context. Waits by Deadline alone, and leaves nothing open when it raises, but
what it was given.

    -> CONNECT, no clean session: client id, user name, perhaps a password
    <- CONNACK 0: come in; 1 to 5: Refused
"""

import errno
import select
import struct

from ._const import const
from .errors import ProtocolError, Refused

_TYPING = const(0)
if _TYPING:
    from typing import Any

    from .stream import Deadline, Stream


def dial(net: "Any", context: "Any", host: str, port: int, deadline: "Deadline") -> tuple:
    """Return (TLS socket, the one under it) to the first of the host's addresses that answers.

    Both are to be closed: after a failed handshake the one does not close the other. It does not
    block, and its handshake is still to come. Each address has its share of the time that is
    left: one that swallows what it is sent leaves some to the others. Raises OSError.
    DNS alone is bounded by the port, to some 14 s for each server (lwIP's dns.c); an RP2 that
    loses its network meanwhile hangs (micropython issue 18797, mended since): the watchdog's.
    """
    found = net.getaddrinfo(host, port, 0, net.SOCK_STREAM)  # one at least, or it raises
    while True:
        share = deadline.part(len(found))
        family, kind, _, _, address = found.pop(0)
        sock = net.socket(family, kind)
        sock.setblocking(False)
        try:
            try:
                sock.connect(address)
            except OSError as e:
                if e.errno != errno.EINPROGRESS:
                    raise
            poller = select.poll()
            poller.register(sock, select.POLLOUT)
            while not (ready := share.poll(poller)):
                pass
            if ready[0][1] != select.POLLOUT:  # POLLERR or POLLHUP too
                raise OSError(errno.ECONNREFUSED)
            tls = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
            return tls, sock
        except Exception:
            sock.close()
            if not found:
                raise


def greet(
    stream: "Stream", client_id: str, user: str, password: "str | None", keepalive_s: int
) -> None:
    """Send CONNECT (MQTT 3.1.1 section 3.1) and take its answer. password None: none is sent.

    Raises OSError, ProtocolError (a certificate that does not verify is one) and Refused.
    """
    fields = [client_id, user]
    # A user name. No clean session: a hub keeps for the next one what was sent while we were away,
    # or was not acknowledged (protocol.md 6.3); DPS keeps nothing, whatever is asked for (1.5).
    flags = 0x80
    if password is not None:
        fields.append(password)
        flags = 0xC0
    body = struct.pack("!H4sBBH", 4, b"MQTT", 4, flags, keepalive_s)
    for field in fields:
        raw = field.encode()
        body += struct.pack("!H", len(raw)) + raw
    size = len(body)
    head = [0x10]
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    stream.write(bytes(head + [size]) + body)
    try:
        answer: Any = stream.read(4)
    except ValueError as e:  # how MicroPython tells that a certificate does not verify
        raise ProtocolError("TLS: " + str(e).strip())
    if answer[0] != 0x20:
        raise ProtocolError("MQTT: not a CONNACK")
    if answer[3]:
        raise Refused(answer[3])
