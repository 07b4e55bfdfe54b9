"""The time bounds of a conversation, by a clock that only the test moves."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest

from firstlight.emulator.hub.credential import by_thumbprints
from firstlight.emulator.hub.rules import HubRules
from firstlight.emulator.mqtt.clockwork import Bounds, Watch
from firstlight.emulator.mqtt.session import Session
from firstlight.emulator.settings import Settings
from tests.certificates import make_leaf
from tests.emulator.hubs import NOW
from tests.emulator.peers import connect, packet, publish
from tests.emulator.sessions import EVENTS, Talk, Wire

PING = packet(0xC0, b"")


class Story:
    """A connected device with a keepalive of 60 s, watched; the loop's time is `now`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)
        self.talk = Talk()
        self.session, self.wire = self.talk.join(60)
        self.watch = Watch(self.session, Bounds(), lambda: self.talk.now_at)

    def hear(self, data: bytes) -> None:
        self.session.feed(data)
        self.watch.fed()

    def is_over(self) -> bool:
        return self.session.is_closed

    async def wait(self, seconds: float) -> None:
        """Let so much time pass, and what is due happen."""
        for _ in range(10):
            self.now += seconds / 10
            for _ in range(3):
                await asyncio.sleep(0)


def told(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_each_packet_counts_against_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        it = Story(monkeypatch)
        for _ in range(5):
            await it.wait(85)
            it.hear(PING)
        await it.wait(85)
        assert not it.is_over()
        await it.wait(10)
        assert it.is_over()
        assert it.talk.said("closed: silent for 1.5 x keepalive")

    told(story())


def test_half_a_packet_is_forgiven_once_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        it = Story(monkeypatch)
        whole = publish(EVENTS, b"x")
        for _ in range(3):
            it.hear(whole[:9])
            await it.wait(25)
            it.hear(whole[9:] + whole[:5])
            await it.wait(25)
            it.hear(whole[5:])
        await it.wait(40)
        assert not it.is_over()
        assert it.talk.services.telemetry.received == 6
        it.watch.stop()

    told(story())


def test_a_packet_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        it = Story(monkeypatch)
        for byte in publish(EVENTS, b"x")[:4]:
            it.hear(bytes([byte]))
            await it.wait(9)
        assert it.is_over()
        assert it.talk.said("closed: half a packet came")

    told(story())


def test_a_token_that_expires_counts_by_the_services_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        it = Story(monkeypatch)
        it.talk.now_at += 998
        await it.wait(61)
        assert not it.is_over()
        it.hear(PING)
        it.talk.now_at += 1
        await it.wait(61)
        assert it.is_over()
        assert it.talk.said("closed: the token has expired")

    told(story())


def test_a_certificate_that_expires_is_told_as_one() -> None:
    async def story() -> None:
        talk = Talk(settings=Settings(hub_rules=HubRules(ends_with_certificate=True)))
        leaf = make_leaf(None, "dev", start=datetime.fromtimestamp(NOW, UTC), days=1)
        talk.hub.put_device("dev", by_thumbprints(leaf.sha256), NOW)
        session = Session(talk.services.cloud, Wire(), "peer", lambda: leaf.chain_ders)
        session.feed(connect("dev", "localhost/dev/?api-version=2021-04-12", None))
        assert session.is_connected
        Watch(session, Bounds(), lambda: NOW + 86_400)
        assert talk.said("closed: the certificate has expired")

    told(story())
