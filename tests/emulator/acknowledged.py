"""Clients that write as fast as they can, note what they were told, and check later that it is so.

Each client is a pair of functions: one works until the emulator is gone, one checks what is there
after a restart. What was tried and not acknowledged may be there or not.
"""

import base64
import hashlib
import hmac
import json
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from firstlight.emulator.running import RunningAzure

from . import peers
from .processes import Emulation

PATIENCE_S = 30.0
QUEUED = 40  # messages to one device: a queue takes 50


class Ledger:
    """What clients were told, in the order in which they were told it."""

    def __init__(self) -> None:
        self.told: dict[str, list[Any]] = defaultdict(list)
        self.tried: dict[str, set[Any]] = defaultdict(set)
        self.failures: list[BaseException] = []
        self.is_over = False
        self._changed = threading.Condition()
        self._count = 0

    def tell(self, what: str, value: Any) -> None:
        with self._changed:
            self.told[what].append(value)
            self._count += 1
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """A client has stopped: no wonder once the emulator is gone, a failure before."""
        with self._changed:
            if not self.is_over:
                self.failures.append(error)
                self._changed.notify_all()

    def begin(self) -> None:
        with self._changed:
            self._count, self.is_over = 0, False

    def wait_for(self, count: int) -> None:
        """Until so many things were told since begin(); then it is over."""

        def enough() -> bool:
            self.is_over = self._count >= count or bool(self.failures)
            return self.is_over

        with self._changed:
            assert self._changed.wait_for(enough, PATIENCE_S), "the clients are stuck"


@dataclass
class Client:
    """Where a client works, what it notes, and the round that it is in."""

    azure: Emulation
    ledger: Ledger
    turn: int
    group_key: str = field(repr=False)

    @property
    def peer(self) -> RunningAzure:
        return cast(RunningAzure, self.azure)

    def numbers(self) -> Iterator[int]:
        """Different ones in every round."""
        return iter(range(self.turn * 100_000, (self.turn + 1) * 100_000))

    def tell(self, what: str, value: Any) -> None:
        self.ledger.tell(what, value)

    def told(self, what: str) -> list[Any]:
        return self.ledger.told[what]

    def key(self, id: str) -> str:
        """A device's key, derived from the group's."""
        raw = base64.b64decode(self.group_key)
        return base64.b64encode(hmac.new(raw, id.encode(), hashlib.sha256).digest()).decode()

    def register(self, id: str, note: Callable[[str, Any], None] = lambda *_: None) -> None:
        """The whole way through DPS over MQTT."""
        with peers.join_dps(self.peer, id, self.key(id)) as peer:
            peer.send(peers.publish(peers.REGISTER + "1", b"{}"))
            operation = answer(peer, "$dps/registrations/res/202/")["operationId"]
            note("operation", (id, operation))
            for status in (202, 200):
                peer.send(peers.publish(f"{peers.POLL}2&operationId={operation}"))
                document = answer(peer, f"$dps/registrations/res/{status}/")
            note("registration", (id, document["registrationState"]))

    def join(self, id: str) -> peers.Peer:
        return peers.join_hub(self.peer, id, self.key(id))


def answer(peer: peers.Peer, prefix: str) -> dict[str, Any]:
    topic, body = peer.read_message()
    assert topic.startswith(prefix), (topic, body)
    return dict(json.loads(body))


# Enrollments: created, and every third deleted.


def enrolls(client: Client) -> None:
    with client.azure.dps() as dps:
        for number in client.numbers():
            id = f"enrolled-{number}"
            status, document = dps.ask("PUT", f"/enrollments/{id}", {"registrationId": id})
            assert status == 200, document
            client.tell("enrollment", (id, document["etag"]))
            if number % 3 == 0:
                client.ledger.tried["deleted"].add(id)
                assert dps.ask("DELETE", f"/enrollments/{id}")[0] == 204
                client.tell("deleted", id)


def check_enrollments(client: Client) -> None:
    deleted = set(client.told("deleted"))
    with client.azure.dps() as dps:
        for id, etag in client.told("enrollment"):
            status, document = dps.ask("GET", f"/enrollments/{id}")
            if id in deleted:
                assert status == 404, id
            elif id not in client.ledger.tried["deleted"]:
                assert (status, document["etag"]) == (200, etag), id


# Registrations over MQTT: the operation that was begun, and what became of it.


def registers(client: Client) -> None:
    for number in client.numbers():
        client.register(f"device-{number}", client.tell)


def check_registrations(client: Client) -> None:
    with client.azure.dps() as dps, client.azure.hub() as hub:
        for id, state in client.told("registration"):
            status, document = dps.ask("GET", f"/registrations/{id}")
            assert status == 200, id
            same = ("assignedHub", "deviceId", "status", "substatus", "etag")
            assert {k: document[k] for k in same} == {k: state[k] for k in same}
            assert hub.ask("GET", f"/devices/{id}")[0] == 200, id
    for id, operation in client.told("operation")[-3:]:
        with peers.join_dps(client.peer, id, client.key(id)) as peer:
            peer.send(peers.publish(f"{peers.POLL}2&operationId={operation}"))
            topic, body = peer.read_message()
            assert topic.startswith(("$dps/registrations/res/200", "$dps/registrations/res/202"))
            assert json.loads(body)["operationId"] == operation
            peer.send(peers.publish(f"{peers.POLL}2&operationId={operation}"))
            assert answer(peer, "$dps/registrations/res/200")["status"] == "assigned"
        client.join(id).socket.close()


