"""What each device is subscribed to, and since when; kept beyond the connection if it asks for it.

No I/O, no clock. A device that connects with CleanSession 0 finds its subscriptions again, and is
sent what was queued for it meanwhile (protocol.md 6.3; iot-mqtt-connect-to-iot-hub, "Receiving
cloud-to-device messages").
"""

from dataclasses import dataclass, field

from ..answers import Json
from ..journal import Journal


@dataclass(frozen=True)
class Subscription:
    """qos: 0 or 1, as granted; since: Unix seconds."""

    qos: int
    since: float


@dataclass
class _Session:
    """One device's. is_clean: it ends with its connection."""

    is_clean: bool
    filters: dict[str, Subscription] = field(default_factory=dict)

    def document(self) -> Json:
        return {name: [sub.qos, sub.since] for name, sub in self.filters.items()}


class Sessions:
    """The sessions of one hub's devices: at most one each."""

    def __init__(self, hub: str, journal: Journal) -> None:
        self._kind = f"session/{hub}"
        self._journal = journal
        self._sessions = {
            device_id: _Session(False, {name: Subscription(*pair) for name, pair in kept.items()})
            for device_id, kept in journal.load(self._kind)
        }

    def begin(self, device_id: str, clean: bool) -> dict[str, Subscription] | None:
        """A connection begins; the subscriptions of the session that it goes on with, or None."""
        known = self._sessions.get(device_id)
        if known is not None and not known.is_clean and not clean:
            return dict(known.filters)
        self.forget(device_id)
        self._sessions[device_id] = _Session(clean)
        self._write(device_id)
        return None

    def end(self, device_id: str) -> None:
        """The connection is gone."""
        session = self._sessions.get(device_id)
        if session is not None and session.is_clean:
            del self._sessions[device_id]

    def forget(self, device_id: str) -> None:
        """The device is gone, or begins anew."""
        session = self._sessions.pop(device_id, None)
        if session is not None and not session.is_clean:
            self._journal.delete(self._kind, device_id)

    def add(self, device_id: str, topic_filter: str, qos: int, now_at: float) -> None:
        """A subscription; one that is there already only changes its QoS."""
        session = self._sessions.get(device_id)
        if session is None:
            return
        known = session.filters.get(topic_filter)
        fresh = Subscription(qos, known.since if known else now_at)
        if fresh != known:
            session.filters[topic_filter] = fresh
            self._write(device_id)

    def remove(self, device_id: str, topic_filter: str) -> None:
        """No subscription any more; no matter if there was none."""
        session = self._sessions.get(device_id)
        if session is not None and session.filters.pop(topic_filter, None) is not None:
            self._write(device_id)

    def best(self, device_id: str, topic_filters: list[str]) -> tuple[str, Subscription] | None:
        """Of filters that all take the same messages, the one with the highest QoS.

        The subscription is as old as the oldest of them. None if there is none.
        """
        session = self._sessions.get(device_id)
        filters = session.filters if session else {}
        mine = [(filters[name], name) for name in topic_filters if name in filters]
        if not mine:
            return None
        since = min(sub.since for sub, _ in mine)
        sub, name = max(mine, key=lambda pair: pair[0].qos)
        return name, Subscription(sub.qos, since)

    def _write(self, device_id: str) -> None:
        session = self._sessions[device_id]
        if not session.is_clean:
            self._journal.put(self._kind, device_id, session.document())
