"""MQTT 3.1.1 packets that a server sends, as bytes, with amqtt's packet classes.

Values in, bytes out: no sockets. What is often the same is made once.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from amqtt.mqtt.connack import ConnackPacket  # type: ignore[import-untyped]
from amqtt.mqtt.packet import MQTTFixedHeader  # type: ignore[import-untyped]
from amqtt.mqtt.puback import PubackPacket  # type: ignore[import-untyped]
from amqtt.mqtt.publish import PublishVariableHeader  # type: ignore[import-untyped]
from amqtt.mqtt.suback import SubackPacket  # type: ignore[import-untyped]
from amqtt.mqtt.unsuback import UnsubackPacket  # type: ignore[import-untyped]

from .packets import PUBLISH


@lru_cache
def connack(code: int, session_present: bool = False) -> bytes:
    """CONNACK; a session is present only at a hub, with code 0 (protocol.md 1.2, MQTT-3.2.2-4)."""
    return _bytes(ConnackPacket.build(int(session_present), code))


@lru_cache(maxsize=1024)
def puback(packet_id: int) -> bytes:
    return _bytes(PubackPacket.build(packet_id))


def suback(packet_id: int, granted: Sequence[int]) -> bytes:
    return _suback(packet_id, tuple(granted))


@lru_cache(maxsize=1024)
def _suback(packet_id: int, granted: tuple[int, ...]) -> bytes:
    return _bytes(SubackPacket.build(packet_id, list(granted)))


@lru_cache(maxsize=1024)
def unsuback(packet_id: int) -> bytes:
    return _bytes(UnsubackPacket.build(packet_id))


def pingresp() -> bytes:
    return b"\xd0\0"


def publish(topic: str, payload: bytes, packet_id: int | None, dup: bool = False) -> bytes:
    """PUBLISH, QoS 1 if it has a packet id, not retained. dup: it was sent before (QoS 1 only)."""
    flags = 0 if packet_id is None else 0x0A if dup else 0x02
    head: bytes = PublishVariableHeader(topic, packet_id).to_bytes()
    return _bytes(MQTTFixedHeader(PUBLISH, flags, len(head) + len(payload))) + head + payload


def _bytes(packet: Any) -> bytes:
    return bytes(packet.to_bytes())
