"""A session with a hub: telemetry out at QoS 1, the connection kept, until its token wears out.

Makes no connection of its own and decides nothing about the next one. A message that was not
acknowledged stays, and is the next connection's first.
"""

import json

from . import hub
from ._const import const
from .link import Link

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MAX_BYTES = const(8192)  # far below the hub's 256 KB, and what a board has in one piece


class Session:
    """Telemetry, from sample() to the hub; outlives any one link.

    sample: returns a dict that JSON can hold; clock: MicroPython's time module.
    """

    def __init__(self, sample: "Callable[[], dict]", interval_ms: int, clock: "Any") -> None:
        self._sample = sample
        self._interval_ms = interval_ms
        self._clock = clock
        self._pending: bytes | None = None
        self._due_at_ms = clock.ticks_ms()
        self.sent = 0

    def serve(
        self,
        link: Link,
        device_id: str,
        life_ms: int,
        say: "Callable[[str, str], None]",
        acknowledged: "Callable[[], None]",
    ) -> None:
        """Send a sample each interval until life_ms is over; then return, for a new token.

        The link is connected already. acknowledged() is called for each message that the hub has
        taken. Raises OSError and AziotError when the link is lost.
        """
        topic = hub.telemetry_topic(device_id, hub.JSON)
        start_ms = self._clock.ticks_ms()
        if not 0 < self._clock.ticks_diff(self._due_at_ms, start_ms) <= self._interval_ms:
            self._due_at_ms = start_ms  # due, or so long ago that the ticks have wrapped
        while True:
            now_ms = self._clock.ticks_ms()
            if self._clock.ticks_diff(now_ms, start_ms) >= life_ms:
                return
            left_ms = self._clock.ticks_diff(self._due_at_ms, now_ms)
            if left_ms <= 0 or self._pending:
                self._send(link, topic, say)
                acknowledged()
            else:
                link.check_msg(min(left_ms, 1000))

    def _send(self, link: Link, topic: str, say: "Callable[[str, str], None]") -> None:
        if not self._pending:
            self._pending = self._measure(say)
            self._due_at_ms = self._clock.ticks_add(self._clock.ticks_ms(), self._interval_ms)
        if self._pending:
            start_ms = self._clock.ticks_ms()
            link.publish(topic, self._pending, qos=1)
            self.sent += 1
            took_ms = self._clock.ticks_diff(self._clock.ticks_ms(), start_ms)
            say("hub", "sent %d bytes, acknowledged in %d ms" % (len(self._pending), took_ms))
            self._pending = None

    def _measure(self, say: "Callable[[str, str], None]") -> bytes | None:
        """Return one sample as JSON; None, and a line that says why, if app.py gives none."""
        try:
            body = json.dumps(self._sample()).encode()
        # app.py is the user's: its faults must not take the board down
        except (Exception, SystemExit) as e:
            say("hub", "app.sample failed: %r" % e)
            return None
        if len(body) > _MAX_BYTES:
            say(
                "hub", "app.sample gave %d bytes, more than %d: not sent" % (len(body), _MAX_BYTES)
            )
            return None
        return body
