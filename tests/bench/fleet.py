"""A process of simulated devices: threads with blocking sockets, which cost the least.

Reads a job as a JSON line from stdin, makes every token and packet, and says `ready`. Then `act`
lets each device do its job once, and `send` lets those that stayed connected send telemetry; what
that took is one JSON line. Ends, and closes what it holds, when stdin ends. Never prints a key or
a token.
"""

import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.emulator.peers import (
    POLL,
    REGISTER,
    RESULTS,
    connect,
    publish,
    sign,
    subscribe,
    token,
)

_PATIENCE_S = 30.0
_KEEPALIVE_S = 1177  # the longest that a hub grants: nobody pings in a bench
_CONNACK, _PUBLISH, _PUBACK, _SUBACK = 0x20, 0x30, 0x40, 0x90
_DISCONNECT = b"\xe0\0"
_SAMPLE = json.dumps({"temperature_c": 21.5, "humidity_percent": 48}).encode()
Act = Callable[["Wire"], None]


@dataclass(frozen=True)
class Job:
    """What to do, where, and as whom. root: PEM; parallel: devices that act at a time.

    keep: whether they stay connected; each, window: what `send` sends per device, and how many of
    these may be unacknowledged at a time; password: a broker's.
    """

    do: str
    host: str
    port: int
    root: str
    first: int = 0
    count: int = 1
    parallel: int = 8
    keep: bool = False
    each: int = 0
    window: int = 1
    id_scope: str = ""
    group_key_b64: str = ""
    password: str = ""


