"""Nothing is acknowledged that could be lost: the answer waits for the disk, or does not come."""

import asyncio
import contextlib
import http.client
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstlight.emulator import keeper
from firstlight.emulator.azure import LocalAzure
from firstlight.emulator.hub.telemetry import Message, Telemetry
from firstlight.emulator.keeper import Keeper
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from firstlight.emulator.state import SqliteJournal
from firstlight.errors import UsageError

from . import peers
from .http.framing import Framed

EVENTS = "devices/dev-1/messages/events/"
CONNACK = b"\x20\2\0\0"


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[RunningAzure]:
    settings = Settings(mqtt_port=0, https_port=0, retry_after_s=0, state=tmp_path / "state.db")
    with running_azure(settings) as running:
        yield running


@contextlib.contextmanager
def a_disk_that_fails(azure: RunningAzure) -> Iterator[None]:
    """No commit succeeds."""

    def fail() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    def break_it(local: LocalAzure) -> None:
        vars(local._journal)["_write"] = fail

    def mend_it(local: LocalAzure) -> None:
        del vars(local._journal)["_write"]

    azure.call(break_it)
    yield
    azure.call(mend_it)


def greeting(key_b64: str) -> bytes:
    word = peers.token("localhost/devices/dev-1", key_b64, skn=None)
    return peers.connect("dev-1", "localhost/dev-1/?api-version=2021-04-12", word)


def not_kept(azure: RunningAzure) -> list[str]:
    return [str(event["what"]) for event in azure.log if "No space left" in str(event["what"])]


def test_telemetry_that_cannot_be_kept_is_not_acknowledged_over_mqtt(azure: RunningAzure) -> None:
    key = azure.create_device("dev-1").primary_b64
    with peers.join_hub(azure, "dev-1", key) as peer, a_disk_that_fails(azure):
        peer.send(peers.publish(EVENTS, b"1"))
        assert peer.read() == (0, b"")
    assert any(what.startswith("closed") for what in not_kept(azure))
    with peers.join_hub(azure, "dev-1", key) as peer:
        peer.send(peers.publish(EVENTS, b"2"))
        assert peer.read() == (0x40, b"\0\x07")


def test_what_many_devices_say_in_one_turn_is_kept_by_one_commit(azure: RunningAzure) -> None:
    keys = {name: azure.create_device(name).primary_b64 for name in ("dev-1", "dev-2", "dev-3")}
    commits: list[int] = []
    with contextlib.ExitStack() as stack:
        joined = [stack.enter_context(peers.join_hub(azure, *one)) for one in keys.items()]

        def say(local: LocalAzure) -> None:
            journal = local._journal
            assert isinstance(journal, SqliteJournal)
            write = journal._write

            def watched() -> None:
                commits.append(len(journal._waiting))
                write()

            vars(journal)["_write"] = watched
            for connection in local.servers.mqtt.connections:
                assert connection.session is not None
                name = connection.session.whom().device
                topic = f"devices/{name}/messages/events/"
                connection.data_received(peers.publish(topic, b"1"))
                assert not commits

        azure.call(say)
        assert [peer.read() for peer in joined] == [(0x40, b"\0\x07")] * 3
    assert commits[0] >= 3


def test_no_device_is_answered_if_what_they_said_cannot_be_kept(azure: RunningAzure) -> None:
    keys = {name: azure.create_device(name).primary_b64 for name in ("dev-1", "dev-2")}
    with contextlib.ExitStack() as stack:
        joined = [stack.enter_context(peers.join_hub(azure, *one)) for one in keys.items()]
        stack.enter_context(a_disk_that_fails(azure))
        for peer, name in zip(joined, keys, strict=True):
            peer.send(peers.publish(f"devices/{name}/messages/events/", b"1"))
        assert [peer.read() for peer in joined] == [(0, b"")] * 2


def test_telemetry_that_cannot_be_kept_is_not_acknowledged_over_websocket(
    azure: RunningAzure,
) -> None:
    key = azure.create_device("dev-1").primary_b64
    with Framed(azure) as peer:
        peer.send(greeting(key))
        assert peer.read(4) == CONNACK
        with a_disk_that_fails(azure):
            peer.send(peers.publish(EVENTS, b"1"))
            assert peer.until_closed()[0] == b""
        assert not_kept(azure)


