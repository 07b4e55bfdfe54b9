"""What faults do to one MQTT conversation: to the packets that come and to the bytes that leave.

Stands between a session and its wire. No sockets, no clock: the wire is asked to call later. It
changes nothing while no fault is set, and never the order of what it lets pass.
"""

from collections import deque
from dataclasses import replace

from ..answers import Json
from ..faults.faults import Faults, Hit, Whom, delay_s
from ..faults.table import WIRE
from . import writing
from .leaving import Step, leaving
from .limits import Limits
from .moments import TWIN_FILTER, incoming, outgoing, twin_refusal
from .packets import Connect, Packet, Publish, Subscribe
from .wire import Talk, Wire

_MAX_WAITING_BYTES = 1024 * 1024  # of what was delayed; more, and the connection is reset
_MAX_WAITING_PACKETS = 4096
_STEP_BYTES = 64  # what a packet costs besides its own bytes
_READ_S = 0.05  # for a peer to read what came before a reset


class Trouble:
    """A session's way out, and the judge of what comes in.

    has_struck: a fault has; from then on every packet must pass stops(), and bytes received().
    """

    __slots__ = (
        "_asked",
        "_faults",
        "_how",
        "_inbox",
        "_is_closing",
        "_is_dead",
        "_is_held",
        "_is_spent",
        "_kept",
        "_limits",
        "_outbox",
        "_talk",
        "_whom",
        "_wire",
        "has_struck",
    )

    def __init__(self, faults: Faults, wire: Wire, talk: Talk) -> None:
        self._faults, self._wire, self._talk = faults, wire, talk
        self._asked = ""
        self._whom: Whom | None = None
        self._how = "close"
        self._kept = 0  # bytes in the outbox
        self.has_struck = False
        self._is_dead = self._is_held = self._is_closing = self._is_spent = False
        self._inbox: deque[tuple[Packet, list[Hit]]] | None = None
        self._outbox: deque[Step] | None = None
        self._limits: Limits | None = None

    # What the session calls.

    def send(self, data: bytes) -> None:
        """Let one packet leave, as faults want it."""
        if self._is_dead:
            return
        if not (self._faults.is_set or self._outbox or self._limits):
            self._wire.send(data)
            return
        self._queue(leaving(data, self._pick(outgoing(data, self._asked))))

    @property
    def over(self) -> str:
        """What carries the conversation: mqtt, or websocket."""
        return self._wire.over

    def waiting(self) -> int:
        """How many bytes have not left: here, or at the wire."""
        return self._wire.waiting() + self._kept

    def close(self) -> None:
        """End the connection, after what faults still keep; a half-open one stays so."""
        self._is_closing = True
        if not self._outbox and not self._is_held:
            self._end_now()

    def received(self, data: bytes) -> bytes:
        """What of the peer's bytes may be read."""
        limits = self._limits
        if limits is None or self._is_dead:
            return data
        data = data[: limits.room("bytes_in", len(data))]
        end = limits.spend("bytes_in", len(data))
        if end is not None and not self._is_spent:
            # What is read now, counts: the session is still to see it.
            self._wire.later(0, lambda: self._finish(end, sent=True))
        return data

    @property
    def is_delaying(self) -> bool:
        """Whether a delay keeps what came in: no silence of the peer's counts meanwhile."""
        return self._inbox is not None

    def stops(self, packet: Packet) -> bool:
        """Whether the session must leave a packet alone: a fault has it, or keeps it for later."""
        if self._is_dead or self._is_spent:
            return True
        if self._inbox:
            if len(self._inbox) >= _MAX_WAITING_PACKETS:
                self._finish("reset")
            else:
                self._inbox.append((packet, []))
            return True
        hits = self._judge(packet)
        if not hits:
            return False
        wait_s = delay_s(hits)
        if wait_s:
            self._inbox = deque([(packet, hits)])
            self._wire.pause()
            self._wire.later(wait_s, self._go_on)
            return True
        return self._carry_out(packet, hits)

    # What comes in.

    def _judge(self, packet: Packet) -> list[Hit]:
        self._asked = incoming(packet)
        if isinstance(packet, Connect):
            self._whom = _claimed(packet, self._wire.over)
        end = self._limits.spend("packets_in", 1) if self._limits else None
        if end is not None:  # it is still read
            self._is_spent = True
            self._wire.later(0, lambda: self._finish(end, sent=True))
        return self._pick(self._asked)

    def _carry_out(self, packet: Packet, hits: list[Hit]) -> bool:
        """Do what faults want with a packet; whether that is all."""
        is_done = False
        for hit in hits:
            if hit.do == "limit":
                self._limit(hit.args)
            elif hit.do == "refuse":
                self._refuse(packet, hit.args)
                is_done = True
            elif hit.do in ("close", "hold"):
                self._finish(hit.args.get("end", hit.do), hit.args.get("seconds", 0))
                is_done = True
            elif hit.do == "ignore":
                is_done = True
            if is_done:
                break
        return is_done

    def _go_on(self) -> None:
        """A delay is over: the packet that it kept, and those after it."""
        inbox = self._inbox
        while inbox and not self._is_dead:
            packet, hits = inbox.popleft()
            if not self._carry_out(packet, hits):
                self._talk.act(packet)
            if self._is_spent:
                break
            if inbox and not self._is_dead:
                packet, _ = inbox[0]
                hits = self._judge(packet)
                inbox[0] = packet, hits
                if wait_s := delay_s(hits):
                    self._wire.later(wait_s, self._go_on)
                    return
        self._inbox = None
        if not self._is_dead:
            self._wire.resume()

    def _refuse(self, packet: Packet, args: Json) -> None:
        if isinstance(packet, Connect):
            self.send(writing.connack(args["code"]))
            self._is_spent = True
            if not self._is_dead:  # other faults may delay CONNACK, or end the connection
                self._wire.later(0, lambda: self._talk.close("a fault wants it"))
        elif isinstance(packet, Subscribe):
            self.send(writing.suback(packet.packet_id, [0x80] * len(packet.filters)))
        elif isinstance(packet, Publish):
            if packet.packet_id is not None:
                self.send(writing.puback(packet.packet_id))
            self._talk.push(TWIN_FILTER, twin_refusal(packet.topic, args["status"]), b"")

    def _limit(self, args: Json) -> None:
        self._limits = self._limits or Limits()
        self._limits.add(args)
        if args["seconds"] is not None:
            self._wire.later(args["seconds"], lambda: self._finish(args["end"]))

    # What leaves.

    def _queue(self, steps: list[Step]) -> None:
        outbox = self._outbox
        if outbox is None:
            outbox = self._outbox = deque()
        is_idle = not outbox
        outbox.extend(steps)
        self._kept += sum(len(step.data) + _STEP_BYTES for step in steps)
        if self._kept > _MAX_WAITING_BYTES:
            self._finish("reset")
        elif is_idle:
            self._wait()

    def _wait(self) -> None:
        """Let leave what is due; come again for the rest."""
        outbox = self._outbox
        while outbox and not self._is_dead:
            if outbox[0].wait_s > 0:
                outbox[0], wait_s = replace(outbox[0], wait_s=0.0), outbox[0].wait_s
                self._wire.later(wait_s, self._wait)
                return
            step = outbox.popleft()
            self._kept -= len(step.data) + _STEP_BYTES
            self._leave(step)
        self._outbox = None
        if self._is_closing and not self._is_held:
            self._end_now()
        elif not self._is_dead:
            self._talk.resume()

    def _leave(self, step: Step) -> None:
        data, end, limits = step.data, step.end, self._limits
        if limits is not None and data:
            end = end or limits.spend("packets_out", 1)
            data = data[: limits.room("bytes_out", len(data))]
            end = end or limits.spend("bytes_out", len(data))
        if data:
            self._wire.send(data)
        if end is not None:
            self._finish(end, step.hold_s, sent=bool(data))

    # The end.

    def _finish(self, how: str, hold_s: float = 0.0, sent: bool = False) -> None:
        """End the conversation, or hold it half-open; nothing passes from now on.

        sent: something just left, which a reset at once would take from the peer again.
        """
        if self._is_dead:
            return
        self._is_dead = True
        self._inbox = self._outbox = None
        self._kept = 0
        if how == "hold":
            self._is_held = True
            self._wire.pause()
            self._wire.later(hold_s, self._let_go)
            return
        self._how = how
        # Not from within the session: it may be in the middle of a packet.
        wait_s = _READ_S if sent and how == "reset" else 0.0
        self._wire.later(wait_s, lambda: self._talk.close("a fault wants it"))

    def _let_go(self) -> None:
        self._is_held, self._how = False, "reset"
        if self._is_closing:
            self._end_now()
        else:
            self._talk.close("a fault held it open till now")

    def _end_now(self) -> None:
        self._is_dead = True
        if self._how == "close":
            self._wire.close()
        else:
            self._wire.end(self._how)

    def _pick(self, point: str) -> list[Hit]:
        if not self._faults.is_set:
            return []
        if self._whom is None:
            self._whom = self._talk.whom()
        hits = self._faults.pick(point, WIRE, self._whom)
        self.has_struck = self.has_struck or bool(hits)
        return hits


def _claimed(packet: Connect, over: str) -> Whom:
    """Who a CONNECT says it is from (protocol.md 1.2, 6.1); nobody has checked it yet."""
    host, _, rest = (packet.user or "").partition("/")
    if rest.startswith("registrations/"):
        return Whom(packet.client_id, "", "dps", over)
    return Whom(packet.client_id, host, "hub", over)
