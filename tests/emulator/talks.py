"""A device's side of what a hub says to it over a real connection, and the service's."""

from typing import Any

from firstlight.emulator.hub.messages import C2D
from firstlight.emulator.running import RunningAzure
from tests.emulator.hubs import id_of, topic_of
from tests.emulator.peers import Peer, packet, subscribe


def send(azure: RunningAzure, body: bytes, **more: Any) -> None:
    """A message from the service to dev-1."""

    def step(local: Any) -> None:
        local.hubs["localhost"].send_message("dev-1", C2D(body, **more), local.clock())

    azure.call(step)


def queued(azure: RunningAzure) -> int:
    return azure.call(
        lambda local: local.hubs["localhost"].queued_messages("dev-1", local.clock())
    )


def read_publish(peer: Peer) -> tuple[int, str, bytes, int | None]:
    """First byte, topic, payload and packet id of the next packet, which must be a PUBLISH."""
    first, body = peer.read()
    assert first >> 4 == 3, f"a packet of type {first >> 4}"
    topic, qos = topic_of(body), first >> 1 & 3
    start = 2 + len(topic.encode()) + (2 if qos else 0)
    return first, topic, body[start:], id_of(body) if qos else None


def subscribed(peer: Peer, topic_filter: str, qos: int = 1) -> Peer:
    peer.send(subscribe(topic_filter, qos))
    assert peer.read() == (0x90, bytes([0, 1, min(qos, 1)]))
    return peer


def answered(peer: Peer) -> None:
    """Everything that was sent has been taken: the server answers in order."""
    peer.send(packet(0xC0, b""))
    assert peer.read() == (0xD0, b"")
