"""app.py, held at arm's length: measures when it is time, and hands it what the hub sends.

Its faults are told on the console and to the hub's caller; they never take the board down.
What is addressed to the component `firstlight` is remote.py's.
"""

import json

from aziot._const import const

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from typing import Any

    from device import Device

_JSON = (("$.ct", "application/json"), ("$.ce", "utf-8"))  # for routing by body (protocol.md 6.2)


class Work:
    """The user's part. app: the module, None for one that cannot be used."""

    def __init__(self, device: "Device", app: "Any", interval_ms: int) -> None:
        self._device = device
        self.app = app
        self.interval_ms = interval_ms
        self.sleeps = bool(getattr(app, "SLEEP", False))
        self.fault: Any = None  # what app.py raised last
        self._due_at_ms = device.clock.ticks_ms()

    def measured(self) -> int:
        """Take a sample if it is time; return the milliseconds until the next one."""
        clock = self._device.clock
        now_ms = clock.ticks_ms()
        left_ms: int = clock.ticks_diff(self._due_at_ms, now_ms)
        if 0 < left_ms <= self.interval_ms:
            return left_ms
        self._due_at_ms = clock.ticks_add(now_ms, self.interval_ms)
        if self.app is None:  # say so again and again: nobody may have watched the first time
            self._device.say("app", "app.sample failed: %r" % self.fault)
        value = self.call("sample")
        if value is not None:
            self.send(value)
        return self.interval_ms

    def tick(self) -> None:
        """Give app.py its turn."""
        self.call("tick")

    def send(self, value: dict, properties: tuple = ()) -> None:
        """Send a message: it waits in the outbox until the hub acknowledges it.

        value: what JSON can hold; properties: ((name, text), ...).
        """
        board = self._device.board
        try:
            body = json.dumps(value).encode()
            made = ("$.ctime", board.utc())
            self._device.outbox.put(body, _JSON + (made,) + tuple(properties))
        except (TypeError, ValueError) as e:
            self._device.say("app", "not sent: %s" % e)

    def report(self, properties: dict) -> None:
        """Have reported properties of the twin set; None deletes one."""
        self._device.reports.update(properties)

    def message(self, body: bytes, properties: dict) -> None:
        self.call("on_message", body, properties)

    def method(self, name: str, body: bytes) -> tuple:
        answer: tuple = self._device.call("remote", "method", self._device, name, body)
        return answer

    def desired(self, patch: dict, whole: bool) -> None:
        if "firstlight" in patch or hasattr(self.app, "on_desired"):
            self._device.call("remote", "desired", self._device, patch, whole)

    def call(self, name: str, *args: "Any") -> "Any":
        """Call one of app.py's functions, if it has it; return None and tell if it fails."""
        self.fault = None
        try:
            call = getattr(self.app, name, None)
            return call(*args) if call else None
        except (Exception, SystemExit) as e:
            self.fault = e
            self._device.say("app", "app.%s failed: %r" % (name, e))
