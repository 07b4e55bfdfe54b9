"""session.py on real MicroPython, at a hub that says what no emulator would: in odd order, or odd.

The hub is a script: it takes CONNECT and subscriptions as one should, and answers each PUBLISH
with what the test's function gives for it.
"""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.board import peers

Json = dict[str, Any]
Answer = Callable[[str, bytes], "list[bytes]"]
GET = "$iothub/twin/GET/?$rid="
REPORT = "$iothub/twin/PATCH/properties/reported/?$rid="


def said(topic: str | bytes, body: Any = b"", packet_id: int = 0) -> bytes:
    """A PUBLISH of the hub's: at QoS 1 if it has an id."""
    raw = topic.encode() if isinstance(topic, str) else topic
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    inside = struct.pack("!H", len(raw)) + raw
    inside += (struct.pack("!H", packet_id) if packet_id else b"") + payload
    size, head = len(inside), bytearray([0x32 if packet_id else 0x30])
    while True:
        size, low = size >> 7, size & 0x7F
        head.append(low | (0x80 if size else 0))
        if not size:
            return bytes(head) + inside


def twin(rid: str, version: int, **desired: Any) -> bytes:
    whole = {"desired": desired | {"$version": version}, "reported": {"$version": 1}}
    return said(f"$iothub/twin/res/200/?$rid={rid}", whole)


def change(version: int, **desired: Any) -> bytes:
    topic = f"$iothub/twin/PATCH/properties/desired/?$version={version}"
    return said(topic, desired | {"$version": version})


def hub(answer: Answer, topics: list[str], puback: str = "first") -> peers.Talk:
    """A peer that notes the topics it is sent, and says what answer(topic, body) gives.

    puback: first, last, or never.
    """

    def talk(sock: Any, ended: Any) -> None:
        peers.read_packet(sock)
        sock.sendall(peers.CONNACK)
        while True:
            head, body = peers.read_packet(sock)
            if head == 0x82:
                sock.sendall(b"\x90\x03" + body[:2] + b"\x01")
            elif head >> 4 == 3:
                end = 2 + (body[0] << 8 | body[1])
                topics.append(body[2:end].decode())
                ack = b"\x40\x02" + body[end : end + 2]
                whole = b"".join(answer(topics[-1], body[end + 2 :]))
                sock.sendall({"first": ack + whole, "last": whole + ack, "never": whole}[puback])
            elif head == 0xE0:
                return

    return talk


@pytest.fixture
def held(tmp_path: Path, on_micropython: Any) -> Callable[..., Json]:
    """Hold a conversation with peers, one after the other."""
    issuer = trustme.CA()
    root = peers.root_file(issuer, tmp_path)

    def run(*talks: peers.Talk, **asked: Any) -> Json:
        with peers.serving(peers.server_context(issuer), *talks) as port:
            who = {"device_id": "d", "user": "u", "password": "p", "root": str(root)}
            result: Json = on_micropython("session_probe.py", {"port": port} | who | asked)
        return result

    return run


def test_a_patch_that_the_twin_already_holds_is_not_given_again(held: Any) -> None:
    def answer(topic: str, body: bytes) -> list[bytes]:
        if topic.startswith(GET):
            return [
                change(4, a=1),
                twin(topic[len(GET) :], 5, a=2),
                change(5, a=2),
                change(6, a=3),
            ]
        return []

    result = held(hub(answer, []), goal={"patches": 1})
    assert result["wholes"] == [{"a": 2, "$version": 5}]
    assert result["patches"] == [{"a": 3, "$version": 6}]


def test_a_twin_that_a_patch_has_overtaken_is_asked_for_again(held: Any) -> None:
    gets = 0

    def answer(topic: str, body: bytes) -> list[bytes]:
        nonlocal gets
        if not topic.startswith(GET):
            return []
        gets += 1
        rid = topic[len(GET) :]
        return (
            [change(8, a="new"), twin(rid, 7, a="old")] if gets == 1 else [twin(rid, 8, a="new")]
        )

    result = held(hub(answer, []), goal={"idle": True}, speed=100)
    assert result["wholes"] == [{"a": "new", "$version": 8}]
    assert result["patches"] == []


