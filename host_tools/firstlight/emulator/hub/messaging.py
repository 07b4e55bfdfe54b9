"""A hub's messages to its devices: queued, sent to whoever is subscribed, settled, reported.

Pure logic: no sockets and no clock. Facts: iot-hub-devguide-messages-c2d; protocol.md 6.3.
"""

from ..answers import RandomBytes, Refusal
from ..journal import Journal
from . import topics
from .feedback import Batch, Feedback
from .mailboxes import Mailboxes
from .messages import C2D
from .registry import Device, Registry
from .rules import HubRules
from .sessions import Sessions


class Messaging:
    """The part of a hub that its messages to devices need; hub.py has the rest."""

    def __init__(
        self,
        name: str,
        registry: Registry,
        random_bytes: RandomBytes,
        journal: Journal,
        rules: HubRules,
    ) -> None:
        self.name = name
        self.registry = registry
        self.rules = rules
        self.random_bytes = random_bytes
        self._sessions = Sessions(name, journal)
        ttl_s, lock_s = rules.c2d.feedback_ttl_s, rules.c2d.feedback_lock_s
        self._feedback = Feedback(name, ttl_s, lock_s, random_bytes, journal)
        self._mail = Mailboxes(name, rules.c2d, self._settled, random_bytes, journal)

    def device(self, device_id: str) -> Device:
        """The device; raise Refusal 404001."""
        device = self.registry.get(device_id)
        if device is None:
            raise Refusal(404, 404001, f"Device '{device_id}' is not registered.")
        return device

    def send_message(self, device_id: str, message: C2D, now_at: float) -> C2D:
        """Queue a message to the device, and send it if it is there.

        Raise Refusal 400 or 413 for a message that cannot be, 403 for the 51st, 404.
        """
        device = self.device(device_id)
        queued = self._mail.send(device_id, message, now_at)
        self.flow(device, now_at)
        return queued

    def queued_messages(self, device_id: str, now_at: float) -> int:
        """How many messages wait for the device."""
        return self._mail.count(device_id, now_at)

    def purge_messages(self, device_id: str, now_at: float) -> int:
        """Dead-letter all that waits for the device; how many. Raise Refusal 404."""
        self.device(device_id)
        return self._mail.purge(device_id, now_at)

    def withheld_messages(self, device_id: str, now_at: float) -> int:
        """How many messages wait that this session will not get, for they are older than it."""
        best = self._sessions.best(device_id, topics.messages(device_id))
        if best is None or self.rules.backlog != "withheld":
            return 0
        return self._mail.count(device_id, now_at, best[1].since)

    def lock_message(self, device_id: str, now_at: float) -> C2D | None:
        """The device's next message over HTTPS, locked for a minute; None if there is none."""
        return self._mail.lock(device_id, now_at)

    def complete(self, device_id: str, lock_token: str, now_at: float) -> None:
        """The device is done with a message; raise Refusal 412."""
        self._mail.complete(device_id, lock_token, now_at)

    def reject(self, device_id: str, lock_token: str, now_at: float) -> None:
        """The device does not want a message; raise Refusal 412."""
        self._mail.reject(device_id, lock_token, now_at)

    def abandon(self, device_id: str, lock_token: str, now_at: float) -> None:
        """The device gives a message back; raise Refusal 412."""
        self._mail.abandon(device_id, lock_token, now_at)
        self.flow(self.device(device_id), now_at)

    def lock_feedback(self, now_at: float) -> Batch | None:
        """Feedback for the service, locked until it is completed; None if there is none."""
        self._mail.sweep(now_at)
        return self._feedback.lock(now_at)

    def complete_feedback(self, lock_token: str, now_at: float) -> None:
        """The service has read a batch of feedback; raise Refusal 412."""
        self._feedback.complete(lock_token, now_at)

    def abandon_feedback(self, lock_token: str, now_at: float) -> None:
        """The service wants a batch of feedback again; raise Refusal 412."""
        self._feedback.abandon(lock_token, now_at)

    def flow(self, device: Device, now_at: float) -> None:
        """Send what waits, if the device is there, subscribed, and keeps up."""
        best = self._sessions.best(device.id, topics.messages(device.id))
        if device.line is None or best is None:
            return
        name, subscription = best
        since = 0.0 if self.rules.backlog == "delivered" else subscription.since
        if self.rules.backlog == "completed":
            self._mail.complete_older(device.id, since, now_at)
        while device.line.has_room():
            found = self._mail.take(device.id, now_at, since)
            if found is None:
                return
            message, delivery = found
            if not device.line.push(name, message.topic(device.id), message.body, delivery):
                self._mail.put_back(device.id, message.sequence)
                return

    def _settled(self, device_id: str, message: C2D, outcome: str, now_at: float) -> None:
        device = self.registry.get(device_id)
        if device is not None and message.wants_feedback(outcome):
            id = message.system.get("message-id", "")
            self._feedback.add(device_id, device.generation_id, id, outcome, now_at)
