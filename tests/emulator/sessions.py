"""MQTT conversations without sockets, for tests: a wire, and a device's side."""

from collections.abc import Callable

from firstlight.emulator.events import Event
from firstlight.emulator.hub.messages import C2D
from firstlight.emulator.journal import Journal, Nowhere
from firstlight.emulator.mqtt.session import Session
from firstlight.emulator.services import Services, Surroundings
from firstlight.emulator.settings import Settings
from tests.emulator.hubs import BY_KEYS, KEYS, NOW, id_of, packets_in, random_bytes
from tests.emulator.peers import (
    connect,
    subscribe,
    token,
)

EVENTS = "devices/dev/messages/events/"


class Wire:
    """Keeps what a session says. unread: bytes that the peer is told to have left."""

    over = "mqtt"

    def __init__(self) -> None:
        self.sent = b""
        self.unread = 0
        self.is_closed = False

    def send(self, data: bytes) -> None:
        assert not self.is_closed
        self.sent += data

    def waiting(self) -> int:
        return self.unread

    def close(self) -> None:
        self.is_closed = True

    def end(self, how: str) -> None:
        self.is_closed = True

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def later(self, delay_s: float, do: Callable[[], None]) -> None: ...

    def take(self) -> list[tuple[int, bytes]]:
        """The packets that were said since the last time."""
        found, self.sent = packets_in(self.sent), b""
        return found


class Talk:
    """A device's conversation with a cloud of its own; the clock is `now_at`."""

    def __init__(self, journal: Journal | None = None, settings: Settings | None = None) -> None:
        self.now_at = NOW
        self.log: list[Event] = []
        around = Surroundings(
            lambda: self.now_at, random_bytes, self.log.append, journal or Nowhere(), frozenset
        )
        self.services = Services(settings or Settings(), around)
        self.hub = self.services.hubs["localhost"]
        self.hub.put_device("dev", BY_KEYS, NOW)

    def join(
        self, keepalive_s: int = 60, clean: bool = True, id: str = "dev"
    ) -> tuple[Session, Wire]:
        """A new connection, accepted."""
        session, wire, _ = self.rejoin(keepalive_s, clean, id)
        return session, wire

    def rejoin(
        self, keepalive_s: int = 60, clean: bool = False, id: str = "dev"
    ) -> tuple[Session, Wire, list[tuple[int, bytes]]]:
        """The same, and what follows CONNACK."""
        wire = Wire()
        session = Session(self.services.cloud, wire, "peer")
        password = token(f"localhost/devices/{id}", KEYS.primary_b64, int(NOW) + 999, None)
        user = f"localhost/{id}/?api-version=2021-04-12"
        session.feed(connect(id, user, password, keepalive_s, clean))
        (first, _), *after = wire.take()
        assert first == 0x20
        return session, wire, after

    def subscribed(self, topic_filter: str, qos: int = 1) -> tuple[Session, Wire]:
        session, wire = self.join()
        session.feed(subscribe(topic_filter, qos))
        assert [first for first, _ in wire.take()] == [0x90]
        return session, wire

    def send(self, body: bytes = b"") -> None:
        self.hub.send_message("dev", C2D(body), self.now_at)

    def said(self, part: str) -> bool:
        return any(part in event["what"] for event in self.log)


def told(packets: list[tuple[int, bytes]]) -> list[tuple[int, int, bytes]]:
    """First byte, packet id and last byte of each."""
    return [(first, id_of(body), body[-1:]) for first, body in packets]
