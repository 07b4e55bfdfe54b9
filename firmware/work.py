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
_EARLIEST = const("2026")  # a time before that was never set (dates.py)
_MOST = const(8192)  # bytes of reported properties that wait, as JSON


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
            self.failed("app.sample failed", self.fault)
            return self.interval_ms
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
        made = self._device.board.utc()
        stamp = (("$.ctime", made),) if made >= _EARLIEST else ()
        try:
            body = json.dumps(value).encode()
            self._device.outbox.put(body, _JSON + stamp + tuple(properties))
        except Exception as e:  # a value that holds itself is a RuntimeError
            self.failed("not sent", e)

    def report(self, properties: dict) -> None:
        """Have reported properties of the twin set; None deletes one.

        Raises ValueError for `firstlight`, which is ours, and for more than 8 KB that wait; and
        what JSON raises.
        """
        reports = self._device.reports
        if "firstlight" in properties or len(json.dumps(reports | properties)) > _MOST:
            raise ValueError("not reported")
        reports.update(properties)

    def message(self, body: bytes, properties: dict) -> None:
        self.call("on_message", body, properties)

    def method(self, name: str, body: bytes) -> tuple:
        try:
            answer: tuple = self._device.call("remote", "method", self._device, name, body)
        except Exception as e:  # no memory for it, or an answer that is no JSON
            self.failed("method failed", e)
            answer = (500, ('"%s"' % type(e).__name__).encode())
        return answer

    def desired(self, patch: dict, whole: bool) -> None:
        if "firstlight" in patch or hasattr(self.app, "on_desired"):
            try:
                self._device.call("remote", "desired", self._device, patch, whole)
            except Exception as e:  # no memory for it, or a report that cannot be
                self.failed("desired properties failed", e)

    def call(self, name: str, *args: "Any") -> "Any":
        """Call one of app.py's functions, if it has it; return None and tell if it fails."""
        call = getattr(self.app, name, None)
        if not call:
            return None
        self.fault = None
        try:
            return call(*args)
        except (Exception, SystemExit) as e:
            self.fault = e
            self.failed("app.%s failed" % name, e)

    def failed(self, what: str, fault: "Any") -> None:
        """Tell a fault."""
        try:
            self._device.say("app", "%s: %r" % (what, fault))
        except Exception:  # what it carries is too large, or does not print
            self._device.say("app", "%s: %s" % (what, type(fault).__name__))
