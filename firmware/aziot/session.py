"""One connection's conversation with a hub: telemetry out; messages, methods and the twin in.

poll() does one small piece of it and never waits for an answer: what is sent at QoS 1 is one at a
time, and its acknowledgement has a deadline. Makes no connection, and decides nothing about the
next one: what was not acknowledged is still in the outbox, what was not accepted in the reports.
"""

import errno
import json

from . import hub
from ._const import const
from .stream import Deadline

_TYPING = const(0)
if _TYPING:
    from typing import Any

    from .link import Link

_ANSWER_MS = const(30000)  # within which a PUBACK, or the twin, has to come
_PAUSE_MS = const(5000)  # before the twin is asked again; twice as long each time, up to ...
_MAX_PAUSE_MS = const(320000)
_MAX_REPLIES = const(4)  # to methods, that wait; a call beyond them is not carried out
_MAX_REPORT = const(8192)  # bytes of JSON; what is longer goes one property at a time
_REPLY = const("$iothub/methods/res/%d/?$rid=%s")  # protocol.md 6.4
_GET = const("$iothub/twin/GET/?$rid=%d")  # protocol.md 6.5, and so is ...
_REPORT = const("$iothub/twin/PATCH/properties/reported/?$rid=%d")


class Session:
    """Of one link that is connected; at most six days, half of the ticks' period.

    reports: reported properties that wait, shared: one is taken out when the hub has accepted it,
    unless there is another value by then (so put a new dict in the place of one, do not change
    it). handlers: message(body, properties), method(name, body) -> (status, JSON as bytes) and
    desired(patch, whole) are called, and do not raise. acked: how much telemetry the hub has
    taken; refused: the status with which it last refused a report for good, else 0.
    """

    def __init__(
        self,
        link: "Link",
        device_id: str,
        outbox: "Any",
        reports: dict,
        handlers: "Any",
        clock: "Any",
    ) -> None:
        self._link = link
        self._device_id = device_id
        self._outbox = outbox
        self._reports = reports
        self._app = handlers
        self._clock = clock
        self.acked = self.refused = 0
        self._replies: list[tuple] = []
        self._sent: list | None = None  # the message in flight, if it is telemetry that flies
        self._pid = 0  # of what is in flight; 0: nothing is
        self._due = self._until = Deadline(clock, 0)  # of its PUBACK; of the twin's answer, ...
        self._pause_ms = _PAUSE_MS  # ... or when to ask next
        # Of the last request; not what another session began with. Even: the twin comes first.
        self._rid = clock.ticks_ms() & -2
        self._patch: dict | None = None  # reports that are being made; {}: the twin is asked for
        self._most = 99  # reports at once; 1 to find the one that the hub does not take
        self._whole = False  # whether the handlers have all desired properties, up to ...
        self._heard = 0  # ... the newest version that was heard of

    def begin(self) -> None:
        """Subscribe to all that a hub says. Raises as Link does.

        To be called before anything is read from the link: what waits at the hub comes at once.
        """
        self._link.set_callback(self._receive)
        for topic in hub.FILTERS:
            self._link.subscribe(topic, 1)

    def poll(self, limit_ms: int) -> None:
        """Send at most one thing, and take at most one, if one comes within limit_ms.

        Waits for it no longer than a second. Raises as Link does, and OSError (ETIMEDOUT) for
        what is not acknowledged.
        """
        if not self._pid:
            self._send()
        self._link.check_msg(limit_ms)
        if self._pid:
            if self._pid == self._link.acked:
                self._pid = 0
                if self._sent:
                    self._outbox.pop(self._sent)
                    self.acked += 1
            elif not self._due.left_ms():
                raise OSError(errno.ETIMEDOUT)

    def idle(self) -> bool:
        """Return whether nothing waits, here or at the hub's, and the desired properties came."""
        return self._whole and not (
            self._pid or self._replies or self._reports or self._outbox.head()
        )

    def _send(self) -> None:
        dup = False
        message = self._outbox.head()
        # Telemetry and all else take turns: no flood of the one keeps the other waiting.
        turn = self._sent or not message
        self._sent = None
        if turn and self._replies:
            topic, body = self._replies.pop(0)
        elif turn and not self._until.left_ms() and (self._reports or not self._whole):
            if self._patch is not None:
                return self._answer(504, b"")
            topic, body = self._ask()
        elif message:
            self._sent = message
            bag, body, dup = message[1:4]
            message[3] = True
            topic = "devices/%s/messages/events/%s" % (self._device_id, bag)
        else:
            return None
        self._due = Deadline(self._clock, _ANSWER_MS)
        self._pid = self._link.send(topic, body, dup)
        return None

    def _ask(self) -> tuple[str, bytes]:
        """Return the next request to the twin: for all of it, or a report."""
        self._rid += 1
        self._until = Deadline(self._clock, _ANSWER_MS)
        self._patch = patch = {}
        # Of a twin that does not come, too long perhaps: each second request is a report.
        if not self._whole and (self._rid & 1 or not self._reports):
            self._heard = 0
            return _GET % self._rid, b""
        for name in list(self._reports)[: self._most]:
            patch[name] = self._reports[name]
        body = json.dumps(patch).encode()
        if len(body) > _MAX_REPORT and self._most > 1:
            self._most = 1
            return self._ask()
        return _REPORT % self._rid, body

    def _receive(self, topic: bytes, body: bytes) -> None:
        kind, what, rid = hub.parse(topic)
        if kind == "message":
            self._app.message(bytes(body), what)
        elif kind == "method" and len(self._replies) < _MAX_REPLIES:
            status, answer = self._app.method(what, bytes(body))
            self._replies.append((_REPLY % (status, rid), answer))
        elif kind == "twin" and rid == str(self._rid) and self._patch is not None:
            self._answer(what, body)
        elif kind == "desired":
            patch = _desired(body, False)
            version = patch.get("$version", 0)
            if version > self._heard:
                if version == self._heard + 1 and self._whole:
                    self._app.desired(patch, False)
                else:  # there is one that we do not have: ask for all
                    self._whole = False
                self._heard = version

    def _answer(self, status: int, body: bytes) -> None:
        """Take the twin, or what became of a report."""
        patch, self._patch = self._patch, None
        retry = status == 429 or status >= 500
        if not patch:
            desired = _desired(body, True)
            version = desired.get("$version", -1)
            retry = version < self._heard  # none came, or a patch overtook it
            if not retry:
                self._heard = version
                self._whole = True
                self._app.desired(desired, True)
        elif not retry:
            if status >= 300 and len(patch) > 1:
                self._most = 1
                patch = {}
            elif status >= 300:
                self.refused = status
            for name, value in patch.items():
                if self._reports.get(name) is value:
                    self._reports.pop(name, None)
        wait_ms = self._pause_ms if retry else 0
        self._until = Deadline(self._clock, wait_ms)
        pause_ms = _PAUSE_MS if self._whole else self._pause_ms
        self._pause_ms = min(2 * wait_ms or pause_ms, _MAX_PAUSE_MS)


def _desired(body: bytes, whole: bool) -> dict:
    """Return the desired properties with their version, {} if there is none of it."""
    try:
        value: dict = json.loads(body)
        if whole:
            value = value["desired"]
        value["$version"] + 0
        return value
    except (KeyError, MemoryError, TypeError, ValueError):
        return {}