def test_a_version_that_no_twin_has_does_not_keep_the_twin_away(held: Any) -> None:
    gets = 0

    def answer(topic: str, body: bytes) -> list[bytes]:
        nonlocal gets
        gets += 1
        whole = twin(topic[len(GET) :], 7)
        return [change(10**9), whole] if gets == 1 else [whole]

    result = held(hub(answer, []), goal={"idle": True}, speed=100)
    assert result["wholes"] == [{"$version": 7}]


def test_a_patch_that_was_missed_leads_to_the_whole_twin(held: Any) -> None:
    gets = 0

    def answer(topic: str, body: bytes) -> list[bytes]:
        nonlocal gets
        gets += 1
        rid = topic[len(GET) :]
        return [twin(rid, 3), change(5, b=1)] if gets == 1 else [twin(rid, 5, a=1, b=1)]

    result = held(hub(answer, []), goal={"wholes": 2, "idle": True})
    assert result["wholes"] == [{"$version": 3}, {"a": 1, "b": 1, "$version": 5}]
    assert result["patches"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'"desired"',
        b'{"reported": {"$version": 1}}',
        b'{"desired": 5}',
        b'{"desired": []}',
        b'{"desired": {}}',
        b'{"desired": {"$version": "1"}}',
    ],
)
def test_a_twin_that_makes_no_sense_is_asked_for_again(body: bytes, held: Any) -> None:
    gets = 0

    def answer(topic: str, _: bytes) -> list[bytes]:
        nonlocal gets
        gets += 1
        rid = topic[len(GET) :]
        return [said(f"$iothub/twin/res/200/?$rid={rid}", body)] if gets == 1 else [twin(rid, 1)]

    result = held(hub(answer, []), goal={"idle": True}, speed=100)
    assert result["errors"] == [None]
    assert result["wholes"] == [{"$version": 1}]


def test_topics_and_bodies_that_make_no_sense_are_passed_over(held: Any) -> None:
    odd = [
        said(b"\xff\xfe"),
        said("x"),
        said("$iothub/twin/res/nan/?$rid=1"),
        said("$iothub/twin/res/200/?$rid=999", {}),
        said("$iothub/twin/res/400/"),
        said("devices/d/messages/devicebound/a=%zz", b"lost", 9),
        said("$iothub/twin/PATCH/properties/desired/?$version=x", b"no JSON"),
        said("$iothub/twin/PATCH/properties/desired/?$version=2", []),
        said("$iothub/twin/PATCH/properties/desired/?$version=2", {"$version": None}),
        said("devices/d/messages/devicebound/", b"heard", 10),
    ]

    def answer(topic: str, body: bytes) -> list[bytes]:
        return [twin(topic[len(GET) :], 1), *odd] if topic.startswith(GET) else []

    result = held(hub(answer, []), puts=["x"], goal={"acked": 1, "messages": 1, "idle": True})
    assert result["errors"] == [None]
    assert [body for _, body, _ in result["messages"]] == ["heard"]
    assert result["patches"] == []


def test_the_twin_is_asked_for_before_anything_is_reported(held: Any) -> None:
    topics: list[str] = []

    def answer(topic: str, body: bytes) -> list[bytes]:
        if topic.startswith(GET):
            return [twin(topic[len(GET) :], 1)]
        return [said(f"$iothub/twin/res/204/?$rid={topic[len(REPORT) :]}")]

    held(hub(answer, topics), reports={"a": 1}, goal={"reported": True})
    assert [topic.startswith(GET) for topic in topics] == [True, False]


