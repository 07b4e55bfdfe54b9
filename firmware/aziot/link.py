"""MQTT over verified TLS: umqtt.simple, with every wait bounded and every answer demanded.

One Link is one connection at a time. Whatever fails closes the socket and leaves the object
ready to connect again. Never connects without checking whom to; there is no switch for that.

Mends, of umqtt.simple 1.3.4 to 1.8: reads and writes without an end (see stream.py); packet ids
that never wrap; asserts on the peer's bytes, which -O removes; a password that is sent even when
there is none; SUBSCRIBE's length in one byte; lengths that count characters (protocol.md 8).
"""

import errno
import gc
import select
import struct

from umqtt.simple import MQTTClient

from ._const import const
from .errors import ProtocolError, Refused, ServiceError
from .stream import Deadline, Stream

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_SUBACK = const(0x90)
_PINGRESP = const(0xD0)
_SIZES = {_CONNACK: 2, _PUBACK: 2, _SUBACK: 3, _PINGRESP: 0}  # of what else may arrive


class Link(MQTTClient):
    """A connection to one host. Raises OSError, ProtocolError, ServiceError and Refused.

    net, clock: MicroPython's socket and time modules, or what stands in for them; context: of
    tls_context(); timeout_ms bounds each call; longest, in bytes, each packet that arrives.
    """

    def __init__(
        self,
        net: "Any",
        clock: "Any",
        context: "Any",
        host: str,
        port: int,
        timeout_ms: int = 30000,
        longest: int = 8192,
    ) -> None:
        MQTTClient.__init__(self, b"", host, port)
        self._net = net
        self._clock = clock
        self._context = context
        self._timeout_ms = timeout_ms
        self._longest = longest
        self._quiet: Deadline | None = None
        self._pong: Deadline | None = None
        self.set_callback(lambda _topic, _msg: None)  # a message that nobody waits for

    def connect(  # type: ignore[override]
        self, client_id: str, user: str, password: str | None, keepalive_s: int
    ) -> None:
        """Open TCP, TLS and a clean MQTT session, all within timeout_ms.

        password None leaves the field out, as X.509 wants. Keeps neither it nor the user name.
        """
        self.close()
        gc.collect()  # a TLS session wants its memory in one piece
        deadline = Deadline(self._clock, self._timeout_ms)
        try:
            self.sock = self._open(deadline)
            self.sock.write(_hello(client_id, user, password, keepalive_s))
            answer = self.sock.read(4)
            if answer[0] != _CONNACK:
                raise ProtocolError("MQTT: not a CONNACK")
            if answer[3]:
                raise Refused(answer[3])
        except ValueError as e:  # how MicroPython tells that a certificate does not verify
            self.close()
            raise ProtocolError("TLS: " + str(e).strip())
        except Exception:
            self.close()
            raise
        self.keepalive = keepalive_s
        self._alive()

    def subscribe(self, topic: str, qos: int = 0) -> None:
        """Subscribe, and return when it is granted."""
        raw = topic.encode()
        if len(raw) > 122:  # umqtt writes SUBSCRIBE's length as one byte
            raise ValueError("topic too long")
        self._within(MQTTClient.subscribe, raw, qos)

    def publish(self, topic: str, msg: bytes, retain: bool = False, qos: int = 0) -> None:
        """Send one message; with qos 1, return when it is acknowledged."""
        self._within(MQTTClient.publish, topic.encode(), msg, retain, qos)
        if qos:
            self._alive()

    def wait_msg(self) -> int | None:
        self.sock.skip()
        kind: int | None = MQTTClient.wait_msg(self)
        self.sock.flush()
        return kind

    def check_msg(self, limit_ms: int = 0) -> None:
        """Take one message if one is here, or comes within limit_ms. Keep the connection alive."""
        if limit_ms and self.sock is not None:
            self.sock.wait(limit_ms)
        self._within(MQTTClient.check_msg)
        if self._pong is not None:
            if not self._pong.left_ms():
                self.close()
                raise OSError(errno.ETIMEDOUT)
        elif self._quiet is not None and not self._quiet.left_ms():
            self._pong = Deadline(self._clock, self._timeout_ms)
            self._within(MQTTClient.ping)

    def disconnect(self) -> None:
        """Say goodbye if that is possible, and close."""
        try:
            if self.sock is not None:
                self.sock.deadline = Deadline(self._clock, self._timeout_ms)
                self.sock.write(b"\xe0\0")
                self.sock.flush()
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Close the socket; harmless if it is closed."""
        sock, self.sock = self.sock, None
        self._quiet = self._pong = None
        if sock is not None:
            sock.close()

    def _within(self, call: "Callable[..., Any]", *args: "Any") -> None:
        """Run one of umqtt's calls, all its waits within timeout_ms."""
        if self.sock is None:
            raise OSError(errno.ENOTCONN)
        self.sock.deadline = Deadline(self._clock, self._timeout_ms)
        self.pid %= 65535  # umqtt adds one before use: 1 to 65535, as MQTT wants
        try:
            call(self, *args)
            self.sock.flush()
        except Exception:
            self.close()
            raise

    def _alive(self) -> None:
        """An answer came: the connection works both ways."""
        self._pong = None
        if self.keepalive:
            self._quiet = Deadline(self._clock, self.keepalive * 500)  # half, in milliseconds

    def _open(self, deadline: Deadline) -> Stream:
        """Return a stream to the first of the host's addresses that answers."""
        net = self._net
        poller = select.poll()
        error = OSError(errno.EHOSTUNREACH)
        for family, kind, _, _, address in net.getaddrinfo(
            self.server, self.port, 0, net.SOCK_STREAM
        ):
            sock = net.socket(family, kind)
            sock.setblocking(False)
            try:
                sock.connect(address)
            except OSError as e:
                error = e
                if e.errno != errno.EINPROGRESS:
                    sock.close()
                    continue
            poller.register(sock, select.POLLOUT)
            ready = poller.poll(deadline.left_ms())
            poller.unregister(sock)
            if ready and not ready[0][1] & (select.POLLERR | select.POLLHUP):
                tls = self._context.wrap_socket(
                    sock, server_hostname=self.server, do_handshake_on_connect=False
                )
                return Stream(tls, deadline, self._longest, self._inspect)
            sock.close()
            error = OSError(errno.ECONNREFUSED if ready else errno.ETIMEDOUT)
        raise error

    def _inspect(self, packet: bytearray, at: int) -> None:
        """Check one whole packet, its body begins at `at`: what umqtt asserts then holds."""
        kind = packet[0]
        size = len(packet) - at
        if kind & 0xF0 == _PUBLISH:
            topic = packet[at] << 8 | packet[at + 1] if size > 1 else size
            sound = kind & 6 < 4 and topic > 0 and 2 + topic + (kind & 2) <= size
        else:
            sound = at == 2 and _SIZES.get(kind) == size
        if kind == _SUBACK and sound:
            sound = packet[2] << 8 | packet[3] == self.pid
            if sound and packet[4] > 1:
                raise ServiceError("MQTT: not subscribed", 0, packet[4])
        if not sound:
            raise ProtocolError("MQTT: odd packet 0x%02x" % kind)
        if kind == _PINGRESP:
            self._alive()


def _hello(client_id: str, user: str, password: str | None, keepalive_s: int) -> bytes:
    """Return CONNECT (MQTT 3.1.1 section 3.1)."""
    fields = [client_id, user] if password is None else [client_id, user, password]
    flags = 0x82 if password is None else 0xC2  # a user name, a clean session; a password
    body = struct.pack("!H4sBBH", 4, b"MQTT", 4, flags, keepalive_s)
    for field in fields:
        raw = field.encode()
        body += struct.pack("!H", len(raw)) + raw
    head = b"\x10"
    size = len(body)
    while size > 0x7F:
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    return head + bytes([size]) + body
