"""A device at its hub over real TLS sockets: messages to it, its sessions, its limits."""

from collections.abc import Iterator
from typing import Any

import pytest

from firstlight.emulator.answers import Refusal
from firstlight.emulator.hub.rules import Connacks, HubRules
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.peers import Peer, connect, join_hub, puback, subscribe, token, unsubscribe
from tests.emulator.talks import answered, queued, read_publish, send, subscribed
from tests.emulator.test_http import a_device
from tests.emulator.test_mqtt import logged

FILTER = "devices/dev-1/messages/devicebound/#"
TO = "%24.to=%2Fdevices%2Fdev-1%2Fmessages%2FdeviceBound"


@pytest.fixture
def key(azure: RunningAzure) -> str:
    return a_device(azure)


@pytest.mark.parametrize(("asked", "first"), [(0, 0x30), (1, 0x32), (2, 0x32)])
def test_a_message_comes_with_the_qos_that_was_granted(
    azure: RunningAzure, key: str, asked: int, first: int
) -> None:
    with subscribed(join_hub(azure, "dev-1", key), FILTER, asked) as peer:
        send(azure, b"hello", properties={"k": "v", "n": None})
        found = read_publish(peer)
        topic = f"devices/dev-1/messages/devicebound/{TO}&k=v&n"
        assert found[:3] == (first, topic, b"hello")
        assert queued(azure) == (1 if first == 0x32 else 0)
        if found[3] is not None:
            peer.send(puback(found[3]) + puback(999))
            answered(peer)
        assert queued(azure) == 0


def test_a_device_that_was_offline_finds_its_session_and_its_messages(
    azure: RunningAzure, key: str
) -> None:
    with subscribed(join_hub(azure, "dev-1", key, clean=False), FILTER):
        pass
    assert logged(azure, "lost")
    for number in range(3):
        send(azure, b"%d" % number)
    with join_hub(azure, "dev-1", key, clean=False, present=True) as peer:
        found = [read_publish(peer) for _ in range(3)]
        assert [(first, body) for first, _, body, _ in found] == [
            (0x32, b"0"),
            (0x32, b"1"),
            (0x32, b"2"),
        ]
        assert found[0][3] is not None
        peer.send(puback(found[0][3]))
        answered(peer)
    with join_hub(azure, "dev-1", key, clean=False, present=True) as peer:
        again = [read_publish(peer) for _ in range(2)]
        assert [(first, body) for first, _, body, _ in again] == [(0x3A, b"1"), (0x3A, b"2")]
    with join_hub(azure, "dev-1", key) as peer:
        answered(peer)
    with join_hub(azure, "dev-1", key, clean=False) as peer:
        answered(peer)
    assert queued(azure) == 2


def test_a_clean_session_is_told_of_nothing_older_and_the_log_says_why(
    azure: RunningAzure, key: str
) -> None:
    send(azure, b"older")
    with subscribed(join_hub(azure, "dev-1", key), FILTER) as peer:
        answered(peer)
    assert logged(azure, "gets none of 1 messages queued before it first subscribed")


def test_a_device_that_unsubscribes_is_told_so_and_gets_nothing_more(
    azure: RunningAzure, key: str
) -> None:
    with subscribed(join_hub(azure, "dev-1", key), FILTER) as peer:
        peer.send(unsubscribe(FILTER) + unsubscribe("$iothub/twin/res/#"))
        assert [peer.read(), peer.read()] == [(0xB0, b"\0\2")] * 2
        send(azure, b"x")
        answered(peer)
    assert queued(azure) == 1


def test_a_device_that_acknowledges_nothing_gets_twenty_and_the_rest_later(
    azure: RunningAzure, key: str
) -> None:
    with subscribed(join_hub(azure, "dev-1", key), FILTER) as peer:
        for number in range(50):
            send(azure, b"%d" % number)
        found = [read_publish(peer) for _ in range(20)]
        answered(peer)
        for number in range(20, 50):
            acked = found.pop(0)[3]
            assert acked is not None
            peer.send(puback(acked))
            found.append(read_publish(peer))
            assert found[-1][2] == b"%d" % number
        peer.send(b"".join(puback(id) for _, _, _, id in found if id is not None))
        answered(peer)
    assert queued(azure) == 0


