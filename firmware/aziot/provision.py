"""Drive a Registration over a Link to its Assignment. Waits, but never past its deadline.

Decides nothing about when to come back: what it raises tells the supervisor.
"""

import errno

from . import dps
from ._const import const
from .backoff import delay_s
from .errors import ProtocolError, ServiceError
from .link import Link
from .stream import Deadline

_TYPING = const(0)
if _TYPING:
    from collections.abc import Callable
    from typing import Any

_ANSWER_MS = const(30000)  # for each request, as azure-iot-sdk-python and -node wait


def provision(
    link: Link,
    registration: dps.Registration,
    clock: "Any",
    limit_ms: int,
    jitter: float,
    say: "Callable[[str, str], None]",
) -> tuple:
    """Register over a connected link and poll; return the assignment, the link closed again.

    say("dps", line) for each answer. A refusal that may pass (429, 5xx, an operation the service
    forgot) is waited out on the same connection, as long as limit_ms allows. Raises OSError,
    ProtocolError, ServiceError; the registration can then be taken up again where it was.
    """
    deadline = Deadline(clock, limit_ms)
    inbox: list[tuple[bytes, bytes]] = []
    # DPS sends one answer to a request; what a peer sends beyond a few is not kept
    link.set_callback(lambda topic, body: inbox.append((topic, body)) if len(inbox) < 4 else None)
    try:
        link.subscribe(dps.RESPONSES, 1)
        attempt = 0
        while True:
            wait_s: float
            try:
                _exchange(link, registration, inbox, Deadline(clock, _ANSWER_MS))
                wait_s, attempt = registration.delay_s, 0
                told = "assigning, next poll"
            except ServiceError as e:
                wait_s = max(e.retry_after_s or 0, delay_s(attempt, jitter, 3))
                attempt += 1
                if not e.transient or wait_s * 1000 > deadline.left_ms():
                    raise
                told = "%s; again" % e
            if registration.assignment is not None:
                return registration.assignment
            if wait_s * 1000 > deadline.left_ms():
                raise ServiceError("DPS: still assigning", 202, None, None, int(wait_s), True)
            say("dps", "%s in %d s" % (told, wait_s))
            _idle(link, Deadline(clock, int(wait_s * 1000)))
    finally:
        link.disconnect()


def _exchange(link: Link, registration: dps.Registration, inbox: list, deadline: Deadline) -> None:
    """Send the next request and take its answer."""
    topic, body = registration.request()
    link.send(topic, body, False)  # what counts is the answer, not the PUBACK
    while True:
        while inbox:  # a late answer to another request is nobody's
            raw, body = inbox.pop(0)
            try:
                topic = str(raw, "utf-8")
            except ValueError:  # UnicodeError is one
                raise ProtocolError("MQTT: a topic that is not text")
            if registration.receive(topic, body):
                return
        if not deadline.left_ms():
            raise OSError(errno.ETIMEDOUT)
        link.check_msg(deadline.left_ms())


def _idle(link: Link, deadline: Deadline) -> None:
    """Let the time pass, with the connection alive."""
    while deadline.left_ms():
        link.check_msg(min(deadline.left_ms(), 1000))