def test_a_call_that_cannot_be_kept_is_not_answered_over_https(azure: RunningAzure) -> None:
    key = azure.create_device("dev-1").primary_b64
    context = ssl.create_default_context(cafile=str(azure.root_pem))
    word = peers.token("localhost/devices/dev-1", key, skn=None)
    for is_kept in (False, True):
        wire = http.client.HTTPSConnection("localhost", azure.https_port, context=context)
        path = "/devices/dev-1/messages/events?api-version=2021-04-12"
        try:
            if is_kept:
                wire.request("POST", path, b"2", {"Authorization": word})
                assert wire.getresponse().status == 204
            else:
                with a_disk_that_fails(azure):
                    wire.request("POST", path, b"1", {"Authorization": word})
                    with pytest.raises((ConnectionError, http.client.HTTPException, ssl.SSLError)):
                        wire.getresponse()
                assert not_kept(azure)
        finally:
            wire.close()


@pytest.mark.parametrize("path", ["telemetry", "telemetry/stream"])
def test_no_number_is_shown_that_could_be_given_again(azure: RunningAzure, path: str) -> None:
    """A reader goes on after it: what came under the same number later would pass it by."""
    key = azure.create_device("dev-1").primary_b64
    context = ssl.create_default_context(cafile=str(azure.root_pem))
    address = "localhost", azure.https_port
    with (
        a_disk_that_fails(azure),
        peers.join_hub(azure, "dev-1", key) as peer,
        socket.create_connection(address, peers.PATIENCE_S) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as reader,
    ):
        peer.send(peers.publish(EVENTS, b"1", qos=0))
        assert azure.wait_for(lambda local: local.messages.received) == 1
        reader.sendall(f"GET /emulator/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        said = b""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := reader.recv(65536):
                said += piece
    assert b"sequence" not in said
    assert not_kept(azure)


def test_what_no_answer_follows_is_committed_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_COMMIT_EVERY_S", 0.001)
    said: list[str] = []

    async def use() -> list[str]:
        held = Keeper(tmp_path / "state.db", said.append)
        committed = asyncio.Event()
        journal = held.journal
        assert isinstance(journal, SqliteJournal)
        commit = journal.commit

        def watched() -> None:
            commit()
            if not journal._waiting:
                committed.set()

        monkeypatch.setattr(journal, "commit", watched)
        held.start()
        for key in "ab":
            journal.put("will", key, {})
            committed.clear()
            await asyncio.wait_for(committed.wait(), 10)
        journal.close()  # as a process that is killed
        held.stop()
        again = Keeper(tmp_path / "state.db", said.append)
        keys = [key for key, _ in again.journal.load("will")]
        again.stop()
        return keys

    assert asyncio.run(use()) == ["a", "b"]
    assert said == []


def test_a_service_that_cannot_read_its_records_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    first = Keeper(path, lambda _: None)
    first.journal.put("device", "a", {})
    first.stop()
    before = path.read_bytes()
    second = Keeper(path, lambda _: None)
    second.journal.put("device", "b", {})
    with pytest.raises(UsageError, match=r"cannot read \(KeyError\)"), second.loading():
        raise KeyError("keys")
    assert path.read_bytes() == before
    SqliteJournal(path).close()  # nobody holds it any more


def test_what_waits_at_the_end_is_kept(tmp_path: Path) -> None:
    held = Keeper(tmp_path / "state.db", lambda _: None)
    held.journal.put("will", "a", {})
    held.stop()
    with contextlib.closing(SqliteJournal(tmp_path / "state.db")) as journal:
        assert [key for key, _ in journal.load("will")] == ["a"]


def test_an_answer_that_a_fault_carries_waits_for_the_disk_too(azure: RunningAzure) -> None:
    azure.add_fault("register-answer split size=20")
    key = azure.enroll_device("dev-1").keys.primary_b64
    context = ssl.create_default_context(cafile=str(azure.root_pem))
    resource = f"{azure.id_scope}/registrations/dev-1"
    wire = http.client.HTTPSConnection("localhost", azure.https_port, context=context)
    with contextlib.closing(wire), a_disk_that_fails(azure):
        path = f"/{resource}/register?api-version=2021-06-01"
        wire.request("PUT", path, headers={"Authorization": peers.token(resource, key)})
        with pytest.raises((ConnectionError, http.client.HTTPException, ssl.SSLError)):
            wire.getresponse()
    assert not_kept(azure)


def test_what_telemetry_drops_leaves_the_journal_too(tmp_path: Path) -> None:
    held = Keeper(tmp_path / "state.db", lambda _: None)
    telemetry = Telemetry(max_messages=3, journal=held.journal)
    for number in range(1, 11):
        telemetry.append(Message(number, "localhost", "a", 0.0, b"x", {}, {}))
    assert [key for key, _ in held.journal.load("telemetry")] == ["8", "9", "10"]
    held.stop()