# Telemetry, over MQTT with QoS 1 and over HTTPS.


def publishes(client: Client) -> None:
    with client.join("talker") as peer:
        for number in client.numbers():
            peer.send(peers.publish("devices/talker/messages/events/", b"%d" % number))
            assert peer.read()[0] == 0x40
            client.tell("telemetry talker", number)


def posts(client: Client) -> None:
    token = peers.token("localhost/devices/poster", client.key("poster"), skn=None)
    with client.azure.rest(token) as hub:
        for number in client.numbers():
            body = b"%d" % number
            assert hub.ask("POST", "/devices/poster/messages/events", body)[0] == 204
            client.tell("telemetry poster", number)


def check_telemetry(client: Client) -> None:
    found: list[dict[str, Any]] = []
    with client.azure.dps() as reader:
        while page := reader.ask("GET", f"/emulator/telemetry?after={len(found)}")[1]:
            found += page
    assert [one["sequence"] for one in found] == list(range(1, len(found) + 1))
    for id in ("talker", "poster"):
        numbers = [int(one["body"]) for one in found if one["device_id"] == id]
        assert numbers == sorted(set(numbers))
        assert set(client.told(f"telemetry {id}")) <= set(numbers)


# Twins: what the device reports, and what the service asks for.


def reports(client: Client) -> None:
    with client.join("reporter") as peer:
        peer.send(peers.subscribe("$iothub/twin/res/#"))
        assert peer.read()[0] == 0x90
        for number in client.numbers():
            topic = f"$iothub/twin/PATCH/properties/reported/?$rid={number}"
            peer.send(
                peers.publish(topic, json.dumps({"n": number, f"n{number % 7}": 1}).encode(), 0)
            )
            said, _ = peer.read_message()
            assert said.startswith(f"$iothub/twin/res/204/?$rid={number}&"), said
            client.tell("reported", (number, int(said.partition("$version=")[2])))


def desires(client: Client) -> None:
    with client.azure.hub() as hub:
        for number in client.numbers():
            patch = {"tags": {"n": number}, "properties": {"desired": {"n": number}}}
            status, document = hub.ask("PATCH", "/twins/desired", patch)
            assert status == 200, document
            client.tell("desired", (number, document["etag"]))


def check_twins(client: Client) -> None:
    with client.azure.hub() as hub:
        for id, section, what in (("reporter", "reported", 1), ("desired", "desired", 0)):
            _, document = hub.ask("GET", f"/twins/{id}")
            properties = document["properties"][section]
            if client.told(section):
                number, version = client.told(section)[-1]
                # One more may have been done, and not acknowledged.
                assert properties["n"] in (number, *range(client.turn * 100_000)), properties
                assert properties["n"] >= number
                if properties["n"] == number:
                    assert version == (properties["$version"] if what else document["etag"])
            if section == "desired":
                assert document.get("tags", {}).get("n") == properties.get("n")


# Messages to devices that are not there.


def sends(client: Client) -> None:
    with client.azure.hub() as hub:
        for number in client.numbers():
            id = f"box-{number // QUEUED}"
            if number % QUEUED == 0:
                key = {
                    "symmetricKey": {"primaryKey": client.key(id), "secondaryKey": client.key(id)}
                }
                identity = {"deviceId": id, "authentication": key | {"type": "sas"}}
                assert hub.ask("PUT", f"/devices/{id}", identity)[0] == 200
            path = f"/devices/{id}/messages/devicebound"
            assert hub.ask("POST", path, b"%d" % number)[0] == 204
            client.tell("message", number)


def check_messages(client: Client) -> None:
    """Takes them: the next round's are others."""
    boxes: dict[str, list[int]] = defaultdict(list)
    for number in client.told("message"):
        boxes[f"box-{number // QUEUED}"].append(number)
    for id, numbers in boxes.items():
        with client.azure.hub() as hub:
            count = hub.ask("GET", f"/devices/{id}")[1]["cloudToDeviceMessageCount"]
        found = list(taken(client, id, count))
        assert found == sorted(set(found))
        assert set(numbers) <= set(found)
    client.told("message").clear()


def taken(client: Client, id: str, count: int) -> Iterator[int]:
    with client.join(id) as peer:
        peer.send(peers.subscribe(f"devices/{id}/messages/devicebound/#"))
        while count:
            first, body = peer.read()
            assert first, "the server closed the connection"
            if first >> 4 == 3:
                end = 2 + struct.unpack("!H", body[:2])[0]
                peer.send(peers.packet(0x40, body[end : end + 2]))
                count -= 1
                yield int(body[end + 2 :])


WORK = (enrolls, registers, publishes, posts, reports, desires, sends)
CHECKS = (check_enrollments, check_registrations, check_telemetry, check_twins, check_messages)
