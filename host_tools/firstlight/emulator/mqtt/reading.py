"""MQTT 3.1.1 packets from bytes, with amqtt's packet classes.

Bytes in, values out: no sockets and no waiting. Whatever the bytes are, the only exception is
PacketError; nothing longer than the limit is ever kept; no inner length reaches past its packet.
A packet counts only if writing it again gives the very bytes that came: so a lying length, a
missing field, bytes left over and invalid UTF-8 are refused.
"""

import re
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from amqtt import errors  # type: ignore[import-untyped]
from amqtt.mqtt import packet_class  # type: ignore[import-untyped]
from amqtt.mqtt.packet import MQTTFixedHeader  # type: ignore[import-untyped]
from amqtt.mqtt.publish import PublishVariableHeader  # type: ignore[import-untyped]

from .packets import (
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBLISH,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Connect,
    Disconnect,
    Packet,
    PacketError,
    Ping,
    Puback,
    Publish,
    Subscribe,
    Unsubscribe,
)

CONTROL_LIMIT = 4 * 1024
PUBLISH_LIMIT = 300 * 1024
_HEAD = re.compile(rb"(\x00\x04MQTT|\x00\x06MQIsdp)(.)", re.DOTALL)
# Kinds that hold no payload and no secret, so that they may be remembered if they are short.
_REPEATED = frozenset((PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT))
_SHORT = 128
_AMQTT_ERRORS = (errors.AMQTTError, errors.MQTTError, errors.CodecError, errors.NoDataError)
_PARSER_ERRORS = (*_AMQTT_ERRORS, ValueError, TypeError, struct.error)


class Decoder:
    """Cuts a stream into packets, none longer than its kind may be.

    publish_limit: the longest PUBLISH in bytes; 0 as long as there was no CONNECT.
    """

    def __init__(self) -> None:
        self.publish_limit = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Add bytes; yield each whole packet. Raise PacketError; the stream is then lost."""
        self._buffer += data
        while (cut := self._cut()) is not None:
            first, body = cut
            yield parse(first, body)

    @property
    def is_midway(self) -> bool:
        """Whether part of a packet is waiting for the rest."""
        return bool(self._buffer)

    def _cut(self) -> tuple[int, bytes] | None:
        length = 0
        for i in range(4):
            if len(self._buffer) < 2 + i:
                return None
            byte = self._buffer[1 + i]
            length |= (byte & 0x7F) << (7 * i)
            self._check(self._buffer[0] >> 4, length)
            if not byte & 0x80:
                return self._take(2 + i, length)
        raise PacketError("a remaining length of more than four bytes")

    def _check(self, kind: int, length: int) -> None:
        # Only a PUBLISH is ever long, and nothing but CONNECT may come before it.
        limit = self.publish_limit if kind == PUBLISH else CONTROL_LIMIT
        if length > limit:
            raise PacketError(f"a packet of type {kind} of more than {limit} bytes")

    def _take(self, start: int, length: int) -> tuple[int, bytes] | None:
        if len(self._buffer) < start + length:
            return None
        first, body = self._buffer[0], bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        return first, body


def parse(first: int, body: bytes) -> Packet:
    """One packet from its first byte and all that follows the length; raise PacketError."""
    if first >> 4 in _REPEATED and len(body) <= _SHORT:
        return _parse_once(first, body)
    return _parse(first, body)


def _parse(first: int, body: bytes) -> Packet:
    kind, flags = first >> 4, first & 0x0F
    reader = _READERS.get(kind)
    if reader is None:
        raise PacketError(f"a packet of type {kind}, which no client sends")
    if kind != PUBLISH and flags != (2 if kind in (SUBSCRIBE, UNSUBSCRIBE) else 0):
        raise PacketError(f"reserved flags are set in a packet of type {kind}")
    if kind == CONNECT:
        _check_protocol(body)
    header = MQTTFixedHeader(kind, flags, len(body))
    try:
        return reader(header, body)
    except _PARSER_ERRORS as error:
        raise PacketError(f"a malformed packet of type {kind}: {type(error).__name__}") from None


def _whole(header: Any, body: bytes) -> Any:
    """A packet in amqtt's class, which writes it just as it came."""
    raw = _run(packet_class(header).from_stream(_Body(body), header))
    if _body_of(raw) != body:
        raise _malformed(header.packet_type)
    return raw


def _malformed(kind: int) -> PacketError:
    return PacketError(f"a malformed packet of type {kind}: its lengths or its text are wrong")


# Packets are values, and devices say the same again and again: it is read once.
_parse_once = lru_cache(maxsize=1024)(_parse)


