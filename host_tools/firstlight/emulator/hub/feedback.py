"""Feedback: what became of the messages to devices whose sender asked, for the service to read.

No I/O, no clock. Read in batches, each locked until it is completed, abandoned, or too old
(iot-hub-devguide-messages-c2d, "Message feedback").
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice

from ..answers import Json, RandomBytes, Refusal, guid, timestamp
from ..journal import Journal

_MAX_RECORDS = 10_000
_MAX_BATCH = 64


@dataclass(frozen=True)
class Batch:
    """Records that are read together. lock_token: what completes or abandons them."""

    lock_token: str
    sequences: tuple[int, ...]
    records: list[Json]
    locked_until: float


class Feedback:
    """The feedback queue of one hub; beyond 10 000 records the oldest are dropped."""

    def __init__(
        self, hub: str, ttl_s: float, lock_s: float, random_bytes: RandomBytes, journal: Journal
    ) -> None:
        self._kind = f"feedback/{hub}"
        self._ttl_s, self._lock_s = ttl_s, lock_s
        self._random_bytes = random_bytes
        self._journal = journal
        self._records: OrderedDict[int, Json] = OrderedDict(
            (int(key), document) for key, document in journal.load(self._kind)
        )
        self._last = max(self._records, default=0)
        self._batches: dict[str, Batch] = {}

    def add(
        self, device_id: str, generation_id: str, message_id: str, outcome: str, now_at: float
    ) -> None:
        """outcome: Success, Expired, DeliveryCountExceeded, Rejected or Purged."""
        self._last += 1
        record = {
            "originalMessageId": message_id,
            "enqueuedTimeUtc": timestamp(now_at),
            "statusCode": outcome,
            "description": outcome,
            "deviceId": device_id,
            "deviceGenerationId": generation_id,
        }
        self._records[self._last] = {"record": record, "at": now_at}
        self._journal.put(self._kind, str(self._last), self._records[self._last])
        if len(self._records) > _MAX_RECORDS:
            self._drop(next(iter(self._records)))

    def lock(self, now_at: float) -> Batch | None:
        """The oldest records that are free, at most 64 together; None if there are none."""
        self._expire(now_at)
        locked = {sequence for batch in self._batches.values() for sequence in batch.sequences}
        free = tuple(islice((s for s in self._records if s not in locked), _MAX_BATCH))
        if not free:
            return None
        records = [self._records[sequence]["record"] for sequence in free]
        batch = Batch(guid(self._random_bytes), free, records, now_at + self._lock_s)
        self._batches[batch.lock_token] = batch
        return batch

    def complete(self, lock_token: str, now_at: float) -> None:
        """A batch was read; raise Refusal 412 if its lock is not (or no more)."""
        for sequence in self._unlock(lock_token, now_at).sequences:
            self._drop(sequence)

    def abandon(self, lock_token: str, now_at: float) -> None:
        """A batch is to be read again; raise Refusal 412 if its lock is not (or no more)."""
        self._unlock(lock_token, now_at)

    def forget(self, device_id: str) -> None:
        """The device was deleted, and with it all feedback that waits."""
        for sequence, item in list(self._records.items()):
            if item["record"]["deviceId"] == device_id:
                self._drop(sequence)

    def _unlock(self, lock_token: str, now_at: float) -> Batch:
        self._expire(now_at)
        batch = self._batches.pop(lock_token, None)
        if batch is None:
            raise Refusal(412, 412002, "The lock on the feedback is lost.")
        return batch

    def _expire(self, now_at: float) -> None:
        for token, batch in list(self._batches.items()):
            if batch.locked_until <= now_at:
                del self._batches[token]
        while self._records:
            oldest = next(iter(self._records))
            if self._records[oldest]["at"] + self._ttl_s > now_at:
                return
            self._drop(oldest)

    def _drop(self, sequence: int) -> None:
        if self._records.pop(sequence, None) is not None:
            self._journal.delete(self._kind, str(sequence))
