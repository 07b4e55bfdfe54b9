"""Messages to devices, without any server: locks, ends, feedback, and what outlives the hub."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.answers import Refusal, timestamp
from firstlight.emulator.hub import feedback
from firstlight.emulator.hub.messages import C2D
from tests.emulator.hubs import NOW, Book, Line
from tests.emulator.mail import ask, hub_with_device, join, leave, outcomes, refused


def test_over_https_a_message_is_locked_for_a_minute() -> None:
    hub = hub_with_device()
    hub.send_message("dev", ask("1"), NOW)
    first = hub.lock_message("dev", NOW)
    assert first is not None
    assert hub.lock_message("dev", NOW + 59.9) is None
    second = hub.lock_message("dev", NOW + 60)
    assert second is not None
    # A lock that timed out is no failed delivery, and its token is void.
    assert second.delivery_count == 0
    with refused(412, 412002):
        hub.complete("dev", first.lock_token, NOW + 61)
    hub.complete("dev", second.lock_token, NOW + 61)
    with refused(412, 412002):
        hub.complete("dev", second.lock_token, NOW + 61)
    assert outcomes(hub, NOW + 61) == [("1", "Success")]


def test_a_lock_that_timed_out_settles_nothing_that_is_on_a_connection_by_then() -> None:
    hub = hub_with_device()
    hub.send_message("dev", ask("1"), NOW)
    locked = hub.lock_message("dev", NOW)
    assert locked is not None
    line = join(hub, at=NOW - 1)
    hub.ready("dev", NOW + 60)
    assert len(line.sent) == 1
    for settle in (hub.complete, hub.reject, hub.abandon):
        with refused(412, 412002):
            settle("dev", locked.lock_token, NOW + 61)
    line.acknowledge(hub, NOW + 61)
    assert outcomes(hub, NOW + 61) == [("1", "Success")]


def test_feedback_that_nobody_reads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "_MAX_RECORDS", 3)
    hub = hub_with_device(book := Book())
    line = join(hub)
    for number in range(5):
        hub.send_message("dev", ask(str(number)), NOW)
        line.acknowledge(hub)
    assert len(book.records["feedback/my-hub"]) == 3
    assert outcomes(hub) == [(str(number), "Success") for number in (2, 3, 4)]


def test_a_message_that_is_abandoned_ten_times_is_dead_lettered() -> None:
    hub = hub_with_device()
    hub.send_message("dev", ask("1"), NOW)
    for count in range(10):
        message = hub.lock_message("dev", NOW)
        assert message is not None
        assert message.delivery_count == count
        hub.abandon("dev", message.lock_token, NOW)
    assert hub.lock_message("dev", NOW) is None
    assert outcomes(hub) == [("1", "DeliveryCountExceeded")]


@pytest.mark.parametrize(
    ("ack", "completed", "rejected"),
    [
        (None, 0, 0),
        ("none", 0, 0),
        ("positive", 1, 0),
        ("negative", 0, 1),
        ("full", 1, 1),
    ],
)
def test_feedback_comes_as_it_was_asked_for(
    ack: str | None, completed: int, rejected: int
) -> None:
    hub = hub_with_device()
    found = []
    for settle in (hub.complete, hub.reject):
        hub.send_message("dev", C2D(b"", {}, {"message-id": "1"}, ack), NOW)
        message = hub.lock_message("dev", NOW)
        assert message is not None
        settle("dev", message.lock_token, NOW)
        found.append(outcomes(hub))
    assert found == [[("1", "Success")] * completed, [("1", "Rejected")] * rejected]


def test_a_purge_is_reported_and_a_removal_is_not() -> None:
    hub = hub_with_device()
    hub.send_message("dev", ask("1"), NOW)
    assert hub.purge_messages("dev", NOW) == 1
    assert outcomes(hub) == [("1", "Purged")]
    hub.send_message("dev", ask("2"), NOW)
    hub.purge_messages("dev", NOW)
    hub.remove_device("dev")
    assert outcomes(hub) == []
    with refused(404, 404001):
        hub.purge_messages("dev", NOW)


def test_feedback_is_read_in_batches_that_are_locked_completed_and_abandoned() -> None:
    hub = hub_with_device()
    for number in range(70):
        hub.send_message("dev", ask(str(number), expires_at=NOW), NOW)
    first, second = hub.lock_feedback(NOW), hub.lock_feedback(NOW)
    assert first is not None
    assert second is not None
    assert (len(first.records), len(second.records)) == (64, 6)
    assert hub.lock_feedback(NOW) is None
    hub.abandon_feedback(first.lock_token, NOW)
    hub.complete_feedback(second.lock_token, NOW)
    again = hub.lock_feedback(NOW)
    assert again is not None
    assert again.records == first.records
    assert again.records[0] == {
        "originalMessageId": "0",
        "enqueuedTimeUtc": timestamp(NOW),
        "statusCode": "Expired",
        "description": "Expired",
        "deviceId": "dev",
        "deviceGenerationId": hub.device("dev").generation_id,
    }
    with refused(412, 412002):
        hub.complete_feedback(again.lock_token, NOW + 60)
    assert hub.lock_feedback(NOW + 3600) is None


def test_messages_sessions_and_feedback_outlive_the_hub() -> None:
    book = Book()
    hub = hub_with_device(book)
    leave(hub, join(hub, clean=False))
    message = C2D(b"\xff", {"a": None, "b": ""}, {"message-id": "1"}, "full", NOW + 100)
    hub.send_message("dev", message, NOW)
    hub.send_message("dev", ask("2"), NOW)
    hub.send_message("dev", ask("3", expires_at=NOW), NOW)
    locked = hub.lock_message("dev", NOW)
    assert locked is not None
    hub.abandon("dev", locked.lock_token, NOW)
    again = hub_with_device(book)
    assert outcomes(again) == [("3", "Expired")]
    line = join(again, qos=None, clean=False, at=NOW + 1)
    assert line.sent == [
        (locked.topic("dev"), b"\xff"),
        (ask("2").topic("dev"), b""),
    ]
    line.acknowledge(again)
    line.acknowledge(again)
    assert again.send_message("dev", C2D(b""), NOW).sequence == 3
    assert [list(kept) for kind, kept in book.records.items() if kind.startswith("c2d/")] == [
        ["3"]
    ]


def test_a_removed_device_leaves_nothing_in_the_journal() -> None:
    book = Book()
    hub = hub_with_device(book)
    join(hub, clean=False)
    hub.send_message("dev", C2D(b""), NOW)
    hub.remove_device("dev")
    kept = {kind: list(keys) for kind, keys in book.records.items() if keys}
    assert set(kept) == {"policy/my-hub"}


class Story:
    """A device's life with its queue, a second a step; each step is a method."""

    def __init__(self, clean: bool) -> None:
        self.hub = hub_with_device(backlog="delivered")
        self.clean = clean
        self.at, self.sent = NOW, 0
        self.line: Line | None = None
        self.locks: list[str] = []

    def send(self) -> None:
        if self.hub.queued_messages("dev", self.at) < 50:
            self.sent += 1
            self.hub.send_message("dev", ask(str(self.sent)), self.at)

    def join(self) -> None:
        self.line = join(self.hub, clean=self.clean, at=self.at)

    def leave(self) -> None:
        if self.line is not None:
            leave(self.hub, self.line, self.at)
        self.line = None

    def acknowledge(self) -> None:
        if self.line is not None and self.line.acks:
            self.line.acknowledge(self.hub, self.at)

    def lock(self) -> None:
        message = self.hub.lock_message("dev", self.at)
        if message is not None:
            self.locks.append(message.lock_token)

    def complete(self) -> None:
        self.settle(self.hub.complete)

    def abandon(self) -> None:
        self.settle(self.hub.abandon)

    def settle(self, how: Any) -> None:
        if self.locks:
            with contextlib.suppress(Refusal):  # a lock that is lost
                how("dev", self.locks.pop(), self.at)

    def wait(self) -> None:
        self.at += 61


STEPS = ["send", "join", "leave", "acknowledge", "lock", "complete", "abandon", "wait"]


@given(st.lists(st.sampled_from(STEPS)), st.booleans())
def test_no_message_is_lost_or_settled_twice_whatever_happens(
    steps: list[str], clean: bool
) -> None:
    story = Story(clean)
    ends: list[tuple[str, str]] = []
    for step in steps:
        story.at += 1
        getattr(story, step)()
        ends += outcomes(story.hub, story.at)
    left = story.hub.queued_messages("dev", story.at)
    assert len(ends) + left == story.sent
    assert len({id for id, _ in ends}) == len(ends)