class Wire:
    """One TLS connection, and the packets that come over it."""

    def __init__(self, job: Job, context: ssl.SSLContext) -> None:
        plain = socket.create_connection((job.host, job.port), _PATIENCE_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(plain, server_hostname="localhost")
        self._read = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def expect(self, kind: int) -> bytes:
        """The next packet's body; raise ConnectionError unless it is of this kind."""
        first, body = self._packet()
        if first & 0xF0 != kind:
            raise ConnectionError(f"a packet of type {first >> 4}, not {kind >> 4}")
        return body

    def close(self) -> None:
        self._socket.close()

    def _packet(self) -> tuple[int, bytes]:
        at, length = 1, 0
        while True:
            self._need(at + 1)
            byte = self._read[at]
            length |= (byte & 0x7F) << 7 * (at - 1)
            at += 1
            if byte < 0x80:
                break
        self._need(at + length)
        first, body = self._read[0], self._read[at : at + length]
        self._read = self._read[at + length :]
        return first, body

    def _need(self, count: int) -> None:
        while len(self._read) < count:
            piece = self._socket.recv(16384)
            if not piece:
                raise ConnectionError("the server closed the connection")
            self._read += piece


def name_of(number: int) -> str:
    """A device's id."""
    return f"bench-{number:06d}"


def shake_hands(job: Job, number: int) -> Act:
    """Nothing beyond TLS."""
    return lambda wire: None


def connect_only(job: Job, number: int) -> Act:
    """CONNECT, its answer, DISCONNECT: all that a broker without DPS can be asked for."""
    hello = connect(name_of(number), "bench", job.password, _KEEPALIVE_S)

    def act(wire: Wire) -> None:
        wire.send(hello)
        _accepted(wire)
        wire.send(_DISCONNECT)

    return act


def register(job: Job, number: int) -> Act:
    """The five packets of a registration: CONNECT, SUBSCRIBE, register, poll, DISCONNECT.

    As the firmware does it: requests at QoS 1, answers at QoS 0.
    """
    id = name_of(number)
    resource = f"{job.id_scope}/registrations/{id}"
    password = token(resource, sign(job.group_key_b64, id))
    hello = connect(id, f"{resource}/api-version=2019-03-31", password, _KEEPALIVE_S)
    results, ask = subscribe(RESULTS, qos=0), publish(REGISTER + "1", b"{}", qos=1)

    def act(wire: Wire) -> None:
        wire.send(hello)
        _accepted(wire)
        wire.send(results)
        wire.expect(_SUBACK)
        wire.send(ask)
        status, answer = _result(wire)
        while status == 202:
            wire.send(publish(f"{POLL}2&operationId={answer['operationId']}", qos=1))
            status, answer = _result(wire)
        if status != 200 or answer["status"] != "assigned":
            raise ConnectionError(f"registration ended with {status} {answer.get('errorCode')}")
        wire.send(_DISCONNECT)

    return act


def join_hub(job: Job, number: int) -> Act:
    """CONNECT to the hub, SUBSCRIBE to C2D messages and methods, send one sample."""
    id = name_of(number)
    password = token(f"localhost/devices/{id}", sign(job.group_key_b64, id), skn=None)
    hello = connect(id, f"localhost/{id}/?api-version=2021-04-12", password, _KEEPALIVE_S)
    filters = (f"devices/{id}/messages/devicebound/#", "$iothub/methods/POST/#")
    return _joined(number, hello, filters)


def join_broker(job: Job, number: int) -> Act:
    """What join_hub does, as far as a broker knows it."""
    id = name_of(number)
    hello = connect(id, "bench", job.password, _KEEPALIVE_S)
    return _joined(number, hello, (f"devices/{id}/messages/devicebound/#", f"methods/{id}/#"))


def _joined(number: int, hello: bytes, filters: tuple[str, ...]) -> Act:
    wishes = [subscribe(topic_filter) for topic_filter in filters]
    sample = sample_of(number)

    def act(wire: Wire) -> None:
        wire.send(hello)
        _accepted(wire)
        for wish in wishes:
            wire.send(wish)
            wire.expect(_SUBACK)
        wire.send(sample)
        wire.expect(_PUBACK)

    return act


def sample_of(number: int) -> bytes:
    """A PUBLISH of telemetry at QoS 1."""
    return publish(f"devices/{name_of(number)}/messages/events/", _SAMPLE, qos=1)


def _accepted(wire: Wire) -> None:
    code = wire.expect(_CONNACK)[1]
    if code:
        raise ConnectionError(f"CONNACK {code}")


def _result(wire: Wire) -> tuple[int, dict[str, Any]]:
    """A PUBACK for the request, and DPS's answer at QoS 0: status and document."""
    wire.expect(_PUBACK)
    body = wire.expect(_PUBLISH)
    end = 2 + struct.unpack("!H", body[:2])[0]
    return int(body[2:end].split(b"/")[3]), json.loads(body[end:])


_ACTS: dict[str, Callable[[Job, int], Act]] = {
    "handshake": shake_hands,
    "connect": connect_only,
    "register": register,
    "hub": join_hub,
    "broker": join_broker,
}


class Fleet:
    """The devices of a job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._context = ssl.create_default_context(cadata=job.root)
        self._acts = [
            (number, _ACTS[job.do](job, number))
            for number in range(job.first, job.first + job.count)
        ]
        self._kept: list[tuple[int, Wire]] = []

    def act(self) -> dict[str, Any]:
        """Let each device act once; how that went."""
        return self._all_of([partial(self._once, *one) for one in self._acts])

    def send(self) -> dict[str, Any]:
        """Let each that stayed connected send its telemetry; how that went."""
        return self._all_of([partial(self._send, *one) for one in self._kept])

    def _once(self, number: int, act: Act) -> None:
        wire = Wire(self._job, self._context)
        act(wire)
        if self._job.keep:
            self._kept.append((number, wire))
        else:
            wire.close()

    def _send(self, number: int, wire: Wire) -> None:
        sample, left = sample_of(number), self._job.each
        while left:
            size = min(left, self._job.window)
            wire.send(sample * size)
            for _ in range(size):
                wire.expect(_PUBACK)
            left -= size

    def _all_of(self, steps: list[Callable[[], None]]) -> dict[str, Any]:
        """Take every step, some at a time; stop at the first that fails."""
        left, lock, failures = iter(steps), threading.Lock(), list[str]()

        def work() -> None:
            while not failures:
                with lock:
                    step = next(left, None)
                if step is None:
                    return
                try:
                    step()
                except OSError as error:  # ssl's and ConnectionError too
                    failures.append(f"{type(error).__name__}: {error}")

        began, cpu_s = time.monotonic(), time.process_time()
        threads = [threading.Thread(target=work) for _ in range(self._job.parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        cpu_s, ended = time.process_time() - cpu_s, time.monotonic()
        return {"began": began, "ended": ended, "cpu_s": cpu_s, "failures": failures}


def main() -> None:
    fleet = Fleet(Job(**json.loads(sys.stdin.readline())))
    print("ready", flush=True)
    for line in sys.stdin:
        result = fleet.send() if line.strip() == "send" else fleet.act()
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
