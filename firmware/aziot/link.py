"""MQTT over verified TLS: umqtt.simple, with every wait bounded and every answer demanded.

One Link is one connection at a time. Whatever fails closes the socket and leaves the object
ready to connect again. Never connects without checking whom to; there is no switch for that.

Mends, of umqtt.simple 1.3.4 to 1.8: reads and writes without an end (see stream.py); packet ids
that never wrap; asserts on the peer's bytes, which -O removes; a password that is sent even when
there is none; SUBSCRIBE's length in one byte; lengths that count characters (protocol.md 8).
"""

import errno
import gc
import struct
import sys

from umqtt import simple

from ._const import const
from .errors import ProtocolError, ServiceError
from .stream import Deadline, Stream

_TYPING = const(0)
if _TYPING:
    from collections.abc import Callable
    from typing import Any

_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_SUBACK = const(0x90)
# What else may arrive, kind and length: CONNACK, PUBACK, SUBACK, PINGRESP
_ANSWERS = const((0x2002, 0x4002, 0x9003, 0xD000))


class Link:
    """A connection to one host. Raises OSError, ProtocolError, ServiceError and Refused.

    net, clock: MicroPython's socket and time modules, or what stands in for them; context: TLS's;
    timeout_ms bounds each call, but what DNS takes (see opening.py); longest, in bytes, each
    packet that arrives. set_callback(f) comes before subscribe(): f(topic, body) takes each
    message, both as bytes.

    acked: the packet id of the last PUBACK since connect(), 0 for none; answers: how many packets
    since then were answers of the peer's to something.
    """

    # umqtt's own, with what they call: the rest of it (its connect() alone is a kilobyte of heap)
    # is let go below.
    _send_str = simple.MQTTClient._send_str
    _recv_len = simple.MQTTClient._recv_len
    set_callback = simple.MQTTClient.set_callback
    _subscribe = simple.MQTTClient.subscribe
    _publish = simple.MQTTClient.publish
    _wait_msg = simple.MQTTClient.wait_msg
    _check_msg = simple.MQTTClient.check_msg
    _ping = simple.MQTTClient.ping

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
        self.server = host
        self.port = port
        self.sock: Any = None
        self.pid = 0
        self._net = net
        self._clock = clock
        self._context = context
        self._timeout_ms = timeout_ms
        self._longest = longest

    def connect(self, client_id: str, user: str, password: "str | None", keepalive_s: int) -> None:
        """Open TCP, TLS and an MQTT session that the peer keeps, all within timeout_ms.

        password None leaves the field out, as X.509 wants. Keeps neither it nor the user name.
        """
        self.close()
        self.acked = self.answers = 0
        self.keepalive = keepalive_s
        self._expect(False, 0)
        from . import opening

        gc.collect()  # a TLS session wants its memory in one piece
        deadline = Deadline(self._clock, self._timeout_ms)
        try:
            socks = opening.dial(self._net, self._context, self.server, self.port, deadline)
            self.sock = Stream(socks, deadline, self._longest, self._inspect)
            opening.greet(self.sock, client_id, user, password, keepalive_s)
        except Exception:
            self.close()
            raise
        finally:  # it does not lie in memory while a hub is served
            del sys.modules["aziot.opening"], sys.modules["aziot"].opening

    def subscribe(self, topic: str, qos: int = 0) -> None:
        """Subscribe, and return when it is granted."""
        raw = topic.encode()
        if len(raw) > 122:  # umqtt writes SUBSCRIBE's length as one byte
            raise ValueError(topic)
        self.pid %= 65535  # umqtt adds one before use: 1 to 65535, as MQTT wants
        self._within(self._subscribe, raw, qos)

    def send(self, topic: str, msg: bytes, dup: bool) -> int:
        """Send one message at QoS 1; return its packet id, which comes up in `acked` later.

        dup: it was sent before. Ids repeat after 65535 calls, long after an answer is due.
        umqtt's own publish() is not for use: it would wait for the answer, or ask for none.
        """
        self.pid = pid = self.pid % 65535 + 1
        # umqtt's own QoS 1 blocks. Its `retain` goes into the packet's first byte as it is, and
        # 2 there is QoS 1, 8 is DUP (MQTT 3.1.1 section 3.3.1); the id precedes the body.
        self._within(self._publish, topic.encode(), struct.pack("!H", pid) + msg, 2 | dup << 3)
        return pid

    def wait_msg(self) -> int | None:
        self.sock.skip()
        kind: int | None = self._wait_msg()
        self.sock.flush()
        return kind

    def check_msg(self, limit_ms: int = 0) -> None:
        """Take one message if one is here, or comes within limit_ms. Keep the connection alive."""
        if limit_ms and self.sock is not None:
            self.sock.wait(limit_ms)
        self._within(self._check_msg)
        if self.keepalive and not self._life.left_ms():
            if self._asked:
                self.close()
                raise OSError(errno.ETIMEDOUT)
            self._expect(True, self._timeout_ms)
            self._within(self._ping)

    def disconnect(self) -> None:
        """Say goodbye if that is possible, and close."""
        try:
            if self.sock is not None:
                self._within(self.sock.write, b"\xe0\0")
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Close the socket; harmless if it is closed."""
        sock, self.sock = self.sock, None
        if sock is not None:
            sock.close()

    def _within(self, call: "Callable[..., Any]", *args: "Any") -> None:
        """Run one of umqtt's calls, all its waits within timeout_ms."""
        if self.sock is None:
            raise OSError(errno.ENOTCONN)
        self.sock.deadline = Deadline(self._clock, self._timeout_ms)
        try:
            call(*args)
            self.sock.flush()
        except Exception:
            self.close()
            raise

    def _expect(self, asked: bool, limit_ms: int) -> None:
        """Bound the quiet: the time until we ask whether the peer is there, or for its answer."""
        self._asked = asked
        self._life = Deadline(self._clock, limit_ms)

    def _inspect(self, packet: bytearray, at: int) -> None:
        """Check one whole packet, its body begins at `at`: what umqtt asserts then holds."""
        kind = packet[0]
        number = packet[2] << 8 | packet[3] if len(packet) > 3 else 0
        if kind & 0xF0 == _PUBLISH:
            size = len(packet) - at
            topic = packet[at] << 8 | packet[at + 1] if size > 1 else size
            sound = kind & 6 < 4 and topic > 0 and 2 + topic + (kind & 2) <= size
            if self._asked:  # the answer may stand in line behind it
                self._expect(True, self._timeout_ms)
        else:
            sound = kind << 8 | packet[1] in _ANSWERS
            if kind == _PUBACK:
                self.acked = number
            elif kind == _SUBACK and sound:
                sound = number == self.pid
                if sound and packet[4] > 1:
                    raise ServiceError("MQTT: not subscribed", 0, packet[4])
            self.answers += 1
            self._expect(False, self.keepalive * 500)
        if not sound:
            raise ProtocolError("MQTT: odd packet 0x%02x" % kind)


del sys.modules["umqtt.simple"], sys.modules["umqtt"].simple, simple.MQTTClient, simple