class _Body:
    """amqtt's reader over one packet's bytes: reading past them gives less, never waits."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    async def read(self, n: int = -1) -> bytes:
        end = len(self._body) if n < 0 else self._at + n
        piece = self._body[self._at : end]
        self._at += len(piece)
        return piece


def _run(steps: Any) -> Any:
    """Run a coroutine that never waits."""
    try:
        steps.send(None)
    except StopIteration as done:
        return done.value
    steps.close()
    raise PacketError("the parser asked for more than the packet")


def _body_of(raw: Any) -> bytes:
    """What follows the fixed header, written again."""
    head, payload = raw.variable_header, raw.payload
    start = b"" if head is None else head.to_bytes()
    return bytes(start if payload is None else start + payload.to_bytes(raw.fixed_header, head))


def _text(value: str | None) -> str:
    if value is None or "\0" in value:  # MQTT-1.5.3-2
        raise PacketError("a text that is absent or holds U+0000")
    return value


def _packet_id(raw: Any) -> int:
    id: int = raw.variable_header.packet_id
    if id == 0:  # MQTT-2.3.1-1
        raise PacketError("packet id 0")
    return id


def _check_protocol(body: bytes) -> None:
    """Refuse a CONNECT that is not ours to read: other fields follow there."""
    head = _HEAD.match(body)
    if head is None:
        raise PacketError("a CONNECT of another protocol")
    if head[0] != b"\0\4MQTT\4":
        raise PacketError(f"protocol level {head[2][0]}, not 4 (MQTT 3.1.1)", code=1)
    if body[10:12] == b"\0\0":
        raise PacketError("an empty client id", code=2)


def _connect(header: Any, body: bytes) -> Connect:
    raw = _whole(header, body)
    head, payload = raw.variable_header, raw.payload
    if head.reserved_flag:
        raise PacketError("a CONNECT with its reserved flag set")
    if not head.username_flag and head.password_flag:
        raise PacketError("a CONNECT with a password and no user name")
    if head.will_qos > 2 or (not head.will_flag and (head.will_qos or head.will_retain_flag)):
        raise PacketError("a CONNECT with contradictory will flags")
    user = _text(payload.username) if head.username_flag else None
    password = _text(payload.password) if head.password_flag else None
    will = _will(head, payload)
    clean = head.clean_session_flag
    return Connect(_text(payload.client_id), head.keep_alive, user, password, will, clean)


def _will(head: Any, payload: Any) -> Publish | None:
    if not head.will_flag:
        return None
    topic, body = _text(payload.will_topic), bytes(payload.will_message)
    return Publish(topic, body, head.will_qos, None, head.will_retain_flag)


def _publish(header: Any, body: bytes) -> Publish:
    """The kind that is read most often: what follows its head, is its payload."""
    head = _run(PublishVariableHeader.from_stream(_Body(body), header))
    start = head.to_bytes()
    if not body.startswith(start):
        raise _malformed(PUBLISH)
    topic, qos = _text(head.topic_name), header.flags >> 1 & 0x03
    if qos > 2 or not topic:
        raise PacketError("a PUBLISH with QoS 3 or without a topic")
    if head.packet_id == 0:  # MQTT-2.3.1-1
        raise PacketError("packet id 0")
    return Publish(topic, body[len(start) :], qos, head.packet_id, bool(header.flags & 0x01))


def _subscribe(header: Any, body: bytes) -> Subscribe:
    raw = _whole(header, body)
    filters = tuple((_text(name), qos) for name, qos in raw.payload.topics)
    if not filters or any(qos > 2 or not name for name, qos in filters):
        raise PacketError("a SUBSCRIBE without a filter, or with a QoS that is none")
    return Subscribe(_packet_id(raw), filters)


def _unsubscribe(header: Any, body: bytes) -> Unsubscribe:
    raw = _whole(header, body)
    filters = tuple(_text(name) for name in raw.payload.topics)
    if not filters:
        raise PacketError("an UNSUBSCRIBE without a filter")
    return Unsubscribe(_packet_id(raw), filters)


def _ping(header: Any, body: bytes) -> Ping:
    _whole(header, body)
    return Ping()


def _disconnect(header: Any, body: bytes) -> Disconnect:
    _whole(header, body)
    return Disconnect()


_READERS: dict[int, Callable[[Any, bytes], Packet]] = {
    CONNECT: _connect,
    PUBLISH: _publish,
    PUBACK: lambda header, body: Puback(_packet_id(_whole(header, body))),
    SUBSCRIBE: _subscribe,
    UNSUBSCRIBE: _unsubscribe,
    PINGREQ: _ping,
    DISCONNECT: _disconnect,
}
