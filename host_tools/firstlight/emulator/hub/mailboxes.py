"""The queues of messages to devices, and what becomes of each message.

No I/O, no clock, no randomness of its own. Facts: iot-hub-devguide-messages-c2d. A message is

    enqueued  -> invisible (locked: on its connection, or read over HTTPS)  -> completed
              <- abandoned, lock timed out, connection lost                    or dead-lettered

and only an explicit abandon counts as a delivery that failed.
"""

import base64
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from ..answers import Json, RandomBytes, Refusal, guid
from ..journal import Journal
from .line import Delivery
from .messages import C2D
from .rules import C2DRules

MAX_QUEUED = 50
LOCK_S = 60.0  # "one minute and can't be changed"
_FOREVER = float("inf")
_ON_CONNECTION = _FOREVER
Settled: TypeAlias = Callable[[str, C2D, str, float], None]


@dataclass
class _Entry:
    """A message in its queue.

    locked_until: Unix seconds; inf while it is on a connection. packet_id: the one that it was
    sent with in the device's session, if it was.
    """

    message: C2D
    ends_at: float
    locked_until: float = 0.0
    packet_id: int | None = None


_Box: TypeAlias = OrderedDict[int, _Entry]
_EMPTY: Mapping[int, _Entry] = {}


class Mailboxes:
    """The queues of one hub's devices.

    settled: told of each message's end: Success, Expired, DeliveryCountExceeded, Rejected, Purged.
    """

    def __init__(
        self,
        hub: str,
        rules: C2DRules,
        settled: Settled,
        random_bytes: RandomBytes,
        journal: Journal,
    ) -> None:
        self._kind = f"c2d/{hub}"
        self._rules = rules
        self._settled = settled
        self._random_bytes = random_bytes
        self._journal = journal
        self._boxes: dict[str, _Box] = {}
        self._last = 0
        for _, document in journal.load(self._kind):
            device_id, entry = _from_document(document)
            self._boxes.setdefault(device_id, OrderedDict())[entry.message.sequence] = entry
            self._last = max(self._last, entry.message.sequence)

    def send(self, device_id: str, message: C2D, now_at: float) -> C2D:
        """Queue a message; raise Refusal if it is too large, has expired, or is the 51st."""
        message.check(device_id)
        box = self._box(device_id, now_at)
        if len(box) >= MAX_QUEUED:
            raise Refusal(403, 403004, f"Device queue depth exceeded: {MAX_QUEUED} messages wait.")
        self._last += 1
        queued = replace(
            message, sequence=self._last, enqueued_at=now_at, lock_token=guid(self._random_bytes)
        )
        ends_at = now_at + self._rules.ttl_s if message.expires_at is None else message.expires_at
        entry = _Entry(queued, ends_at)
        self._boxes.setdefault(device_id, OrderedDict())[queued.sequence] = entry
        self._write(device_id, entry)
        self._expire(device_id, now_at)  # what was sent too late is dead-lettered at once
        return queued

    def count(self, device_id: str, now_at: float, before: float = _FOREVER) -> int:
        """How many messages wait for the device, locked or not, that were queued before then."""
        box = self._box(device_id, now_at)
        return sum(entry.message.enqueued_at < before for entry in box.values())

    def lock(self, device_id: str, now_at: float) -> C2D | None:
        """The oldest message that is free, invisible for a minute; None if there is none."""
        for entry in self._box(device_id, now_at).values():
            if entry.locked_until <= now_at:
                entry.locked_until = now_at + LOCK_S
                # An earlier lock's token is void.
                fresh = replace(entry.message, lock_token=guid(self._random_bytes))
                entry.message = fresh
                return fresh
        return None

    def take(
        self, device_id: str, now_at: float, since: float = 0.0
    ) -> tuple[C2D, Delivery] | None:
        """The oldest message queued from `since` on that is free, and how it is to be sent.

        It is on the connection from then on, until it is settled or released.
        """
        for entry in self._box(device_id, now_at).values():
            if entry.locked_until <= now_at and entry.message.enqueued_at >= since:
                entry.locked_until = _ON_CONNECTION
                on_ack = partial(self.acknowledged, device_id, entry.message.sequence)
                on_sent = partial(self._keep_packet_id, device_id, entry)
                return entry.message, Delivery(on_ack, on_sent, entry.packet_id)
        return None

    def complete_older(self, device_id: str, since: float, now_at: float) -> int:
        """Complete what was queued before `since` and is free; how many messages that were."""
        entries = [
            entry
            for entry in self._box(device_id, now_at).values()
            if entry.locked_until <= now_at and entry.message.enqueued_at < since
        ]
        for entry in entries:
            self._settle(device_id, entry, "Success", now_at)
        return len(entries)

    def put_back(self, device_id: str, sequence: int) -> None:
        """What take() gave was not sent after all."""
        entry = self._boxes.get(device_id, _EMPTY).get(sequence)
        if entry is not None:
            entry.locked_until = 0.0

    def release(self, device_id: str) -> None:
        """The device's connection has ended: what it had not acknowledged is free again."""
        for entry in self._boxes.get(device_id, _EMPTY).values():
            if entry.locked_until == _ON_CONNECTION:
                entry.locked_until = 0.0

    def acknowledged(self, device_id: str, sequence: int, now_at: float) -> None:
        """The device acknowledged a message of its connection, which completes it."""
        entry = self._boxes.get(device_id, _EMPTY).get(sequence)
        if entry is not None and entry.locked_until == _ON_CONNECTION:
            self._settle(device_id, entry, "Success", now_at)

    def complete(self, device_id: str, lock_token: str, now_at: float) -> None:
        """The device is done with a message; raise Refusal 412 if the lock is not (or no more)."""
        self._settle(device_id, self._locked(device_id, lock_token, now_at), "Success", now_at)

    def reject(self, device_id: str, lock_token: str, now_at: float) -> None:
        """Dead-letter a message; raise Refusal 412 if the lock is not (or no more)."""
        self._settle(device_id, self._locked(device_id, lock_token, now_at), "Rejected", now_at)

    def abandon(self, device_id: str, lock_token: str, now_at: float) -> None:
        """Put a message back; after so many times it is dead-lettered. Raise Refusal 412."""
        entry = self._locked(device_id, lock_token, now_at)
        count = entry.message.delivery_count + 1
        entry.message = replace(entry.message, delivery_count=count)
        entry.locked_until = 0.0
        if count >= self._rules.max_delivery_count:
            self._settle(device_id, entry, "DeliveryCountExceeded", now_at)
        else:
            self._write(device_id, entry)

    def purge(self, device_id: str, now_at: float) -> int:
        """Dead-letter all that waits; how many that were."""
        entries = list(self._box(device_id, now_at).values())
        for entry in entries:
            self._settle(device_id, entry, "Purged", now_at)
        return len(entries)

    def forget(self, device_id: str) -> None:
        """The device is gone: its messages too, without feedback."""
        for sequence in self._boxes.pop(device_id, _EMPTY):
            self._journal.delete(self._kind, str(sequence))

    def forget_session(self, device_id: str) -> None:
        """A new session begins: nothing was sent in it yet."""
        for entry in self._boxes.get(device_id, _EMPTY).values():
            self._keep_packet_id(device_id, entry, None)

    def sweep(self, now_at: float) -> None:
        """Dead-letter what has expired, in every queue."""
        for device_id in list(self._boxes):
            self._expire(device_id, now_at)

    def _box(self, device_id: str, now_at: float) -> Mapping[int, _Entry]:
        self._expire(device_id, now_at)
        return self._boxes.get(device_id, _EMPTY)

    def _expire(self, device_id: str, now_at: float) -> None:
        box = self._boxes.get(device_id, _EMPTY)
        for entry in [e for e in box.values() if e.ends_at <= now_at]:
            # What is on the connection has left the queue already; its PUBACK may yet come.
            if entry.locked_until != _ON_CONNECTION:
                self._settle(device_id, entry, "Expired", now_at)

    def _locked(self, device_id: str, lock_token: str, now_at: float) -> _Entry:
        for entry in self._box(device_id, now_at).values():
            if entry.message.lock_token == lock_token and (
                now_at < entry.locked_until < _ON_CONNECTION
            ):
                return entry
        raise Refusal(412, 412002, "The lock on the message is lost.")

    def _settle(self, device_id: str, entry: _Entry, outcome: str, now_at: float) -> None:
        message = entry.message
        box = self._boxes[device_id]
        del box[message.sequence]
        if not box:
            del self._boxes[device_id]
        self._journal.delete(self._kind, str(message.sequence))
        self._settled(device_id, message, outcome, now_at)

    def _keep_packet_id(self, device_id: str, entry: _Entry, packet_id: int | None) -> None:
        if entry.packet_id != packet_id:
            entry.packet_id = packet_id
            self._write(device_id, entry)

    def _write(self, device_id: str, entry: _Entry) -> None:
        message = entry.message
        self._journal.put(
            self._kind,
            str(message.sequence),
            {
                "deviceId": device_id,
                "body": base64.b64encode(message.body).decode(),
                "properties": dict(message.properties),
                "system": dict(message.system),
                "ack": message.ack,
                "expiresAt": message.expires_at,
                "endsAt": entry.ends_at,
                "sequence": message.sequence,
                "enqueuedAt": message.enqueued_at,
                "deliveryCount": message.delivery_count,
                "packetId": entry.packet_id,
            },
        )


def _from_document(document: Json) -> tuple[str, _Entry]:
    message = C2D(
        base64.b64decode(document["body"]),
        document["properties"],
        document["system"],
        document["ack"],
        document["expiresAt"],
        document["sequence"],
        document["enqueuedAt"],
        document["deliveryCount"],
    )
    entry = _Entry(message, document["endsAt"], packet_id=document.get("packetId"))
    return document["deviceId"], entry