def test_an_answer_to_an_older_request_is_not_taken_for_a_newer_ones(held: Any) -> None:
    def answer(topic: str, body: bytes) -> list[bytes]:
        if topic.startswith(GET):
            return [twin(topic[len(GET) :], 1)]
        rid = int(topic[len(REPORT) :])
        return [
            said(f"$iothub/twin/res/400/?$rid={rid - 1}"),
            said(f"$iothub/twin/res/204/?$rid={rid}"),
        ]

    result = held(hub(answer, []), reports={"a": 1}, goal={"idle": True})
    assert (result["refused"], result["reports"]) == (0, {})


def test_reports_of_more_than_eight_kilobytes_go_one_at_a_time(held: Any) -> None:
    sizes = []

    def answer(topic: str, body: bytes) -> list[bytes]:
        if topic.startswith(GET):
            return [twin(topic[len(GET) :], 1)]
        sizes.append(len(body))
        return [said(f"$iothub/twin/res/204/?$rid={topic[len(REPORT) :]}")]

    reports = {f"text{i}": "x" * 3000 for i in range(4)} | {"long": "x" * 9000}
    result = held(hub(answer, []), reports=reports, goal={"idle": True})
    assert result["reports"] == {}
    assert sorted(sizes)[:4] == [3013] * 4
    assert len(sizes) == 5


def test_a_puback_of_another_id_acknowledges_nothing(held: Any) -> None:
    def answer(topic: str, body: bytes) -> list[bytes]:
        return [b"\x40\x02\x77\x77"]

    result = held(hub(answer, [], "never"), puts=["x"], goal={"acked": 1}, speed=100)
    assert result["errors"] == [["OSError", 110]]
    assert (result["acked"], result["left"]) == (0, 1)


def test_a_poll_takes_one_message_and_sends_one_however_many_come(held: Any) -> None:
    calls = [said(f"$iothub/methods/POST/m{i}/?$rid={i}", {}) for i in range(3)]
    flood = [said("devices/d/messages/devicebound/", b"x", i + 1) for i in range(60)]
    topics: list[str] = []

    def answer(topic: str, body: bytes) -> list[bytes]:
        return [twin(topic[len(GET) :], 1), *calls, *flood] if topic.startswith(GET) else []

    puts = [str(i) for i in range(20)]
    result = held(hub(answer, topics), puts=puts, goal={"messages": 60, "acked": 20, "calls": 3})
    assert result["errors"] == [None]
    assert result["most"]["handled"] == 1
    assert result["most"]["sent"] == 1
    assert result["most"]["clock"] <= 8
    replies = [topic for topic in topics if "/methods/" in topic]
    assert replies == [f"$iothub/methods/res/200/?$rid={i}" for i in range(3)]


def test_it_is_not_idle_before_its_reply_is_acknowledged(held: Any) -> None:
    def answer(topic: str, body: bytes) -> list[bytes]:
        if not topic.startswith(GET):
            return []
        puback = b"\x40\x02\x00\x05"  # of the fifth packet, after four subscriptions
        call = said("$iothub/methods/POST/m/?$rid=1", {})
        return [puback, call, twin(topic[len(GET) :], 1)]

    result = held(hub(answer, [], "never"), goal={"calls": 1, "idle": True}, speed=100)
    assert result["errors"] == [["OSError", 110]]


def test_calls_beyond_four_that_wait_for_their_replies_are_not_carried_out(held: Any) -> None:
    topics: list[str] = []

    def answer(topic: str, body: bytes) -> list[bytes]:
        if not topic.startswith(GET):
            return []
        calls = [said(f"$iothub/methods/POST/m/?$rid={i}", {}) for i in range(20)]
        return [*calls, twin(topic[len(GET) :], 1)]

    result = held(hub(answer, topics, "last"), goal={"calls": 4, "idle": True})
    assert result["calls"] == ["m"] * 4
    assert topics[1:] == [f"$iothub/methods/res/200/?$rid={i}" for i in range(4)]