def test_a_device_that_does_not_read_at_qos_0_is_waited_for(azure: RunningAzure, key: str) -> None:
    with subscribed(join_hub(azure, "dev-1", key), FILTER, 0) as peer:
        for _ in range(50):
            send(azure, b"x" * 65_000)
        assert [len(read_publish(peer)[2]) for _ in range(50)] == [65_000] * 50
        answered(peer)
    assert queued(azure) == 0


def test_all_that_waited_comes_though_it_is_more_than_goes_in_one_piece(
    azure: RunningAzure, key: str
) -> None:
    with subscribed(join_hub(azure, "dev-1", key, clean=False), FILTER, 0):
        pass
    assert logged(azure, "lost")
    for _ in range(50):
        send(azure, b"x" * 65_000)
    with join_hub(azure, "dev-1", key, clean=False, present=True) as peer:
        assert [len(read_publish(peer)[2]) for _ in range(50)] == [65_000] * 50


def test_a_device_that_reads_nothing_at_all_is_closed_before_it_costs_much(
    azure: RunningAzure, key: str
) -> None:
    def call(local: Any) -> bool:
        hub = local.hubs["localhost"]
        try:
            hub.call_method("dev-1", "m", b"x" * 131_072, lambda *_: None)
        except Refusal as refusal:
            return refusal.code == 404103
        return False

    with subscribed(join_hub(azure, "dev-1", key), "$iothub/methods/POST/#", 0):
        # Four megabytes in the server, and what two sockets of the system hold.
        assert any(azure.call(call) for _ in range(200))
    assert logged(azure, "closed: it reads nothing")


def test_a_sixth_subscription_closes_the_connection(azure: RunningAzure, key: str) -> None:
    filters = [FILTER, "$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#"]
    filters += [f"$iothub/methods/POST/m{n}/#" for n in range(2)]
    with join_hub(azure, "dev-1", key) as peer:
        for topic_filter in filters * 2:
            subscribed(peer, topic_filter)
        peer.send(subscribe("$iothub/methods/POST/m3/#"))
        assert peer.is_closed_by_server()
    assert logged(azure, "more than 5 subscriptions")


def test_a_policys_token_lets_any_device_in_over_mqtt(azure: RunningAzure, key: str) -> None:
    def policy_key(local: Any) -> str:
        return str(local.hubs["localhost"].policies.get("device").keys.primary_b64)

    password = token("localhost", azure.call(policy_key), skn="device")
    with Peer(azure) as peer:
        peer.send(connect("dev-1", "localhost/dev-1/?api-version=2021-04-12", password))
        assert peer.read() == (0x20, b"\0\0")


@pytest.fixture
def odd_azure() -> Iterator[RunningAzure]:
    rules = HubRules(Connacks(unknown=2), backlog="delivered", session_present=False)
    with running_azure(Settings(mqtt_port=0, https_port=0, hub_rules=rules)) as running:
        yield running


def test_what_is_uncertain_is_a_setting(odd_azure: RunningAzure) -> None:
    key = a_device(odd_azure)
    send(odd_azure, b"before")
    with subscribed(join_hub(odd_azure, "dev-1", key, clean=False), FILTER) as peer:
        assert read_publish(peer)[2] == b"before"
    with join_hub(odd_azure, "dev-1", key, clean=False, present=False) as peer:
        assert read_publish(peer)[2] == b"before"
    with Peer(odd_azure) as peer:
        user = "localhost/dev-2/?api-version=2021-04-12"
        peer.send(connect("dev-2", user, token("localhost/devices/dev-2", key, skn=None)))
        assert peer.read() == (0x20, b"\0\2")
