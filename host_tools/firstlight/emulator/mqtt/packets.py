"""MQTT 3.1.1 packets that a client sends, as values; what is none is a PacketError.

No I/O, and nothing of bytes: reading.py makes the values, writing.py the server's answers.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 10, 12, 14


class PacketError(Exception):
    """Not a packet that a server takes; why, in one sentence. code: for CONNACK, if one is due."""

    def __init__(self, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True)
class Publish:
    """PUBLISH. packet_id: None at QoS 0."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int | None
    retain: bool


@dataclass(frozen=True)
class Connect:
    """CONNECT of MQTT 3.1.1. user, password, will: None if absent; clean: CleanSession."""

    client_id: str
    keepalive_s: int
    user: str | None
    password: str | None = field(repr=False)
    will: Publish | None = None
    clean: bool = True


@dataclass(frozen=True)
class Puback:
    """PUBACK."""

    packet_id: int


@dataclass(frozen=True)
class Subscribe:
    """SUBSCRIBE: pairs of a filter and the QoS asked for."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Unsubscribe:
    """UNSUBSCRIBE."""

    packet_id: int
    filters: tuple[str, ...]


@dataclass(frozen=True)
class Ping:
    """PINGREQ."""


@dataclass(frozen=True)
class Disconnect:
    """DISCONNECT."""


Packet: TypeAlias = Connect | Publish | Puback | Subscribe | Unsubscribe | Ping | Disconnect
