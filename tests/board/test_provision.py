"""provision.py on real MicroPython, over TLS, at a DPS that says what a test wants."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.board import peers

OPERATION = "5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550"
ASSIGNING = {"operationId": OPERATION, "status": "assigning"}
ASSIGNED = {
    "status": "assigned",
    "registrationState": {"assignedHub": "hub.example", "deviceId": "dev-1"},
}
Seen = list[tuple[float, str]]


class Service:
    """A DPS whose answers are given: (status, more of the query, body), or None to hang up."""

    def __init__(self, *answers: tuple[int, str, Any] | None, pubacks: str = "first") -> None:
        self.answers = list(answers)
        self.pubacks = pubacks  # "first", "last" or "never": MQTT promises no order
        self.seen: Seen = []

    def __call__(self, sock: Any, ended: Any) -> None:
        peers.accept(sock)
        while True:
            head, body = peers.read_packet(sock)
            if head == 0xE0:
                self.seen.append((time.monotonic(), "DISCONNECT"))
                return
            if head >> 4 != 3:
                continue
            size = body[0] << 8 | body[1]
            topic = body[2 : 2 + size].decode()
            self.seen.append((time.monotonic(), topic))
            puback = b"\x40\x02" + body[2 + size : 4 + size]
            if self.pubacks == "first":
                sock.sendall(puback)
            answer = self.answers.pop(0)
            if answer is None:
                return
            sock.sendall(self._publish(answer, topic.partition("$rid=")[2].partition("&")[0]))
            if self.pubacks == "last":
                sock.sendall(puback)

    def _publish(self, answer: tuple[int, str, Any], rid: str) -> bytes:
        status, more, document = answer
        topic = f"$dps/registrations/res/{status}/?$rid={rid}{more}".encode()
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        rest = len(topic).to_bytes(2, "big") + topic + body
        size = len(rest)
        return bytes([0x30, size & 0x7F | 0x80, size >> 7]) + rest

    def verbs(self) -> list[str]:
        return [topic.split("/")[3] if "/" in topic else topic for _, topic in self.seen]


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, on_micropython: Any) -> Run:
    issuer = trustme.CA()
    root = peers.root_file(issuer, tmp_path)

    def run(*services: Service, limit_ms: int = 60000) -> dict[str, Any]:
        with peers.serving(peers.server_context(issuer), *services) as port:
            asked = {"port": port, "root": str(root), "links": len(services), "limit_ms": limit_ms}
            result: dict[str, Any] = on_micropython("provision_probe.py", asked)
        return result

    return run


def test_retry_after_is_waited_for_and_dps_is_closed(run: Run) -> None:
    service = Service((202, "&retry-after=2", ASSIGNING), (200, "", ASSIGNED))
    result = run(service)["results"][0]
    assert (result["found"], result["closed"]) == (["hub.example", "dev-1"], True)
    assert service.verbs() == ["iotdps-register", "iotdps-get-operationstatus", "DISCONNECT"]
    assert service.seen[1][0] - service.seen[0][0] >= 1.9, "polled before retry-after"


@pytest.mark.parametrize("pubacks", ["last", "never"])
def test_the_answer_counts_whenever_its_requests_puback_comes(run: Run, pubacks: str) -> None:
    service = Service((202, "&retry-after=1", ASSIGNING), (200, "", ASSIGNED), pubacks=pubacks)
    assert run(service)["results"][0]["found"] == ["hub.example", "dev-1"]


def test_a_session_dropped_in_the_middle_is_taken_up_with_its_operation(run: Run) -> None:
    first = Service((202, "&retry-after=1", ASSIGNING), None)
    second = Service((200, "", ASSIGNED))
    results = run(first, second)["results"]
    assert "OSError" in results[0]["error"]
    assert results[1]["found"] == ["hub.example", "dev-1"]
    assert OPERATION in second.seen[0][1]


def test_throttling_is_waited_out_on_the_same_connection(run: Run) -> None:
    busy = {"errorCode": 429001, "message": "Too many requests."}
    service = Service((429, "&Retry-After=1", busy), (200, "", ASSIGNED))
    answer = run(service)
    assert answer["results"][0]["error"] is None
    (line,) = answer["lines"]
    assert "429 DPS: Too many requests., code 429001; again in" in line
    assert service.verbs() == ["iotdps-register", "iotdps-register", "DISCONNECT"]


@pytest.mark.parametrize(("more", "limit_ms"), [("&retry-after=300", 20000), ("", 1000)])
def test_throttling_for_longer_than_we_stay_is_handed_on(
    more: str, limit_ms: int, run: Run
) -> None:
    service = Service((429, more, {"errorCode": 429001}), (200, "", ASSIGNED))
    answer = run(service, limit_ms=limit_ms)
    assert answer["results"][0]["transient"]
    assert (service.verbs(), answer["lines"]) == (["iotdps-register", "DISCONNECT"], [])


def test_messages_that_nobody_waits_for_are_not_kept(run: Run) -> None:
    class Chatter(Service):
        def _publish(self, answer: tuple[int, str, Any], rid: str) -> bytes:
            noise = super()._publish((200, "&x=" + "x" * 7900, {}), "0")
            return super()._publish(answer, rid) + (noise * 400 if rid == "1" else b"")

    service = Chatter((202, "&retry-after=2", ASSIGNING), (200, "", ASSIGNED))
    assert run(service)["results"][0]["found"] == ["hub.example", "dev-1"]


def test_a_refusal_without_a_body_is_still_that_refusal(run: Run) -> None:
    result = run(Service((401, "", b"")))["results"][0]
    assert result["error"] == "401 DPS: refused"
    assert not result["transient"]


def test_a_wait_that_is_longer_than_we_stay_is_handed_on(run: Run) -> None:
    service = Service((202, "&retry-after=300", ASSIGNING), (202, "&retry-after=300", ASSIGNING))
    results = run(service, service, limit_ms=5000)["results"]
    for result in results:
        assert (result["retry_after_s"], result["transient"]) == (300, True)
        assert "still assigning" in result["error"]


def test_a_topic_that_is_not_text_ends_the_connection(run: Run) -> None:
    class Odd(Service):
        def _publish(self, answer: tuple[int, str, Any], rid: str) -> bytes:
            return b"\x30\x05\x00\x02\xff\xfe."

    result = run(Odd((200, "", b"")))["results"][0]
    assert "ProtocolError" in result["error"]
    assert result["closed"]
