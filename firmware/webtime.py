"""The time of day where UDP does not pass: the Date of an HTTPS answer from the endpoint.

A certificate cannot be judged without a clock. So, unless the clock that there is will do, a first
connection is made without judging: nothing secret is sent, and its Date is a hint, good for one
thing: to judge the second connection by, which our roots must verify. Only that one's Date is ever
returned, and only if the hint was right. Never leaves the clock other than it found it.

    -> HEAD / HTTP/1.1, Host, Connection: close
    <- HTTP/1.1, any status; Date: Sun, 22 Nov 2026 10:00:00 GMT (RFC 9110 section 6.6.1)
"""

import gc
import select

from aziot._const import const
from aziot.errors import ProtocolError
from aziot.opening import dial
from aziot.stream import Deadline
from dates import http_date, plausible

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from device import Device

_LIMIT_MS = const(20000)  # for each connection, from DNS to the last header
_LONGEST = const(2048)  # bytes of headers
_AGREE_S = const(300)  # what hint and verified answer may differ by


def ask(device: "Device", _source: str) -> int:
    """Return Unix seconds. Raises OSError and ProtocolError."""
    if device.trusts is None:
        device.call("trust", "equip", device)
    board = device.board
    was_at = board.unix_time()
    if plausible(was_at):
        try:
            return _date(device, True)
        except ProtocolError:  # the certificate, perhaps, by a clock that is wrong
            pass
    hint_at = _date(device, False)
    board.set_unix_time(hint_at)
    try:
        at = _date(device, True)
        if abs(at - board.unix_time()) > _AGREE_S:
            raise ProtocolError("two dates")
        return at
    finally:
        board.set_unix_time(was_at + board.unix_time() - hint_at)


def _date(device: "Device", judged: bool) -> int:
    """Return what the endpoint tells on a connection that our roots judge, or nobody."""
    ssl, host, context = device.board.ssl, device.me["endpoint"], device.trusts
    if not judged:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_mode = ssl.CERT_NONE
    gc.collect()  # a TLS session wants its memory in one piece
    deadline = Deadline(device.clock, _LIMIT_MS)
    sock, bare = dial(device.board.net, context, host, device.me["https_port"], deadline)
    poller = select.poll()
    poller.register(sock, select.POLLIN)  # while TLS has a need of its own, this waits for that
    request = b"HEAD / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host.encode()
    head = b""
    try:
        while b"\r\n\r\n" not in head:
            done = sock.write(request) if request else sock.read(256)
            if done in (None, 0):
                deadline.poll(poller)
            elif request:
                request = request[done:]
            elif not done or len(head) > _LONGEST:
                raise ValueError("no whole answer")
            else:
                head += done
        begin = head.lower().find(b"\r\ndate:") + 7
        at = http_date(str(head[begin : head.find(b"\r\n", begin)], "utf-8").strip())
        if not head.startswith(b"HTTP/1.") or not plausible(at):
            raise ValueError("no such time")
        return at
    except ValueError as e:  # also how MicroPython tells that a certificate does not verify
        raise ProtocolError(str(e).strip())
    finally:
        sock.close()
        bare.close()
